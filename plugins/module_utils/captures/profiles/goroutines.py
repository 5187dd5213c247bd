# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The goroutines by /debug/pprof, in addition to the dump that answers a signal: each with its state and its wait.

Taken after the dumps, so that it never delays a signal, and only of services that have a worker to spare.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from ...bundle.store import Store
from ...catalog import PPROF_EXACT, PPROF_NONE, Http, component_of, http_of
from ...deadline import Deadline, DeadlineExceeded
from ...fanout import Caps, run
from ...model import Instance, LedgerRow
from ...pprof import KINDS, profile_path
from ...reasons import Reason, Status, Verdict, verdict
from ...transports.base import Transport
from ..engine.refusals import refuse_by_state
from ..engine.run import unfinished
from ..stacks.collector import Options
from . import load_guard as cost
from .fetch import Taker, look_at_pool
from .job import Subject

STACK_PPROF = "stack:pprof"
KIND = replace(KINDS["goroutine_debug2"], file="stack-pprof-1.txt", row=STACK_PPROF)
# Nobody asked for it by name, so it must not hold up the run for one that hangs.
UNASKED_SECONDS = 5.0


def take_goroutines(
    transport: Transport, instances: Sequence[Instance], store: Store, options: Options, deadline: Deadline
) -> None:
    """Their goroutines, and a row for each; where the method is auto, only for those of which something came."""
    quiet = options.method == "auto"
    subjects = []
    for instance in instances:
        http, refused = _asked(instance)
        subject = Subject(instance, http, [KIND], names=False, store=store)
        if refused is None:
            subjects.append(subject)
        elif not quiet:
            subject.end([STACK_PPROF], refused)
    session = _Session(transport, store, options, deadline)
    if quiet:
        session.take_where_it_can_be_had(subjects)
    else:
        session.take_all(subjects)


def _asked(instance: Instance) -> tuple[Http, Verdict | None]:
    """Where the instance is asked, and why it is not."""
    http = http_of(component_of(instance.component), instance.ports) or Http(0, (), pprof=PPROF_NONE)
    refusal = refuse_by_state(instance)
    if refusal is not None:
        return http, refusal.verdict
    if http.pprof == PPROF_NONE:
        return http, verdict(Reason.NOT_OFFERED, "it has no /debug/pprof")
    return http, verdict(Reason.NOT_REGISTERED) if http.pprof == PPROF_EXACT else None


class _Session:
    """Asks many at a time."""

    def __init__(self, transport: Transport, store: Store, options: Options, deadline: Deadline) -> None:
        self._transport = transport
        self._options = options
        self._deadline = deadline
        self._taker = Taker(transport, store, options.max_bytes, deadline)
        self._nodes = Caps(options.node_concurrency)

    def take_all(self, subjects: Sequence[Subject]) -> None:
        """Ask all, each of which gets its row."""
        for ended in run(subjects, self._demand, self._options.concurrency, self._deadline):
            if ended.error is not None or not ended.finished:
                ended.target.end([STACK_PPROF], unfinished(ended.error, ended.started))

    def take_where_it_can_be_had(self, subjects: Sequence[Subject]) -> None:
        """Ask one whether it is allowed at all, one of each component whether profiling is on, then the others."""
        firsts = list({subject.instance.component: subject for subject in reversed(subjects)}.values())
        rest = [subject for subject in subjects if subject not in firsts]
        is_off: set[str] = set()
        for some in (firsts[:1], firsts[1:], rest):
            left = [subject for subject in some if subject.instance.component not in is_off]
            for ended in run(left, self._try, self._options.concurrency, self._deadline):
                if ended.result is Reason.FORBIDDEN:
                    return
                if ended.result is Reason.PROFILING_OFF:
                    is_off.add(ended.target.instance.component)

    def _demand(self, subject: Subject) -> None:
        try:
            with self._nodes.hold(subject.instance.node, self._deadline):
                deadline = self._deadline.child(self._options.timeout, "instance")
                pool, problem = self._look(subject, deadline)
                refused = cost.refusal(pool, problem, timed=False) if cost.has_pool(subject.http) else None
                if refused is not None:
                    subject.end([STACK_PPROF], refused)
                else:
                    subject.record(self._take(subject, deadline))
        except DeadlineExceeded:
            subject.end([STACK_PPROF], verdict(Reason.RUN_DEADLINE))

    def _try(self, subject: Subject) -> Reason:
        """Why it was not to be had, or what it is like."""
        try:
            with self._nodes.hold(subject.instance.node, self._deadline):
                deadline = self._deadline.child(UNASKED_SECONDS, "instance")
                pool, problem = self._look(subject, deadline)
                if problem is not None:
                    return problem.reason
                # Unasked, nothing is put to a service that does not tell how busy it is.
                refused = cost.refusal(pool, problem, timed=True)
                if refused is not None:
                    return refused.reason
                entry = self._take(subject, deadline)
        except DeadlineExceeded:
            return Reason.RUN_DEADLINE
        if entry.status in (Status.COMPLETE.value, Status.PARTIAL.value):
            subject.record(entry)
        return Reason(entry.reason)

    def _look(self, subject: Subject, deadline: Deadline) -> tuple[cost.Pool | None, Verdict | None]:
        return look_at_pool(self._transport, subject, deadline.child(deadline.remaining() / 2, "instance"))

    def _take(self, subject: Subject, deadline: Deadline) -> LedgerRow:
        return self._taker.take(subject, KIND, profile_path(KIND.name), deadline, {}, is_first=True)
