# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several dumps of each instance, one round after the other. A round begins in its time, also while instances hang.

An instance is never signalled while its dump before is awaited. Where that comes late, the next one is taken at once;
where it does not come at all, the rounds that have begun meanwhile are skipped for this instance.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Iterator, Sequence

from ...bundle.store import Store
from ...deadline import Deadline
from ...fanout import Gate, Outcome, run
from ...model import Instance, InstanceKey
from ...progress import Progress
from ...reasons import Reason
from .attempt import Attempt
from .collector import Options, StackCapture


@dataclass(frozen=True)
class Turn:
    """One instance in one round. before: its attempt in the round before. gate: that of its wave."""

    attempt: Attempt
    before: Attempt | None
    gate: Gate


class Rounds:
    """All rounds of a run."""

    def __init__(
        self, capture: StackCapture, store: Store, options: Options, deadline: Deadline, progress: Progress
    ) -> None:
        self._capture = capture
        self._store = store
        self._options = options
        self._deadline = deadline
        self._progress = progress
        self._changed = threading.Condition()
        self._newest: dict[InstanceKey, Attempt] = {}
        # The round that began last, and since some dump of it came: when this passes, whoever is left hangs.
        self._sequence = 0
        self._quiet: Deadline | None = None
        self._errors: list[BaseException] = []

    def run(self, targets: Sequence[Instance]) -> None:
        """Take all dumps of all targets; each of them gets a row."""
        if not targets:
            return
        threads = []
        for sequence in range(1, self._options.count + 1):
            # The interval runs from start to start.
            interval = self._deadline.beside(self._options.interval, "interval")
            turns = list(self._turns(targets, sequence))
            thread = threading.Thread(target=self._one_round, args=(turns,), name=f"round-{sequence}", daemon=True)
            thread.start()
            threads.append(thread)
            if sequence < self._options.count:
                self._await_next(interval)
            if self._deadline.expired:
                # The rounds that are left bring rows only, one after the other.
                thread.join()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _turns(self, targets: Sequence[Instance], sequence: int) -> Iterator[Turn]:
        """The turns of a round; those whose dump before is still awaited come last, and nobody waits for them."""
        with self._changed:
            self._sequence, self._quiet = sequence, None
            late = [one for one in targets if not self._is_free(one)]
            ready = [one for one in targets if self._is_free(one)]
            for start in range(0, len(ready), self._options.concurrency):
                wave = ready[start : start + self._options.concurrency]
                gate = Gate(len(wave), self._options.gate_patience)
                yield from (self._turn(instance, sequence, gate) for instance in wave)
            yield from (self._turn(instance, sequence, Gate(1, 0.0)) for instance in late)

    def _turn(self, instance: Instance, sequence: int, gate: Gate) -> Turn:
        attempt = Attempt(instance, sequence, self._store)
        before = self._newest.get(instance.key)
        self._newest[instance.key] = attempt
        return Turn(attempt, before, gate)

    def _is_free(self, instance: Instance) -> bool:
        before = self._newest.get(instance.key)
        return before is None or before.ended.is_set()

    def _await_next(self, interval: Deadline) -> None:
        """Wait until the next round may begin: in its time, when all are done or no further dump has come for a while.

        As long as no dump has come at all, all are waited for: there is nobody whom they would hold up.
        """
        with self._deadline.guard(self._wake), self._changed:
            while not self._deadline.expired:
                if interval.expired and self._is_over():
                    return
                waits = [self._deadline.remaining()]
                if not interval.expired:
                    waits.append(interval.remaining())
                elif self._quiet is not None:
                    waits.append(self._quiet.remaining())
                self._wait(min(waits))

    def _wait(self, seconds: float) -> None:
        """Wait until something has changed, at most so many seconds."""
        self._changed.wait(seconds)

    def _wake(self) -> None:
        """Let who waits see that the deadline has passed: it may have been cancelled before its moment."""
        with self._changed:
            self._changed.notify_all()

    def _is_over(self) -> bool:
        hangs = self._quiet is not None and self._quiet.expired
        return hangs or all(attempt.ended.is_set() for attempt in self._newest.values())

    def _one_round(self, turns: Sequence[Turn]) -> None:
        try:
            work = self._progress.counting("dumps", self._work)
            for outcome in run(turns, work, self._options.concurrency, self._deadline):
                _account_for(outcome.target, outcome)
        except BaseException as error:  # noqa: BLE001  # pylint: disable=broad-except
            # Raised again by run(), in the thread that waits.
            self._errors.append(error)

    def _work(self, turn: Turn) -> None:
        try:
            self._take(turn)
        finally:
            with self._changed:
                turn.attempt.ended.set()
                if turn.attempt.is_answered and turn.attempt.sequence == self._sequence:
                    patience = min(self._options.gate_patience, self._options.interval or self._options.gate_patience)
                    self._quiet = self._deadline.beside(patience, "round")
                self._changed.notify_all()

    def _take(self, turn: Turn) -> None:
        with turn.gate.party() as arrive:
            if turn.before is not None and not turn.before.ended.is_set():
                turn.before.ended.wait(self._deadline.remaining())
                if not turn.before.is_answered:
                    turn.attempt.give_up(Reason.DUMP_AWAITED)
                    return
            self._capture.capture(turn.attempt, arrive, self._deadline)


def _account_for(turn: Turn, outcome: Outcome[Any, None]) -> None:
    """Close an attempt that did not come to its own end."""
    attempt, before = turn.attempt, turn.before
    if outcome.error is not None:
        attempt.give_up(Reason.ERROR, f"{type(outcome.error).__name__}: {outcome.error}")
    elif outcome.abandoned and before is not None and not before.ended.is_set():
        attempt.give_up(Reason.DUMP_AWAITED)
    elif outcome.abandoned:
        attempt.give_up(Reason.TIMEOUT, "it did not end when told to, and was left behind")
    elif not outcome.started:
        attempt.give_up(Reason.RUN_DEADLINE)
