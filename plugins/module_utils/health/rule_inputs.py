# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Availability of the data that rules need. Pure.

A rule that finds nothing because its data is missing does not show that all is well. This file makes the difference
between ok and unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Sequence

from ..reasons import Reason
from ..text import duration
from ..vocabulary import State
from .document_schemas import CERTIFICATE, LOG, SAMPLED, WINDOW, WINDOW_SIGN
from .documents import InstanceStatus

READY, GAP, NOT_ASKED = "ready", "gap", "not_asked"

WORKLOADS, DISCOVERY = "workloads", "discovery"
# Data of an instance, and data of an access point.
OF_INSTANCE = (*SAMPLED, WINDOW, CERTIFICATE, LOG)
OF_CLUSTER = (WORKLOADS, DISCOVERY)

# No data is expected of instances in these states. Rules about states report that they exist.
ENDED = (State.TERMINATING.value, State.TERMINATED.value)
# Reasons that mean that the component, or the transport, does not offer the data.
_NOT_OFFERED = (Reason.NOT_OFFERED.value, Reason.NO_CERTIFICATE.value, Reason.HTTP_ONLY.value)


@dataclass(frozen=True)
class Availability:
    """Availability of the data that a rule needs. NOT_ASKED: it was not requested, or is not offered here.

    decisive: even findings of the rule would be wrong without the data. For example, what could not be listed is not
    missing, and a restart is not growth.
    """

    state: str
    reason: str = ""
    decisive: bool = False


AVAILABLE = Availability(READY)
NOT_REQUESTED = Availability(NOT_ASKED)


def availability(status: InstanceStatus, needs: Sequence[str]) -> Availability:
    """Return whether the document of an instance has all the data that a rule needs."""
    found = [_NEEDS.get(need, _endpoint)(status, need, needs) for need in needs]
    if any(one.state == NOT_ASKED for one in found):
        return NOT_REQUESTED
    return next((one for one in found if one.state == GAP), AVAILABLE)


def missing_sign_of_life(status: InstanceStatus) -> str:
    """Return why there is no sign that the instance works, or "" if there is an answer, a certificate or a log line.

    The state of a frozen process is running, and no rule matches its silence.
    """
    document = status.document
    log = document[LOG]
    if status.instance["state"] in ENDED or any(status.times_read.values()) or document[CERTIFICATE] is not None:
        return ""
    if log is None:
        return "no data was read from it"
    if log["patterns"] or log["busy"] or (log["bytes"] if log["lines"] is None else log["lines"]):
        return ""
    return f"no sign that it works: it logged nothing within {duration(log['seconds'])}, and answered no request"


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
    # If a service has several databases, "db_stats/<name>" may be missing although db_stats is there.
    missing = [entry for entry in status.document["missing"] if entry["endpoint"].partition("/")[0] == need]
    if value is not None:
        named = [entry for entry in missing if entry["newest"] and entry["endpoint"] != need]
        return Availability(GAP, f"{named[0]['endpoint']} was not read ({named[0]['reason']})") if named else AVAILABLE
    if status.instance["state"] in ENDED or any(entry["reason"] in _NOT_OFFERED for entry in missing):
        return NOT_REQUESTED
    if missing:
        return Availability(GAP, f"{need} was not read ({missing[-1]['reason']})")
    if any(name.partition("/")[0] == need for name in status.document["expected"]):
        return Availability(GAP, f"{need} was not read ({status.instance['state']})")
    return NOT_REQUESTED


def _window(status: InstanceStatus, _need: str, needs: Sequence[str]) -> Availability:
    """Return whether the window is there and compares the endpoints that a rule needs."""
    window = status.document["window"]
    if WINDOW in status.broken:
        return Availability(GAP, f"window is malformed: {status.broken[WINDOW]}")
    if status.instance["state"] in ENDED or not status.windowed:
        return NOT_REQUESTED
    if window is None:
        return Availability(GAP, "there are not two samples to compare")
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
    """Return whether an access point has the data that a rule needs: complete `discovery`, `workloads`.

    cluster: its document, or None. unusable: the number of malformed documents of the cluster.
    """
    if not set(OF_CLUSTER) & set(needs):
        return AVAILABLE
    reason = ""
    if cluster is None:
        reason = "there is no cluster.json of this cluster"
    elif WORKLOADS in needs and not cluster["workloads_known"]:
        reason = "the Deployments and DaemonSets could not be listed"
    elif DISCOVERY in needs and cluster["problems"]:
        reason = f"discovery was not complete ({cluster['problems'][0]['reason']})"
    elif DISCOVERY in needs and unusable:
        reason = f"unusable documents: {unusable}"
    return Availability(GAP, reason, decisive=True) if reason else AVAILABLE


def overall(found: Sequence[Availability]) -> Availability:
    """Return whether all instances that can have the data have it."""
    asked = [one for one in found if one.state != NOT_ASKED]
    if not asked:
        return NOT_REQUESTED
    return next((one for one in asked if one.state == GAP), AVAILABLE)
