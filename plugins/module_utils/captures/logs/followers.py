# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow many logs at once, on one thread for each."""

from __future__ import annotations

import threading
import time
from typing import Callable

from ...deadline import Deadline
from ...model import InstanceKey
from ...transports.follow import Event, Gap, Lines, LogFollower, Opened, WriterChanged
from ...watch.watcher import Hit, LogWatcher


class Followers:
    """The logs that are followed now. A log that has ended is none of them any more. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[InstanceKey, tuple[threading.Thread, LogFollower]] = {}
        self._stopped = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._threads)

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._threads

    @property
    def is_stopped(self) -> bool:
        """Return whether no further log is followed."""
        return self._stopped

    def begin(
        self,
        key: InstanceKey,
        follow: LogFollower,
        take: Callable[[Event], None],
        fail: Callable[[Exception], None],
    ) -> bool:
        """Follow a log: call take with each event, fail with an error. Return False if all were stopped before."""

        def run() -> None:
            try:
                for event in follow.events():
                    take(event)
            except Exception as error:  # noqa: BLE001  # pylint: disable=broad-except
                # Reported, not swallowed: the other logs are followed on.
                fail(error)
            finally:
                with self._lock:
                    self._threads.pop(key, None)

        thread = threading.Thread(target=run, name="log", daemon=True)
        with self._lock:
            if self._stopped:
                return False
            self._threads[key] = thread, follow
            # Started with the lock held, so that only started threads are joined.
            thread.start()
        return True

    def stop(self) -> list[threading.Thread]:
        """Stop all; return the threads that are ending."""
        with self._lock:
            self._stopped = True
            followed = list(self._threads.values())
        for _thread, follow in followed:
            follow.stop()
        return [thread for thread, _follow in followed]


def join_all(threads: list[threading.Thread], seconds: float) -> None:
    """Wait for threads to end. Those that still work after this long are left behind: they are daemons."""
    grace = Deadline(seconds, "end")
    for thread in threads:
        thread.join(grace.remaining())


def feed(watcher: LogWatcher, event: Event) -> list[Hit]:
    """Pass an event of a followed log to its watcher; return the hits in new lines."""
    if isinstance(event, Lines):
        return watcher.feed(event.data)
    if isinstance(event, Opened):
        watcher.opened(event.since, event.is_empty)
    elif isinstance(event, Gap):
        watcher.gap(event.kind, event.message, event.since, event.until)
    elif isinstance(event, WriterChanged):
        watcher.container_changed(event.container_id, event.restarts, time.time())
    return []
