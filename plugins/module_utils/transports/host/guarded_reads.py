# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads that may hang, done by helper threads with a time limit. A thread whose read hangs is abandoned.

/proc/PID/cmdline and environ are read from the memory of the process. While that is locked, every reader hangs
(get_mm_cmdline and environ_read in fs/proc/base.c, mmap_lock). So one process whose disk is gone would block the
inspection of all others.
"""

from __future__ import annotations

import queue
import threading
from typing import Any, Callable, Hashable

# Seconds. A read takes microseconds, a little more on a busy machine.
READ_SECONDS = 2.0


class _ReadThread(threading.Thread):
    """Thread that performs reads one after the other. is_busy: it reads. is_abandoned: its read took too long."""

    def __init__(self) -> None:
        super().__init__(name="guarded-read", daemon=True)
        self.todo: queue.SimpleQueue[tuple[Callable[[], bytes], Any]] = queue.SimpleQueue()
        self.is_busy = self.is_abandoned = False
        self.start()

    def run(self) -> None:
        while not self.is_abandoned:
            work, done = self.todo.get()
            try:
                done.put((work(), None))
            except OSError as error:
                done.put((b"", error))


class GuardedReads:
    """Pool of threads for reads that may hang. Safe for many threads."""

    def __init__(self, timeout: float = READ_SECONDS) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle: list[_ReadThread] = []
        self._hanging: set[Hashable] = set()

    def read(self, key: Hashable, work: Callable[[], bytes]) -> bytes:
        """Return the result of work(), or raise its OSError. Raise TimeoutError while it hangs.

        key: the file. A hanging file is not read again, so that at most one thread is abandoned for it.
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
            data, error = done.get(timeout=self._timeout)
        except queue.Empty:
            with self._lock:
                reader.is_abandoned = True
                if reader.is_busy:
                    self._hanging.add(key)
            raise TimeoutError(f"reading {key} hangs") from None
        with self._lock:
            self._idle.append(reader)
        if error is not None:
            raise error
        return data
