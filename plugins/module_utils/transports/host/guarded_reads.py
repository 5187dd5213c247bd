# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads that may hang: each is done by another thread and waited for a while; one that hangs is left behind.

/proc/PID/cmdline and environ are read out of the memory of the process. While that is locked, whoever reads them hangs
as the process does (get_mm_cmdline and environ_read in fs/proc/base.c, mmap_lock). So one process whose disk is gone
would hold up the look at all others.
"""

from __future__ import annotations

import queue
import threading
from typing import Any, Callable, Hashable

# A read takes microseconds, and on a busy machine a moment more.
READ_SECONDS = 2.0


class _ReadThread(threading.Thread):
    """Does what it is given, one after the other, as long as that ends in time.

    is_busy: it reads. is_left: nobody waits for it any more.
    """

    def __init__(self) -> None:
        super().__init__(name="guarded-read", daemon=True)
        self.todo: queue.SimpleQueue[tuple[Callable[[], bytes], Any]] = queue.SimpleQueue()
        self.is_busy = self.is_left = False
        self.start()

    def run(self) -> None:
        while not self.is_left:
            work, done = self.todo.get()
            try:
                done.put((work(), None))
            except OSError as error:
                done.put((b"", error))


class GuardedReads:
    """May be used by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_ReadThread] = []
        self._hanging: set[Hashable] = set()

    def read(self, key: Hashable, work: Callable[[], bytes]) -> bytes:
        """Return what the work returns, or raise its OSError. TimeoutError when it hangs, and as long as it does.

        key: what is read. It is not tried again while it hangs, so that one thread at most is left behind for it.
        """
        with self._lock:
            if key in self._hanging:
                raise TimeoutError(f"reading {key} hangs")
            reader = self._idle.pop() if self._idle else _ReadThread()
            reader.is_busy = True

        def guarded() -> bytes:
            try:
                return work()
            finally:
                with self._lock:
                    reader.is_busy = False
                    self._hanging.discard(key)

        done: queue.SimpleQueue[tuple[bytes, OSError | None]] = queue.SimpleQueue()
        reader.todo.put((guarded, done))
        try:
            data, error = done.get(timeout=READ_SECONDS)
        except queue.Empty:
            with self._lock:
                reader.is_left = True
                if reader.is_busy:
                    self._hanging.add(key)
            raise TimeoutError(f"reading {key} hangs") from None
        with self._lock:
            self._idle.append(reader)
        if error is not None:
            raise error
        return data
