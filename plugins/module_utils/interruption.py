# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""End a capture early, and keep what it has, when its run is interrupted.

A module is interrupted by SIGINT, SIGTERM or SIGHUP, and when the process that waits for its result has gone: Ansible's
worker may be killed, and an SSH connection may break, without a signal to the module. Then the deadline of the run is
cancelled, which cuts off blocking calls. Work that has not ended GRACE_SECONDS later is left behind.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import select
import signal
import threading
from typing import Any, Callable, Iterator

from .deadline import Deadline
from .model import utc_now

GRACE_SECONDS = 8.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RESULT = 1  # the descriptor of standard output, where Ansible reads the module's result
NOT_AWAITED = "the end of the process that waited for the result"
# A pipe without a reader gives POLLERR; a terminal or socket whose other end is closed gives POLLHUP.
_NO_READER = select.POLLERR | select.POLLHUP


class Interrupted(BaseException):
    """Raised in the main thread if the work has not ended in time. A BaseException, so that no handler stops it."""


class Interruption:
    """Watches for interruptions of some work.

    cause: the first one in words, "" until there is one. moment: when it came. tell: called with both, from another
    thread, before the deadline is cancelled.
    """

    def __init__(
        self,
        deadline: Deadline,
        tell: Callable[[str, datetime.datetime], None] | None = None,
        grace: float = GRACE_SECONDS,
        result: int = RESULT,
    ) -> None:
        self.cause = ""
        self.moment = utc_now()
        self._deadline = deadline
        self._tell = tell
        self._grace = grace
        self._result = result
        self._late = self._ended = False
        # The kernel may deliver a signal to any thread, and Python runs handlers in the main thread only, which may be
        # waiting for a lock. Python writes to this pipe in the thread that received the signal.
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self._thread = threading.Thread(target=self._watch, name="interruption", daemon=True)
        self._handlers: dict[int, Any] = {}
        self._wakeup = -1

    def begin(self) -> None:
        """Start to watch. Signal handlers are set only in the main thread; Python allows no other."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # Under nohup, SIGHUP is ignored, and stays so.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, self._handle)
            if self._handlers:
                self._wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._thread.start()

    def end(self) -> None:
        """Stop watching. From the first line on, a signal neither raises nor ends the process."""
        self._ended = True
        if self._handlers:
            signal.set_wakeup_fd(self._wakeup)
        os.close(self._write_end)
        self._thread.join()
        os.close(self._read_end)
        for number, handler in self._handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _handle(self, _number: int, _frame: Any) -> None:
        if self._late and not self._ended:
            raise Interrupted(self.cause)

    def _watch(self) -> None:
        """Wait for the first signal or the end of the reader, then for the end of the work."""
        waiting = select.poll()
        waiting.register(self._read_end, select.POLLIN)
        with contextlib.suppress(OSError):
            os.fstat(self._result)
            waiting.register(self._result, 0)
        while not self.cause:
            for descriptor, event in waiting.poll():
                if descriptor == self._result and event & _NO_READER:
                    self._interrupt(NOT_AWAITED)
                elif descriptor == self._read_end:
                    number = os.read(self._read_end, 1)
                    if not number:
                        return
                    if number[0] in self._handlers:
                        self._interrupt(signal.Signals(number[0]).name)
        ended = select.poll()
        ended.register(self._read_end, 0)
        if not ended.poll(self._grace * 1000):
            self._late = True
            if self._handlers:
                # Delivered to the main thread, it interrupts what that waits for.
                signal.pthread_kill(threading.main_thread().ident or 0, next(iter(self._handlers)))

    def _interrupt(self, cause: str) -> None:
        self.moment = utc_now()
        self.cause = cause
        if self._tell is not None:
            self._tell(self.cause, self.moment)
        self._deadline.cancel()


def end_children() -> None:
    """Send SIGTERM to the child processes. Linux lists them if it was built with CONFIG_PROC_CHILDREN."""
    with contextlib.suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children", encoding="ascii") as children:
                for child in children.read().split():
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(int(child), signal.SIGTERM)


@contextlib.contextmanager
def interruptible(
    deadline: Deadline,
    tell: Callable[[str, datetime.datetime], None] | None = None,
    grace: float = GRACE_SECONDS,
    result: int = RESULT,
) -> Iterator[Interruption]:
    """Cancel the deadline when the process is interrupted within the block.

    deadline: of the work in the block. grace: seconds that the work may take to end; Interrupted is raised in the main
    thread after that. tell: as for Interruption.
    """
    interruption = Interruption(deadline, tell, grace, result)
    interruption.begin()
    try:
        yield interruption
    finally:
        interruption.end()
