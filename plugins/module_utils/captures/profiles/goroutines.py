# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect goroutines from /debug/pprof, in addition to the dump that answers a signal: each with its state and wait.

Run after the dumps, so that a signal is never delayed, and only on services that have a free worker.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Iterator, Sequence

from ...capture_names import STACK_PPROF
from ...capture_options import StackOptions
from ...catalog import PPROF_EXACT, PPROF_NONE, Http, component_of, http_of
from ...deadline import Deadline, DeadlineExceeded
from ...model import Instance
from ...pprof import KINDS, profile_path
from ...profiles.load_guard import has_pool, load_refusal
from ...reasons import Reason, Status, Verdict, verdict
from ...transports.base import Transport
from ..engine.collector import Batch, Collector, Plan
from ..engine.discovery import refuse_by_state
from .fetch import ProfileFetcher, look_at_pool
from .job import ProfileJob, ProfileTarget

KIND = replace(KINDS["goroutine_debug2"], file="stack-pprof-1.txt", row=STACK_PPROF)
# Goroutines that the user did not ask for must not hold up the run when an instance hangs.
UNASKED_SECONDS = 5.0


class GoroutineCollector(Collector[ProfileJob]):
    """Requests the goroutines of each instance with their states and waits.

    With the method auto, they are taken only where that costs little, and nothing is recorded where they cannot be had.
    """

    def __init__(self, transport: Transport, options: StackOptions) -> None:
        self._transport = transport
        self._timeout = options.timeout
        self._is_opportunistic = options.method == "auto"
        self._fetcher = ProfileFetcher(transport, options.max_bytes)
        if self._is_opportunistic:
            self.additional = frozenset((STACK_PPROF,))

    def plan(self, instance: Instance) -> Plan[ProfileJob]:
        http = http_of(component_of(instance.component), instance.ports) or Http(0, (), pprof=PPROF_NONE)
        refused = _refusal(instance, http)
        if refused is None:
            owed = [] if self._is_opportunistic else [STACK_PPROF]
            return Plan(instance, [ProfileJob(ProfileTarget(instance, http), [KIND], owed)])
        if self._is_opportunistic:
            return Plan(instance)
        return Plan(instance, refused=[(STACK_PPROF, 1, refused)])

    def preview(self, instance: Instance, deadline: Deadline) -> Verdict:
        del instance, deadline
        return verdict(Reason.CHECK_MODE, "the goroutines would be asked for by /debug/pprof")

    def batches(self, jobs: Sequence[ProfileJob], deadline: Deadline) -> Iterator[Batch[ProfileJob]]:
        """Yield all jobs; if opportunistic, ask one whether it is allowed, one of each component whether it is on."""
        if not self._is_opportunistic:
            yield from super().batches(jobs, deadline)
            return
        firsts = list({job.instance.component: job for job in reversed(jobs)}.values())
        rest = [job for job in jobs if job not in firsts]
        off: set[str] = set()
        for some in (firsts[:1], firsts[1:], rest):
            batch = Batch([job for job in some if job.instance.component not in off])
            yield batch
            batch.ended.wait()
            if any(job.reason is Reason.FORBIDDEN for job in batch.jobs):
                return
            off.update(job.instance.component for job in batch.jobs if job.reason is Reason.PROFILING_OFF)

    def collect(self, job: ProfileJob) -> None:
        seconds = UNASKED_SECONDS if self._is_opportunistic else self._timeout
        try:
            with job.hold_node(job.deadline):
                self._take(job, job.deadline.child(seconds, "instance"))
        except DeadlineExceeded:
            job.close(verdict(Reason.RUN_DEADLINE))

    def _take(self, job: ProfileJob, deadline: Deadline) -> None:
        half = deadline.child(deadline.remaining() / 2, "instance")
        pool, problem = look_at_pool(self._transport, job.target, half)
        refused: Verdict | None = None
        if self._is_opportunistic:
            # Unasked, nothing is requested of a service that does not tell how busy it is.
            refused = problem or load_refusal(pool, problem, timed=True)
        elif has_pool(job.target.http):
            refused = load_refusal(pool, problem, timed=False)
        if refused is not None:
            job.reason = refused.reason
            job.close(refused)
            return
        entry = self._fetcher.fetch(job, KIND, profile_path(KIND.name), deadline, {}, is_first=True)
        job.reason = Reason(entry.reason)
        if not self._is_opportunistic or Status(entry.status) in (Status.COMPLETE, Status.PARTIAL):
            job.record(entry)


def _refusal(instance: Instance, http: Http) -> Verdict | None:
    refusal = refuse_by_state(instance)
    if refusal is not None:
        return refusal.verdict
    if http.pprof == PPROF_NONE:
        return verdict(Reason.NOT_OFFERED, "it has no /debug/pprof")
    return verdict(Reason.NOT_REGISTERED) if http.pprof == PPROF_EXACT else None
