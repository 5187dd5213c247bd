# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines as scopes around work, and the one thread that enforces them on blocking calls.

A per-call timeout does not hold against a peer that drips one byte at a time. So a deadline is an absolute
moment, passed down; what blocks registers a way to be cut off (usually: shut its socket down) with guard().
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import threading
import time
from typing import Callable, Iterator, TypeVar

Result = TypeVar("Result")
Clock = Callable[[], float]


class DeadlineExceeded(Exception):
    """Raised by Deadline.check(); scope names whose deadline it was."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"the deadline of the {scope} passed")


class Watchdog:
    """Runs callbacks at given moments, on one daemon thread that starts with the first of them, and ends in a hurry."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._heap: list[tuple[float, int]] = []
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._tickets = itertools.count()
        self._thread: threading.Thread | None = None
        self.hurried = False

    def hurry(self) -> None:
        """Call all callbacks now, and those to come as they come."""
        with self._condition:
            self.hurried = True
            self._condition.notify()

    def at(self, moment: float, callback: Callable[[], None]) -> int:
        """Call callback once when the clock reaches moment; the ticket cancels it."""
        with self._condition:
            ticket = next(self._tickets)
            self._callbacks[ticket] = callback
            heapq.heappush(self._heap, (moment, ticket))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            if self._heap[0][1] == ticket:
                # Only a new earliest moment concerns the thread.
                self._condition.notify()
        return ticket

    def cancel(self, ticket: int) -> None:
        with self._condition:
            self._callbacks.pop(ticket, None)

    def _run(self) -> None:
        while True:
            callback = None
            with self._condition:
                while not self._heap:
                    if self.hurried:
                        self._thread = None
                        return
                    self._condition.wait()
                moment, ticket = self._heap[0]
                if ticket not in self._callbacks:
                    heapq.heappop(self._heap)
                    continue
                wait = moment - self._clock()
                if wait > 0 and not self.hurried:
                    self._condition.wait(wait)
                    continue
                heapq.heappop(self._heap)
                callback = self._callbacks.pop(ticket)
            # The thing to cut off may be closing itself at this very moment, on its own thread; and whatever it raises,
            # the others have to be cut off in their time as well.
            with contextlib.suppress(Exception):
                callback()


class Deadline:
    """A moment by which work must end. Children never outlive their parent."""

    def __init__(
        self,
        seconds: float,
        scope: str = "run",
        clock: Clock = time.monotonic,
        parent: Deadline | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        self._clock = clock
        self._moment = clock() + seconds
        self.scope = scope
        if parent is not None and parent._moment <= self._moment:
            self._moment, self.scope = parent._moment, parent.scope
        self._watchdog: Watchdog = watchdog or (parent._watchdog if parent else Watchdog(clock))

    def child(self, seconds: float, scope: str) -> Deadline:
        return Deadline(seconds, scope, self._clock, self)

    def beside(self, seconds: float, scope: str) -> Deadline:
        """A deadline by the same clock that this one does not end."""
        return Deadline(seconds, scope, self._clock)

    def cancel(self) -> None:
        """From now on it has passed, and so have those of its parents and children."""
        self._watchdog.hurry()

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return 0.0 if self._watchdog.hurried else max(0.0, self._moment - self._clock())

    @property
    def expired(self) -> bool:
        return self._watchdog.hurried or self._clock() >= self._moment

    def check(self) -> None:
        """DeadlineExceeded when the moment has passed."""
        if self.expired:
            raise DeadlineExceeded(self.scope)

    def wait(self, seconds: float) -> None:
        """Wait so many seconds, or until the moment has passed."""
        passed = threading.Event()
        with self.guard(passed.set):
            passed.wait(min(seconds, self.remaining()))

    @contextlib.contextmanager
    def guard(self, cut_off: Callable[[], None]) -> Iterator[None]:
        """Within the block, cut_off() is called from another thread when the deadline passes."""
        ticket = self._watchdog.at(self._moment, cut_off)
        try:
            yield
        finally:
            self._watchdog.cancel(ticket)


def in_time(deadline: Deadline, work: Callable[[], Result], name: str = "in-time") -> Result:
    """Return what work returns. DeadlineExceeded when it does not end in time: its thread is then left behind.

    For work that cannot be cut off: libraries that connect and read a head with a timeout for each read only.
    """
    deadline.check()
    results: list[Result] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-except
            # Raised again below, in the thread that waits.
            errors.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join(deadline.remaining())
    if errors:
        raise errors[0]
    if not results:
        raise DeadlineExceeded(deadline.scope)
    return results[0]
