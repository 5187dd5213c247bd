# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the data that a rule needs is there. Pure.

A rule that finds nothing without its data has not found that all is well: that is the difference between ok and
unknown, and it is made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Sequence

from ..model import State
from ..reasons import Reason
from ..text import duration
from .document_schemas import CERTIFICATE, LOG, SAMPLED, WINDOW, WINDOW_SIGN
from .documents import InstanceStatus

READY, GAP, NOT_ASKED = "ready", "gap", "not_asked"

WORKLOADS, DISCOVERY = "workloads", "discovery"
# What an instance can be asked for, and an access point.
OF_INSTANCE = (*SAMPLED, WINDOW, CERTIFICATE, LOG)
OF_CLUSTER = (WORKLOADS, DISCOVERY)

# Nothing is expected of these any more; that they are there at all is for a rule about states to judge.
ENDED = (State.TERMINATING.value, State.TERMINATED.value)
# It was not asked for, because this component, or this way of reaching it, does not have it.
_NOT_TO_BE_HAD = (Reason.NOT_OFFERED.value, Reason.NO_CERTIFICATE.value, Reason.HTTP_ONLY.value)


@dataclass(frozen=True)
class Availability:
    """Whether the data that a rule needs is there. NOT_ASKED: it was neither asked for nor is it to be had here.

    decisive: without it, not even what a rule finds can be believed. What could not be listed is not missing, and a
    restart is not growth.
    """

    state: str
    reason: str = ""
    decisive: bool = False


AVAILABLE = Availability(READY)
NOT_REQUESTED = Availability(NOT_ASKED)


def availability(status: InstanceStatus, needs: Sequence[str]) -> Availability:
    """Whether one instance's document holds everything that is needed of it."""
    found = [_NEEDS.get(need, _endpoint)(status, need, needs) for need in needs]
    if any(one.state == NOT_ASKED for one in found):
        return NOT_REQUESTED
    return next((one for one in found if one.state == GAP), AVAILABLE)


def missing_sign_of_life(status: InstanceStatus) -> str:
    """Why nothing shows that the instance works, "" where something does: an answer, a certificate, or a line of its
    log. A process that is frozen is called running, and its silence breaks no rule."""
    document = status.document
    log = document[LOG]
    if status.instance["state"] in ENDED or any(status.times_read.values()) or document[CERTIFICATE] is not None:
        return ""
    if log is None:
        return "nothing was read of it"
    if log["patterns"] or log["busy"] or (log["bytes"] if log["lines"] is None else log["lines"]):
        return ""
    return f"nothing shows that it works: it wrote no line within {duration(log['seconds'])}, and gave no other answer"


def _endpoint(status: InstanceStatus, need: str, _needs: Sequence[str]) -> Availability:
    return _lookup(status, need, status.document["latest"][need])


def _section(status: InstanceStatus, need: str, _needs: Sequence[str]) -> Availability:
    return _lookup(status, need, status.document[need])


def _log(status: InstanceStatus, need: str, needs: Sequence[str]) -> Availability:
    found = _section(status, need, needs)
    if found.state == READY and status.document["log"]["truncated"]:
        return Availability(GAP, "only the newest part of the log was read")
    return found


def _lookup(status: InstanceStatus, need: str, value: Any) -> Availability:
    if need in status.broken:
        return Availability(GAP, f"{need} is malformed: {status.broken[need]}")
    # Of a service with several databases, "db_stats/<name>" may be missing where db_stats is not.
    missing = [entry for entry in status.document["missing"] if entry["endpoint"].partition("/")[0] == need]
    if value is not None:
        named = [entry for entry in missing if entry["newest"] and entry["endpoint"] != need]
        return Availability(GAP, f"{named[0]['endpoint']} was not read ({named[0]['reason']})") if named else AVAILABLE
    if status.instance["state"] in ENDED or any(entry["reason"] in _NOT_TO_BE_HAD for entry in missing):
        return NOT_REQUESTED
    if missing:
        return Availability(GAP, f"{need} was not read ({missing[-1]['reason']})")
    if any(name.partition("/")[0] == need for name in status.document["expected"]):
        return Availability(GAP, f"{need} was not read ({status.instance['state']})")
    return NOT_REQUESTED


def _window(status: InstanceStatus, _need: str, needs: Sequence[str]) -> Availability:
    """The window, with what the needed endpoints say in it."""
    window = status.document["window"]
    if WINDOW in status.broken:
        return Availability(GAP, f"window is malformed: {status.broken[WINDOW]}")
    if status.instance["state"] in ENDED or not status.windowed:
        return NOT_REQUESTED
    if window is None:
        return Availability(GAP, "there are no two samples to compare")
    if window["reset"]:
        return Availability(GAP, "it restarted between the samples", decisive=True)
    compared = [need for need in needs if need in WINDOW_SIGN]
    lacking = [need for need in compared if status.times_read[need] < 2 or window[WINDOW_SIGN[need]] is None]
    if lacking:
        return Availability(GAP, f"{lacking[0]} was not read in both samples")
    return AVAILABLE


_NEEDS: dict[str, Callable[[InstanceStatus, str, Sequence[str]], Availability]] = {
    CERTIFICATE: _section,
    LOG: _log,
    WINDOW: _window,
}


def cluster_availability(cluster: dict[str, Any] | None, needs: Sequence[str], unusable: int = 0) -> Availability:
    """Whether an access point told what is needed of it: `discovery` (it could look everywhere), `workloads`.

    cluster: None where it said nothing. unusable: how many documents of the cluster cannot be used.
    """
    if not set(OF_CLUSTER) & set(needs):
        return AVAILABLE
    reason = ""
    if cluster is None:
        reason = "there is no cluster.json of this cluster"
    elif WORKLOADS in needs and not cluster["workloads_known"]:
        reason = "the Deployments and DaemonSets could not be listed"
    elif DISCOVERY in needs and cluster["problems"]:
        reason = f"not every place could be looked at ({cluster['problems'][0]['reason']})"
    elif DISCOVERY in needs and unusable:
        reason = f"documents that cannot be used: {unusable}"
    return Availability(GAP, reason, decisive=True) if reason else AVAILABLE


def overall(found: Sequence[Availability]) -> Availability:
    """Whether what is needed of several instances is there: of all that could have it, or it is a gap."""
    asked = [one for one in found if one.state != NOT_ASKED]
    if not asked:
        return NOT_REQUESTED
    return next((one for one in asked if one.state == GAP), AVAILABLE)
