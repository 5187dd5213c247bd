# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run collectors on many instances: discover, plan, fan out, account for all that is owed, look again, finish."""

from __future__ import annotations

import threading
from typing import Any, Callable, Sequence

from ... import fanout
from ...bundle.store import Store
from ...catalog import Selection
from ...deadline import Deadline
from ...fanout import CapacityLimiter, Outcome
from ...model import LedgerRow, row, utc_now, utc_text
from ...progress import Progress
from ...reasons import Reason, verdict
from ...transports.base import Discovery, Transport
from .collector import Batch, Collector, Plan
from .discovery import discovery_rows
from .job import Job
from .restarts import look_again


class Engine:
    """The surroundings of one run. concurrency: jobs at a time; node_concurrency: of those, on one node.

    fan_out: as fanout.run().
    """

    def __init__(
        self,
        transport: Transport,
        selection: Selection,
        store: Store,
        deadline: Deadline,
        concurrency: int = 40,
        node_concurrency: int = 20,
        progress: Progress | None = None,
        fan_out: Callable[..., Any] = fanout.run,
    ) -> None:
        self._transport = transport
        self._selection = selection
        self._store = store
        self._deadline = deadline
        self._concurrency = concurrency
        self._nodes = CapacityLimiter(node_concurrency)
        self._progress = progress or Progress()
        self._fan_out = fan_out

    def run(self, collectors: Sequence[Collector[Any]], found: Discovery) -> list[LedgerRow]:
        """Take all captures of all instances found, and close the ledger; return its rows.

        Every capture that a plan owes has exactly one row, whatever its instance does.
        """
        cluster = found.cluster_or(self._transport.cluster)
        rows = discovery_rows(found, self._selection, cluster)
        planned = [(collector, [collector.plan(instance) for instance in found.instances]) for collector in collectors]
        self._store.record(rows)
        for _collector, plans in planned:
            self._accept(plans)
        jobs = [job for _collector, plans in planned for plan in plans for job in plan.jobs]
        try:
            for collector, plans in planned:
                collector.prepare(found, cluster, self._deadline)
                self._collect(collector, [job for plan in plans for job in plan.jobs])
        except Exception as error:
            # A disk may be full: what is owed is accounted for before the run fails.
            for job in jobs:
                job.close(verdict(Reason.ERROR, f"{type(error).__name__}: {error}"))
            raise
        again = [instance for collector, plans in planned for instance in collector.look_again_at(plans)]
        seen = look_again(self._transport, again, self._deadline)
        rows = list(self._store.rows)
        for collector, plans in planned:
            rows = collector.finish(rows, plans, seen)
        self._store.finish(rows)
        return rows

    def _accept(self, plans: Sequence[Plan[Any]]) -> None:
        """Record what is refused, and give all jobs the surroundings of the run."""
        for plan in plans:
            for job in plan.jobs:
                job.bind(self._store, self._deadline, self._nodes)
        refused = [entry for plan in plans for entry in refused_rows(plan)]
        if refused:
            self._store.record(refused)

    def _collect(self, collector: Collector[Any], jobs: Sequence[Job]) -> None:
        """Run all jobs of a collector, batch by batch. Batches may overlap."""
        if collector.counted:
            self._progress.expect(collector.counted, len(jobs))
        threads: list[threading.Thread] = []
        errors: list[BaseException] = []
        for batch in collector.batches(jobs, self._deadline):
            if threads and self._deadline.expired:
                # The remaining batches only record rows, so they need not overlap.
                threads[-1].join()
            arguments = (collector, batch, errors)
            threads.append(threading.Thread(target=self._run_batch, args=arguments, name="batch", daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        for job in jobs:
            job.close(verdict(Reason.RUN_DEADLINE))

    def _run_batch(self, collector: Collector[Any], batch: Batch[Any], errors: list[BaseException]) -> None:
        def work(job: Job) -> None:
            try:
                collector.collect(job)
            finally:
                job.ended.set()

        counted = self._progress.counting(collector.counted, work) if collector.counted else work
        try:
            concurrency = batch.concurrency or self._concurrency
            for outcome in self._fan_out(batch.jobs, counted, concurrency, self._deadline):
                account_for(outcome)
        except BaseException as error:  # noqa: BLE001  # pylint: disable=broad-except
            # Raised again by the thread that waits for all batches.
            errors.append(error)
        finally:
            batch.ended.set()


def preview(
    collectors: Sequence[Collector[Any]],
    found: Discovery,
    selection: Selection,
    cluster: str,
    deadline: Deadline,
    timeout: float,
) -> list[LedgerRow]:
    """Return the rows of check mode: what is refused, and what would be captured. timeout: per instance, in seconds."""
    rows = discovery_rows(found, selection, found.cluster_or(cluster))
    for collector in collectors:
        for instance in found.instances:
            plan = collector.plan(instance)
            rows += refused_rows(plan)
            if plan.jobs:
                outcome = collector.preview(instance, deadline.child(timeout, "instance"))
                owed = [(capture, job.sequence_of(capture)) for job in plan.jobs for capture in job.owed]
                rows += [row(instance, capture, outcome, sequence) for capture, sequence in owed]
    return rows


def refused_rows(plan: Plan[Any]) -> list[LedgerRow]:
    """Return the rows of captures that a plan refuses."""
    now = utc_text(utc_now())
    return [row(plan.instance, capture, why, sequence, started=now) for capture, sequence, why in plan.refused]


def account_for(outcome: Outcome[Any, None]) -> None:
    """Close a job whose thread has ended, was abandoned, or was not started."""
    job: Job = outcome.target
    if outcome.error is not None:
        job.close(verdict(Reason.ERROR, f"{type(outcome.error).__name__}: {outcome.error}"))
    elif outcome.abandoned:
        job.abandon()
    elif not outcome.started:
        job.close(verdict(Reason.RUN_DEADLINE))
    else:
        job.close(verdict(Reason.ERROR, "it ended without a result"))
