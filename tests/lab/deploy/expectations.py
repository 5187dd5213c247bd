# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparison of the API server's objects of a set with its expectations. Pure: objects in, complaints out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deploy import states
from deploy.sets import ONE_A_NODE, Expectation

Object = dict[str, Any]

READY_LINE = "Start listen on"  # logged by a stand-in after its signal traps are registered
FIRST_LINE = "Use configuration file"


def ready(log: str) -> bool:
    """Return whether the beginning of a service's log proves that its traps are registered.

    A log that does not start with the service's first lines has been rotated since.
    """
    return READY_LINE in log or bool(log and FIRST_LINE not in log)


def pods_of(expectation: Expectation, pods: Iterable[Object]) -> list[Object]:
    """Return the pods of a workload."""
    return [pod for pod in pods if _workload_of(pod) == (expectation.kind, expectation.name)]


def _workload_of(pod: Object) -> tuple[str, str]:
    metadata = pod["metadata"]
    for owner in metadata.get("ownerReferences") or []:
        if owner["kind"] == "ReplicaSet":
            template = metadata.get("labels", {}).get("pod-template-hash", "")
            return "Deployment", owner["name"].removesuffix(f"-{template}")
        return owner["kind"], owner["name"]
    return "Pod", metadata["name"]


def complaint(expectation: Expectation, workload: Object | None, pods: list[Object]) -> str:
    """Return the unmet expectation of one workload and its pods; empty if there is none."""
    name = f"{expectation.kind} {expectation.name}"
    if workload is None:
        return f"{name} does not exist"
    if not _settled(expectation, workload):
        return f"{name} is not rolled out"
    if expectation.state != states.TERMINATING:
        pods = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    wanted = workload["status"]["desiredNumberScheduled"] if expectation.count == ONE_A_NODE else expectation.count
    found = sorted(states.state_of(pod) for pod in pods)
    if len(found) != wanted or (expectation.state != states.ANY and set(found) - {expectation.state}):
        return f"{name} wants {wanted} {expectation.state}, has {found}"
    return _complaint_of_pods(expectation, pods)


def _complaint_of_pods(expectation: Expectation, pods: list[Object]) -> str:
    """Return the unmet expectation of the right number of pods in the right state."""
    for pod in pods:
        name = pod["metadata"]["name"]
        if expectation.ready is not None and states.is_ready(pod) is not expectation.ready:
            return f"{name} is {'not ' if expectation.ready else ''}ready"
        if states.restarts_of(pod) < expectation.restarts:
            return f"{name} was restarted {states.restarts_of(pod)} times, not {expectation.restarts}"
    return ""


def _settled(expectation: Expectation, workload: Object) -> bool:
    """Return whether the controller has seen the workload's last change and created all its pods from it."""
    status = workload.get("status", {})
    if expectation.kind == "Pod":
        return True
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"]:
        return False
    if expectation.kind == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return wanted > 0 and status.get("updatedNumberScheduled", 0) == wanted
    return status.get("updatedReplicas", 0) == expectation.count
