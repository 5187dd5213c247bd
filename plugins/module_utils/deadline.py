# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines for work, and the watchdog thread that enforces them on blocking calls.

A timeout of each call does not hold against a peer that sends one byte at a time. So a deadline is an absolute moment
that is passed down, and a blocking call registers with guard() how to cut it off, usually by shutting its socket down.
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
    """A deadline passed. scope: the name of the work that it was set for."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"the deadline of the {scope} passed")


class Watchdog:
    """Runs callbacks at given times on a daemon thread. After fire_all(), it runs them at once."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._heap: list[tuple[float, int]] = []
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._tickets = itertools.count()
        self._thread: threading.Thread | None = None
        self.fired = False

    def fire_all(self) -> None:
        """Run all callbacks now, and later ones as soon as they are registered."""
        with self._condition:
            self.fired = True
            self._condition.notify()

    def at(self, moment: float, callback: Callable[[], None]) -> int:
        """Run the callback once when the clock reaches the moment; return a ticket for cancel()."""
        with self._condition:
            ticket = next(self._tickets)
            self._callbacks[ticket] = callback
            heapq.heappush(self._heap, (moment, ticket))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            if self._heap[0][1] == ticket:
                # The thread waits for the earliest moment only.
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
                    if self.fired:
                        self._thread = None
                        return
                    self._condition.wait()
                moment, ticket = self._heap[0]
                if ticket not in self._callbacks:
                    heapq.heappop(self._heap)
                    continue
                wait = moment - self._clock()
                if wait > 0 and not self.fired:
                    self._condition.wait(wait)
                    continue
                heapq.heappop(self._heap)
                callback = self._callbacks.pop(ticket)
            # What is cut off may be closing itself at this moment, on its own thread. Whatever it raises, the other
            # callbacks have to run in their time.
            with contextlib.suppress(Exception):
                callback()


class Deadline:
    """A moment by which work must end. A child never ends after its parent."""

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
        """Return a deadline by the same clock that does not depend on this one."""
        return Deadline(seconds, scope, self._clock)

    def cancel(self) -> None:
        """Let the deadline pass now, together with its parents and children."""
        self._watchdog.fire_all()

    def remaining(self) -> float:
        """Return the seconds left, never negative."""
        return 0.0 if self._watchdog.fired else max(0.0, self._moment - self._clock())

    @property
    def expired(self) -> bool:
        return self._watchdog.fired or self._clock() >= self._moment

    def check(self) -> None:
        """Raise DeadlineExceeded if the moment has passed."""
        if self.expired:
            raise DeadlineExceeded(self.scope)

    def wait(self, seconds: float) -> None:
        """Wait for these seconds, or until the moment has passed."""
        passed = threading.Event()
        with self.guard(passed.set):
            passed.wait(min(seconds, self.remaining()))

    @contextlib.contextmanager
    def guard(self, cut_off: Callable[[], None]) -> Iterator[None]:
        """Call cut_off() from another thread if the deadline passes within the block."""
        ticket = self._watchdog.at(self._moment, cut_off)
        try:
            yield
        finally:
            self._watchdog.cancel(ticket)


def in_time(deadline: Deadline, work: Callable[[], Result], name: str = "in-time") -> Result:
    """Return the result of work. DeadlineExceeded if it does not end in time; its thread is then left behind.

    For work that cannot be cut off: libraries that connect and read a header with a timeout for each read only.
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
