# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounded concurrency: work on many targets at once, with an outcome for each, and limits for each key."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Generic, Iterator, Sequence, TypeVar

from .deadline import Clock, Deadline, DeadlineExceeded

# Seconds between two looks at the deadline while threads work: if it is cancelled, it passes before its moment.
JOIN_SECONDS = 0.2

Target = TypeVar("Target")
Result = TypeVar("Result")


@dataclass
class Outcome(Generic[Target, Result]):
    """The outcome of one target: a result, an error, or neither if it was not started or was abandoned."""

    target: Target
    result: Result | None = None
    error: BaseException | None = None
    started: bool = False
    finished: bool = False

    @property
    def abandoned(self) -> bool:
        """Return whether it was started, but had not ended when the deadline of the run had passed."""
        return self.started and not self.finished


def run(
    targets: Sequence[Target],
    work: Callable[[Target], Result],
    concurrency: int,
    deadline: Deadline,
    grace: float = 2.0,
) -> list[Outcome[Target, Result]]:
    """Call work(target) for every target on at most `concurrency` threads; return outcomes in the order of targets.

    work has to keep its own deadline. After the run's deadline nothing is started, and work that has not ended `grace`
    seconds later is abandoned: its thread is a daemon, and its outcome says so.
    """
    outcomes: list[Outcome[Target, Result]] = [Outcome(target) for target in targets]
    todo: queue.Queue[Outcome[Target, Result]] = queue.Queue()
    for outcome in outcomes:
        todo.put(outcome)

    threads = [
        threading.Thread(target=_serve, args=(todo, work, deadline), name=f"fanout-{number}", daemon=True)
        for number in range(min(concurrency, len(targets)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive() and not deadline.expired:
            thread.join(min(JOIN_SECONDS, deadline.remaining()))
    end = Deadline(grace, "run")
    for thread in threads:
        thread.join(end.remaining())
    if len(outcomes) != len(targets):
        raise AssertionError("fan-out lost a target")
    return [_frozen(outcome) for outcome in outcomes]


def _serve(todo: queue.Queue[Outcome[Target, Result]], work: Callable[[Target], Result], deadline: Deadline) -> None:
    while not deadline.expired:
        try:
            outcome = todo.get_nowait()
        except queue.Empty:
            return
        outcome.started = True
        try:
            outcome.result = work(outcome.target)
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-except
            # Kept, not swallowed: the caller makes a ledger row from it.
            outcome.error = error
        outcome.finished = True


def _frozen(outcome: Outcome[Target, Result]) -> Outcome[Target, Result]:
    """Return a copy that an abandoned thread cannot change."""
    # Read first, since it is set last: a finished outcome is complete, and nothing is taken of any other.
    if outcome.finished:
        return Outcome(outcome.target, outcome.result, outcome.error, started=True, finished=True)
    return Outcome(outcome.target, started=outcome.started)


class CapacityLimiter:
    """At most `limit` holders per key at the same time, for example of exec sessions on one node."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._semaphores: dict[Any, threading.Semaphore] = {}

    @contextlib.contextmanager
    def hold(self, key: Any, deadline: Deadline) -> Iterator[None]:
        """Hold one of the places of a key within the block. DeadlineExceeded if none gets free in time."""
        with self._lock:
            semaphore = self._semaphores.setdefault(key, threading.Semaphore(self._limit))
        if not semaphore.acquire(timeout=deadline.remaining()):
            raise DeadlineExceeded(deadline.scope)
        try:
            yield
        finally:
            semaphore.release()


class Barrier:
    """Lets a known number of parties go on at the same moment.

    It opens when every party has arrived or left, or `timeout` seconds after the first arrival, so that a party that
    hangs does not hold up the others. A party that arrives later passes at once.
    """

    def __init__(self, parties: int, timeout: float, clock: Clock = time.monotonic) -> None:
        self._condition = threading.Condition()
        self._missing = parties
        self._timeout = timeout
        self._clock = clock
        self._opens: Deadline | None = None
        self._open = False

    @contextlib.contextmanager
    def party(self) -> Iterator[Callable[[Deadline], None]]:
        """Yield a function with which a party arrives and waits. A party that ends the block without it has left."""
        arrived: list[bool] = []

        def arrive(deadline: Deadline) -> None:
            arrived.append(True)
            self._arrive(deadline)

        try:
            yield arrive
        finally:
            if not arrived:
                with self._condition:
                    self._count_down()

    def _count_down(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._open = True
            self._condition.notify_all()

    def _arrive(self, deadline: Deadline) -> None:
        with self._condition:
            if self._opens is None:
                self._opens = Deadline(self._timeout, "barrier", self._clock)
            self._count_down()
            while not self._open:
                wait = min(self._opens.remaining(), deadline.remaining())
                if wait <= 0:
                    self._open = self._open or self._opens.expired
                    break
                self._condition.wait(wait)
            if self._open:
                self._condition.notify_all()
        deadline.check()
