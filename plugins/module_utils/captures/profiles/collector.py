# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect profiles from /debug/pprof.

An instance is asked for one profile after the other, the cheapest first. If more requests are of no use or would harm
(no answer, a full queue), they end. CPU profiles and traces come after all snapshots, on a limited number of replicas
of a component at a time.
"""

from __future__ import annotations

from typing import Any, Iterator, Sequence

from ...capture_options import INDEX, ProfileOptions
from ...catalog import PPROF_EXACT, PPROF_NONE, component_of, http_of
from ...deadline import Deadline, DeadlineExceeded
from ...fanout import CapacityLimiter
from ...model import Instance, InstanceKey
from ...pprof import Kind
from ...profiles.cost_estimate import CostEstimate, estimate
from ...profiles.load_guard import WorkerPool, has_pool, load_refusal
from ...reasons import Reason, Status, Verdict, verdict
from ...transports.base import Discovery, Transport
from ..engine.collector import Batch, Collector, Plan
from ..engine.discovery import refuse_by_state
from .fetch import ProfileFetcher, look_at_pool
from .job import NAMES, ProfileJob, ProfileTarget, captures_of

# After these outcomes, further requests are of no use, or do harm.
_STOPS = frozenset(
    (Reason.NO_ANSWER, Reason.QUEUE_FULL, Reason.PROCESS_TIMEOUT, Reason.GONE, Reason.CONNECTION_REFUSED)
)


class ProfileCollector(Collector[ProfileJob]):
    """Requests profiles of each instance: a job for its snapshots, and one for the kinds that run for a time.

    names: the names of addresses that were asked for.
    """

    counted = "readings"

    def __init__(self, transport: Transport, options: ProfileOptions) -> None:
        self._transport = transport
        self._options = options
        self._fetcher = ProfileFetcher(transport, options.max_bytes)
        self._replicas = CapacityLimiter(options.max_replicas_at_once)
        self._touched: set[InstanceKey] = set()
        self.names: list[dict[str, str]] = []

    @property
    def touched(self) -> int:
        """Return how many instances began a CPU profile, a trace, or a garbage collection."""
        return len(self._touched)

    def plan(self, instance: Instance) -> Plan[ProfileJob]:
        wanted, names = self._options.wanted, bool(self._options.addresses)
        http = http_of(component_of(instance.component), instance.ports)
        if http is None or http.pprof == PPROF_NONE:
            return _all_refused(
                instance, captures_of(wanted, names), verdict(Reason.NOT_OFFERED, "it has no /debug/pprof")
            )
        refusal = refuse_by_state(instance)
        if refusal is not None:
            return _all_refused(instance, captures_of(wanted, names), refusal.verdict)
        has = [kind for kind in wanted if kind.exact or http.pprof != PPROF_EXACT]
        snapshots, timed = [kind for kind in has if not kind.timed], [kind for kind in has if kind.timed]
        target = ProfileTarget(instance, http)
        jobs = [ProfileJob(target, snapshots, captures_of(snapshots, names))]
        if timed:
            jobs.append(ProfileJob(target, timed, captures_of(timed, names=False), jobs[0]))
        lacks = verdict(Reason.NOT_REGISTERED)
        return Plan(instance, jobs, [(kind.capture, 1, lacks) for kind in wanted if kind not in has])

    def estimate(self, found: Discovery, deadline: float) -> CostEstimate:
        """Estimate what a run costs. deadline: of the run, in seconds."""
        options = self._options
        plans = [self.plan(instance) for instance in found.instances]
        asked = [(plan.instance, [kind for job in plan.jobs for kind in job.kinds]) for plan in plans if plan.jobs]
        return estimate(asked, options.seconds, options.max_replicas_at_once, options.gc, deadline)

    def batches(self, jobs: Sequence[ProfileJob], deadline: Deadline) -> Iterator[Batch[ProfileJob]]:
        del deadline
        yield Batch([job for job in jobs if job.previous is None] + _by_replica(jobs))

    def collect(self, job: ProfileJob) -> None:
        try:
            if job.previous is None:
                self._take_snapshots(job)
            else:
                self._take_timed(job, job.previous)
        except DeadlineExceeded:
            job.close(verdict(Reason.RUN_DEADLINE))

    def _take_snapshots(self, job: ProfileJob) -> None:
        with job.hold_node(job.deadline):
            self._fetch_all(job)
            if job.target.closed is None and NAMES in job.owed:
                self._fetch_names(job)
        if job.target.closed is not None:
            job.close(job.target.closed)

    def _take_timed(self, job: ProfileJob, previous: ProfileJob) -> None:
        if not previous.ended.wait(job.deadline.remaining()):
            raise DeadlineExceeded("run")
        instance = job.instance
        if job.target.closed is None:
            replicas = self._replicas.hold((instance.namespace, instance.component), job.deadline)
            with replicas, job.hold_node(job.deadline):
                self._fetch_all(job)
        if job.target.closed is not None:
            job.close(job.target.closed)

    def _fetch_all(self, job: ProfileJob) -> None:
        """Request the kinds of a job. The worker pool is looked at anew, since the job may have waited for long."""
        pool, problem = look_at_pool(self._transport, job.target, self._within(job, self._options.timeout))
        if has_pool(job.target.http) and not self._options.force:
            job.target.closed = load_refusal(pool, problem, timed=job.previous is not None)
        for kind in job.kinds:
            if job.target.closed is None:
                self._fetch(job, kind, pool)

    def _within(self, job: ProfileJob, seconds: float) -> Deadline:
        return job.deadline.child(seconds, "profile")

    def _fetch(self, job: ProfileJob, kind: Kind, pool: WorkerPool | None) -> None:
        """Request one profile and record it. Close the target if more requests are of no use."""
        seconds = self._options.seconds.get(kind.name, 0)
        if job.deadline.remaining() < seconds:
            # Begun, it would cost the service its time for nothing.
            job.target.closed = verdict(Reason.RUN_DEADLINE, f"{kind.name} takes {seconds} s")
            return
        details: dict[str, Any] = {"seconds": seconds} if seconds else {}
        if pool is not None:
            details["pool"] = pool.details
        if kind.timed or (self._options.gc and kind.name == "heap"):
            self._touched.add(job.instance.key)
        deadline = self._within(job, seconds + self._options.timeout)
        entry = self._fetcher.fetch(job, kind, self._options.path(kind), deadline, details, kind is INDEX)
        job.record(entry)
        outcome = Verdict(Reason(entry.reason), entry.message)
        if kind is INDEX and outcome.status is Status.FAILED:
            job.target.closed = outcome
        elif outcome.reason in _STOPS:
            job.target.closed = verdict(outcome.reason, f"{kind.name} was asked for, and nothing more after it")

    def _fetch_names(self, job: ProfileJob) -> None:
        addresses = sorted(set(self._options.addresses))
        entry, names = self._fetcher.names(job, addresses, self._within(job, self._options.timeout))
        job.record(entry)
        instance = job.instance
        about = {"cluster": instance.cluster, "component": instance.component, "instance": instance.name}
        self.names += [{**about, "address": f"{address:#x}", "name": name} for address, name in names.items()]


def _all_refused(instance: Instance, captures: Sequence[str], outcome: Verdict) -> Plan[ProfileJob]:
    return Plan(instance, refused=[(capture, 1, outcome) for capture in captures])


def _by_replica(jobs: Sequence[ProfileJob]) -> list[ProfileJob]:
    """Return the timed jobs: the first replica of every component before the second of any."""
    seen: dict[tuple[str, str], int] = {}
    numbered: list[tuple[int, int, ProfileJob]] = []
    for job in jobs:
        if job.previous is not None:
            key = job.instance.namespace, job.instance.component
            seen[key] = seen.get(key, 0) + 1
            numbered.append((seen[key], len(numbered), job))
    return [job for _replica, _number, job in sorted(numbered, key=lambda item: item[:2])]
