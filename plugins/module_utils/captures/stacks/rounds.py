# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Order several dumps of each instance in rounds. A round begins in its time although instances hang.

An instance is never signalled while its previous dump is awaited. If that comes late, the next dump is taken at once;
if it does not come, the rounds that have begun meanwhile are skipped for this instance.
"""

from __future__ import annotations

import threading
from typing import Iterator, Sequence

from ...deadline import Deadline
from ...fanout import Barrier
from ...model import InstanceKey
from ...reasons import Reason, verdict
from ..engine.collector import Batch
from .job import StackJob


class Rounds:
    """All rounds of a run. interval: seconds from the start of a round to the start of the next.

    concurrency: instances that wait at one barrier at most.
    """

    def __init__(self, concurrency: int, interval: float, barrier_timeout: float) -> None:
        self._concurrency = concurrency
        self._interval = interval
        self._barrier_timeout = barrier_timeout
        self._changed = threading.Condition()
        self._newest: dict[InstanceKey, StackJob] = {}
        # The round that began last. Once a dump of it has come, instances that bring none until `_quiet` hang.
        self._sequence = 0
        self._quiet: Deadline | None = None

    def batches(self, jobs: Sequence[StackJob], deadline: Deadline) -> Iterator[Batch[StackJob]]:
        """Yield one batch a round, each in its time."""
        last = max((job.sequence for job in jobs), default=0)
        for sequence in range(1, last + 1):
            interval = deadline.beside(self._interval, "interval")
            yield Batch(self._begin([job for job in jobs if job.sequence == sequence]))
            if sequence < last:
                self._await_next(interval, deadline)

    def _begin(self, jobs: Sequence[StackJob]) -> list[StackJob]:
        """Return the jobs of a round in the order of their start, each with its barrier.

        Instances whose previous dump is still awaited come last, and no other instance waits for them.
        """
        with self._changed:
            self._sequence, self._quiet = jobs[0].sequence, None
            self._newest.update((job.instance.key, job) for job in jobs)
            ready = [job for job in jobs if job.is_free]
            late = [job for job in jobs if not job.is_free]
            for start in range(0, len(ready), self._concurrency):
                wave = ready[start : start + self._concurrency]
                barrier = Barrier(len(wave), self._barrier_timeout)
                for job in wave:
                    job.barrier = barrier
            return [*ready, *late]

    def wait_for_previous(self, job: StackJob) -> bool:
        """Wait until the previous dump of the instance has ended. Return False, and close the job, if none came."""
        previous = job.previous
        if previous is None or previous.ended.is_set():
            return True
        previous.ended.wait(job.deadline.remaining())
        if not previous.is_answered:
            job.close(verdict(Reason.DUMP_AWAITED))
        return previous.is_answered

    def end(self, job: StackJob) -> None:
        """Note that a job has ended, so that its instance may be signalled again."""
        with self._changed:
            job.ended.set()
            if job.is_answered and job.sequence == self._sequence:
                timeout = min(self._barrier_timeout, self._interval or self._barrier_timeout)
                self._quiet = job.deadline.beside(timeout, "round")
            self._changed.notify_all()

    def _await_next(self, interval: Deadline, deadline: Deadline) -> None:
        """Wait for the interval, and until all have ended or no further dump has come for a while.

        As long as no dump has come at all, wait for all: that holds up no other instance.
        """
        with deadline.guard(self._wake), self._changed:
            while not deadline.expired:
                if interval.expired and self._is_over():
                    return
                waits = [deadline.remaining()]
                if not interval.expired:
                    waits.append(interval.remaining())
                elif self._quiet is not None:
                    waits.append(self._quiet.remaining())
                self._wait(min(waits))

    def _wait(self, seconds: float) -> None:
        """Wait until something has changed, for this long at most."""
        self._changed.wait(seconds)

    def _wake(self) -> None:
        """Wake the waiting thread: the deadline may have been cancelled before its moment."""
        with self._changed:
            self._changed.notify_all()

    def _is_over(self) -> bool:
        hangs = self._quiet is not None and self._quiet.expired
        return hangs or all(job.ended.is_set() for job in self._newest.values())
