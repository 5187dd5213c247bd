# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signs of life of the instances whose logs are watched: what the instance list shows, and what /ping answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from ...deadline import Deadline, DeadlineExceeded
from ...fanout import run
from ...model import BLOCKED, Instance, Process, State, state_words
from ...reasons import CaptureError, Reason
from ...text import clean
from ...transports.base import HttpTarget, Transport
from ...watch.liveness import Liveness
from ..engine.restarts import seconds_of
from ..status.collector import PING, target_of

# One question, and all of them together, in seconds. What could not be asked by then shows no sign of life.
PING_SECONDS, PINGS_SECONDS = 5.0, 10.0
MAX_AT_ONCE = 100
MAX_BYTES = 1000
# No answer of the service: it hangs, it is gone from its port, or it ends connections.
_UNANSWERED = {
    Reason.NO_ANSWER: f"was not answered within {PING_SECONDS:.0f} s",
    Reason.CONNECTION_REFUSED: "was refused: nothing listens on its port",
    Reason.CONNECTION_BROKEN: "was not answered: the connection broke",
}
_WAITS_FOR_A_DISK = state_words(Process(0, 0, state=BLOCKED))
# Answers that say nothing of readiness: who asks is not let in, or there is no such path.
_OTHER_ANSWERS = (401, 403, 404)


def vitals_of(instance: Instance, since: float, heard: float | None) -> Liveness:
    """Return what the list of instances shows of this one.

    since: when the window begins; heard: when a line was read as it was written. Seconds since 1970.
    """
    process = instance.process
    state = "" if instance.state in (State.RUNNING, State.UNTRUSTED) else instance.state.value
    ended = seconds_of(instance.last_ended)
    is_recent = ended is not None and ended >= since
    return Liveness(
        # Only Kubernetes knows whether an instance is ready; a process that was found on a machine is just one.
        ready=instance.ready if process is None else None,
        process=state_words(process) if process is not None else "",
        state=f"{state}: {instance.state_detail}" if state and instance.state_detail else state,
        loops=instance.state is State.CRASH_LOOP,
        heard=heard,
        started=seconds_of(instance.started),
        ended=ended if is_recent else None,
        end=instance.last_end if is_recent else "",
    )


def ping_all(transport: Transport, known: Sequence[tuple[Instance, Liveness]], deadline: Deadline) -> list[Liveness]:
    """Ask instances for /ping, all at the same time; return their vitals with what came of it, in the same order.

    One that cannot be asked (no such path, no permission, another way than HTTP) keeps its vitals as they are.
    """
    within = deadline.child(PINGS_SECONDS, "ping")

    def ask(work: tuple[Instance, Liveness]) -> Liveness:
        instance, vitals = work
        return ping(transport, instance, vitals, within)

    result = []
    for outcome in run(known, ask, MAX_AT_ONCE, within):
        _instance, vitals = outcome.target
        if outcome.result is not None:
            vitals = outcome.result
        elif outcome.error is not None:
            vitals = replace(vitals, said=clean(f"could not be asked: {outcome.error}"))
        elif outcome.abandoned:
            vitals = replace(vitals, ping=False, said=_UNANSWERED[Reason.NO_ANSWER])
        result.append(vitals)
    return result


def ping(transport: Transport, instance: Instance, known: Liveness, deadline: Deadline) -> Liveness:
    """Ask one instance; return its vitals with what came of it."""
    target = target_of(instance, PING)
    if target is None or deadline.remaining() < PING_SECONDS:
        return known
    try:
        answer = transport.http_get(instance, target, deadline.child(PING_SECONDS, "ping"), MAX_BYTES)
    except DeadlineExceeded:
        return replace(known, ping=False, said=_UNANSWERED[Reason.NO_ANSWER])
    except CaptureError as error:
        return _unanswered(instance, known, error.verdict.reason, target)
    if answer.cut_by == "time":
        return replace(known, ping=False, said=_UNANSWERED[Reason.NO_ANSWER])
    if known.process.startswith(_WAITS_FOR_A_DISK):
        known = replace(known, process="")  # it waited for a moment only
    if 200 <= answer.status < 400 or answer.status in _OTHER_ANSWERS:
        return replace(known, ping=True, said=f"was answered (HTTP {answer.status})")
    body = clean(answer.body.decode("utf-8", "replace").strip(), 100)
    return replace(known, ping=True, ready=False, said=f"says HTTP {answer.status}" + (f": {body}" if body else ""))


def _unanswered(instance: Instance, known: Liveness, reason: Reason, target: HttpTarget) -> Liveness:
    if reason is Reason.CONNECTION_REFUSED and target.port not in instance.ports:
        return known  # it may listen on another port, which is not declared
    if reason in _UNANSWERED:
        return replace(known, ping=False, said=_UNANSWERED[reason])
    return known
