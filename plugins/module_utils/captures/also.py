# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The goroutines by /debug/pprof, in addition to the dump that answers a signal: each with its state and its wait.

Taken after the dumps, so that it never delays a signal, and only of services that have a worker to spare.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from ..bundle.store import Store
from ..catalog import PPROF_EXACT, PPROF_NONE, Http, component_of, http_of
from ..deadline import Deadline, DeadlineExceeded
from ..fanout import Caps, run
from ..model import Instance, Reason, Status, Verdict, verdict
from ..pprof import KINDS, profile_path
from ..transports.base import Transport
from . import cost
from .judge import refuse_by_state
from .record import unfinished
from .stacks import Options
from .subject import Subject
from .take import Taker, look_at_pool

STACK_PPROF = "stack:pprof"
KIND = replace(KINDS["goroutine_debug2"], file="stack-pprof-1.txt", row=STACK_PPROF)
# Nobody asked for it by name, so it must not hold up the run for one that hangs.
UNASKED_SECONDS = 5.0


def take_goroutines(
    transport: Transport, instances: Sequence[Instance], store: Store, options: Options, deadline: Deadline
) -> None:
    """Their goroutines, and a row for each; where the method is auto, only for those of which something came."""
    quiet = options.method == "auto"
    taker = Taker(transport, store, options.max_bytes, deadline)
    nodes = Caps(options.node_concurrency)
    subjects = []
    for instance in instances:
        http, refused = _asked(instance)
        subject = Subject(instance, http, [KIND], names=False, store=store)
        if refused is None:
            subjects.append(subject)
        elif not quiet:
            subject.end([STACK_PPROF], refused)

    def work(subject: Subject) -> Verdict | None:
        seconds = UNASKED_SECONDS if quiet else options.timeout
        try:
            with nodes.hold(subject.instance.node, deadline):
                return _take(taker, transport, subject, deadline.child(seconds, "instance"), quiet)
        except DeadlineExceeded:
            outcome = verdict(Reason.RUN_DEADLINE)
            if not quiet:
                subject.end([STACK_PPROF], outcome)
            return outcome

    # Unasked, it is tried once whether it is allowed at all.
    first, others = (subjects[:1], subjects[1:]) if quiet else ([], subjects)
    forbidden = [ended.result for ended in run(first, work, 1, deadline) if _is_forbidden(ended.result)]
    for ended in run(others if not forbidden else [], work, options.concurrency, deadline):
        if not quiet and (ended.error is not None or not ended.finished):
            ended.target.end([STACK_PPROF], unfinished(ended.error, ended.started))


def _asked(instance: Instance) -> tuple[Http, Verdict | None]:
    """Where the instance is asked, and why it is not."""
    http = http_of(component_of(instance.component), instance.ports) or Http(0, (), pprof=PPROF_NONE)
    refusal = refuse_by_state(instance)
    if refusal is not None:
        return http, refusal.verdict
    if http.pprof == PPROF_NONE:
        return http, verdict(Reason.NOT_OFFERED, "it has no /debug/pprof")
    return http, verdict(Reason.NOT_REGISTERED) if http.pprof == PPROF_EXACT else None


def _is_forbidden(outcome: Verdict | None) -> bool:
    return outcome is not None and outcome.reason is Reason.FORBIDDEN


def _take(taker: Taker, transport: Transport, subject: Subject, deadline: Deadline, quiet: bool) -> Verdict | None:
    """Ask one. What kept it from being asked, or from being seen."""
    pool, problem = look_at_pool(transport, subject, deadline.child(deadline.remaining() / 2, "instance"))
    refused: Verdict | None = None
    if cost.has_pool(subject.http):
        # Unasked, nothing is put to a service that cannot even tell how busy it is.
        refused = cost.refusal(pool, problem, timed=quiet)
    if refused is None:
        entry = taker.take(subject, KIND, profile_path(KIND.name), deadline, {}, is_first=True)
        if not quiet or entry.status in (Status.COMPLETE.value, Status.PARTIAL.value):
            subject.record(entry)
    elif not quiet:
        subject.end([STACK_PPROF], refused)
    return problem or refused
