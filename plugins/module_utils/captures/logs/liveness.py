# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask watched services for /ping: a service that hangs is as silent as one without work."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from ...capture_options import FollowLimits
from ...deadline import Deadline, DeadlineExceeded
from ...fanout import run
from ...model import BLOCKED, Instance, Process, state_words
from ...reasons import CaptureError, Reason
from ...sanitize import clean
from ...transports.base import HttpTarget, Transport
from ...watch.liveness import Liveness
from ..status.collector import PING, target_of

MAX_AT_ONCE = 100
MAX_BYTES = 1000
# The service does not answer: it hangs, is gone from its port, or ends connections.
_UNANSWERED = {
    Reason.NO_ANSWER: "was not answered within {:.0f} s",
    Reason.CONNECTION_REFUSED: "was refused: nothing listens on its port",
    Reason.CONNECTION_BROKEN: "was not answered: the connection broke",
}
_WAITS_FOR_A_DISK = state_words(Process(0, 0, state=BLOCKED))
# Answers that say nothing of readiness: no permission, or no such path.
_OTHER_ANSWERS = (401, 403, 404)


def ping_all(
    transport: Transport, known: Sequence[tuple[Instance, Liveness]], deadline: Deadline, limits: FollowLimits
) -> list[Liveness]:
    """Ask instances for /ping, all at the same time; return their liveness with the result, in the same order.

    If an instance cannot be asked (no such path, no permission, another way than HTTP), its liveness stays as it is.
    """
    within = deadline.child(limits.pings, "ping")

    def ask(work: tuple[Instance, Liveness]) -> Liveness:
        instance, liveness = work
        return ping(transport, instance, liveness, within, limits.ping)

    result = []
    for outcome in run(known, ask, MAX_AT_ONCE, within):
        _instance, liveness = outcome.target
        if outcome.result is not None:
            liveness = outcome.result
        elif outcome.error is not None:
            liveness = replace(liveness, ping_result=clean(f"could not be asked: {outcome.error}"))
        elif outcome.abandoned:
            liveness = _unanswered(liveness, Reason.NO_ANSWER, limits.ping)
        result.append(liveness)
    return result


def ping(transport: Transport, instance: Instance, known: Liveness, deadline: Deadline, seconds: float) -> Liveness:
    """Ask one instance within these seconds; return its liveness with the result."""
    target = target_of(instance, PING)
    if target is None or deadline.remaining() < seconds:
        return known
    try:
        answer = transport.http_get(instance, target, deadline.child(seconds, "ping"), MAX_BYTES)
    except DeadlineExceeded:
        return _unanswered(known, Reason.NO_ANSWER, seconds)
    except CaptureError as error:
        return _failed(instance, known, error.verdict.reason, target, seconds)
    if answer.truncated_by == "time":
        return _unanswered(known, Reason.NO_ANSWER, seconds)
    if known.process.startswith(_WAITS_FOR_A_DISK):
        known = replace(known, process="")  # it waited for a moment only
    if 200 <= answer.status < 400 or answer.status in _OTHER_ANSWERS:
        return replace(known, ping=True, ping_result=f"was answered (HTTP {answer.status})")
    body = clean(answer.body.decode("utf-8", "replace").strip(), 100)
    return replace(
        known, ping=True, ready=False, ping_result=f"says HTTP {answer.status}" + (f": {body}" if body else "")
    )


def _failed(instance: Instance, known: Liveness, reason: Reason, target: HttpTarget, seconds: float) -> Liveness:
    if reason is Reason.CONNECTION_REFUSED and target.port not in instance.ports:
        return known  # it may listen on another port, which is not declared
    return _unanswered(known, reason, seconds) if reason in _UNANSWERED else known


def _unanswered(known: Liveness, reason: Reason, seconds: float) -> Liveness:
    return replace(known, ping=False, ping_result=_UNANSWERED[reason].format(seconds))
