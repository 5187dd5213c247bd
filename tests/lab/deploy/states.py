# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State of a pod, from the API server's object. Pure: pod objects in, states out."""

from __future__ import annotations

from typing import Any

Pod = dict[str, Any]

RUNNING = "running"  # every container runs
PENDING = "pending"  # on no node
INIT = "init"  # an init container runs
CRASH_LOOP = "crash-loop"  # a container waits for its next restart
NO_IMAGE = "no-image"  # an image cannot be pulled
TERMINATING = "terminating"  # was deleted, and its containers still run
OTHER = "other"  # none of the others yet
ANY = "any"  # as an expectation: the state may change

_NO_IMAGE_REASONS = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"}


def state_of(pod: Pod) -> str:
    """Return the state of a pod, from the API server's object (a dict with the API's own keys)."""
    status = pod.get("status", {})
    running = ["running" in each.get("state", {}) for each in status.get("containerStatuses") or []]
    wanted = len(pod["spec"]["containers"])
    waiting = _waiting_reasons(status)
    if pod["metadata"].get("deletionTimestamp"):
        return TERMINATING if any(running) else OTHER
    tests = {
        PENDING: status.get("phase") == "Pending" and not pod["spec"].get("nodeName"),
        NO_IMAGE: bool(waiting & _NO_IMAGE_REASONS),
        CRASH_LOOP: "CrashLoopBackOff" in waiting,
        INIT: any("running" in each.get("state", {}) for each in status.get("initContainerStatuses") or []),
        RUNNING: len(running) == wanted and all(running),
    }
    return next((state for state, holds in tests.items() if holds), OTHER)


def _waiting_reasons(status: dict[str, Any]) -> set[str]:
    statuses = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
    return {each.get("state", {}).get("waiting", {}).get("reason", "") for each in statuses}


def is_ready(pod: Pod) -> bool:
    """Return whether the kubelet reports all of a pod's containers as ready."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def restarts_of(pod: Pod) -> int:
    """Return the sum of the restarts of a pod's containers."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return sum(each.get("restartCount", 0) for each in statuses)
