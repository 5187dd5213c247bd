# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From pods and what makes them, as the API server's JSON has them, to instances and workloads. Pure."""

from __future__ import annotations

from typing import Any, Dict

from ..catalog import COMPONENT_LABELS, SLAVE_SUFFIX, Component, Selection
from ..model import Instance, State, Workload

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
Pod = Dict[str, Any]
# Kind -> resource. The operator makes nothing else out of the components.
WORKLOAD_KINDS = {"Deployment": "deployments", "DaemonSet": "daemonsets"}


def instances_of(pod: Pod, cluster: str, selection: Selection) -> list[Instance]:
    """The instances of the selection that this pod is: none, one, or several (older operators share a pod)."""
    label = _component_label(pod["metadata"])
    base = _without_slave(label)
    found = []
    for component in selection.components:
        if component.name in (base, label):
            found.append(_instance(pod, cluster, component, _container_name(pod, component), label != component.name))
        elif base in component.carriers:
            name = _named_container(pod, component.container_names)
            if name:
                found.append(_instance(pod, cluster, component, name, False))
    return found


def workload_of(kind: str, item: dict[str, Any], cluster: str, selection: Selection) -> Workload | None:
    """The workload that this Deployment or DaemonSet is; None when its pods are not of the selection."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    label = _component_label((spec.get("template") or {}).get("metadata") or {})
    names = [name for name in selection.names if name in (label, _without_slave(label))]
    if not names:
        return None
    if kind == "Deployment":
        desired, ready = spec.get("replicas"), status.get("readyReplicas")
        desired = 1 if desired is None else desired
    else:
        desired, ready = status.get("desiredNumberScheduled"), status.get("numberReady")
    return Workload(
        cluster=cluster,
        namespace=item["metadata"]["namespace"],
        kind=kind,
        name=item["metadata"]["name"],
        component=names[0],
        desired=int(desired or 0),
        ready=int(ready or 0),
        read_only=label != names[0],
    )


def _without_slave(label: str) -> str:
    return label[: -len(SLAVE_SUFFIX)] if label.endswith(SLAVE_SUFFIX) else label


def _component_label(metadata: dict[str, Any]) -> str:
    labels = metadata.get("labels") or {}
    for key in COMPONENT_LABELS:
        if labels.get(key):
            return str(labels[key])
    return ""


def _named_container(pod: Pod, names: tuple[str, ...]) -> str:
    present = [container["name"] for container in pod["spec"].get("containers", [])]
    return next((name for name in names if name in present), "")


def _container_name(pod: Pod, component: Component) -> str:
    """The component's container, "" when none can be told to be it.

    By the catalog's names; else what the pod itself declares as default; else the only one there is, but only for
    a component that the catalog does not know.
    """
    name = _named_container(pod, component.container_names)
    if name:
        return name
    containers = [container["name"] for container in pod["spec"].get("containers", [])]
    default = (pod["metadata"].get("annotations") or {}).get(DEFAULT_CONTAINER)
    if default in containers:
        return str(default)
    if component.usr1 == "unknown" and len(containers) == 1:
        return str(containers[0])
    return ""


def _instance(pod: Pod, cluster: str, component: Component, container: str, read_only: bool) -> Instance:
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    owner = next((ref for ref in metadata.get("ownerReferences") or [] if ref.get("controller")), None)
    entry = _by_name(status.get("containerStatuses"), container) or {}
    declared = _by_name(spec.get("containers"), container) or {}
    state, detail = _state(pod, container, entry)
    running = (entry.get("state") or {}).get("running") or {}
    last = (entry.get("lastState") or {}).get("terminated") or {}
    return Instance(
        cluster=cluster,
        component=component.name,
        name=metadata["name"],
        namespace=metadata["namespace"],
        node=spec.get("nodeName") or "",
        container=container,
        owner="{}/{}".format(owner["kind"], owner["name"]) if owner else "",
        ready=bool(entry.get("ready")),
        restarts=int(entry.get("restartCount") or 0),
        state=state,
        state_detail=detail,
        image=declared.get("image") or entry.get("image") or "",
        image_id=entry.get("imageID") or "",
        container_id=entry.get("containerID") or "",
        ports=tuple(
            port["containerPort"] for port in declared.get("ports") or [] if port.get("protocol", "TCP") == "TCP"
        ),
        started=running.get("startedAt") or "",
        read_only=read_only,
        address=status.get("podIP") or "",
        last_end=_terminated_text(last) if last else "",
        last_ended=last.get("finishedAt") or "",
    )


def _by_name(items: list[dict[str, Any]] | None, name: str) -> dict[str, Any] | None:
    return next((item for item in items or [] if item.get("name") == name), None)


def _state(pod: Pod, container: str, entry: dict[str, Any]) -> tuple[State, str]:
    """The container's state in one word, and what the cluster says about it."""
    status = pod.get("status") or {}
    if not container:
        names = ", ".join(item["name"] for item in pod["spec"].get("containers", []))
        return State.NO_CONTAINER, f"the pod has: {names}"
    if status.get("reason") == "NodeLost" or status.get("phase") == "Unknown":
        return State.NODE_LOST, status.get("message") or ""
    if not pod["spec"].get("nodeName"):
        return State.PENDING, _condition_message(status, "PodScheduled")
    if pod["metadata"].get("deletionTimestamp"):
        return State.TERMINATING, f"since {pod['metadata']['deletionTimestamp']}"
    return _container_state(status, entry)


def _container_state(status: dict[str, Any], entry: dict[str, Any]) -> tuple[State, str]:
    current = entry.get("state") or {}
    if "running" in current:
        return State.RUNNING, ""
    if "terminated" in current:
        # Between two crashes the cluster shows the end of the last one for a moment.
        again = int(entry.get("restartCount") or 0) > 0
        return State.CRASH_LOOP if again else State.TERMINATED, _terminated_text(current["terminated"])
    if status.get("phase") in ("Failed", "Succeeded"):
        return State.TERMINATED, status.get("message") or status.get("reason") or status["phase"]
    waiting = current.get("waiting") or {}
    init = _unfinished_init(status)
    if init:
        return State.INIT, init
    if waiting.get("reason") == "CrashLoopBackOff":
        last = (entry.get("lastState") or {}).get("terminated") or {}
        return State.CRASH_LOOP, _terminated_text(last) if last else ""
    return State.WAITING, waiting.get("reason") or ""


def _condition_message(status: dict[str, Any], kind: str) -> str:
    condition: dict[str, Any] = next((item for item in status.get("conditions") or [] if item.get("type") == kind), {})
    return condition.get("message") or ""


def _terminated_text(terminated: dict[str, Any]) -> str:
    return "{}, exit code {}".format(terminated.get("reason") or "ended", terminated.get("exitCode"))


def _unfinished_init(status: dict[str, Any]) -> str:
    for entry in status.get("initContainerStatuses") or []:
        state = entry.get("state") or {}
        if (state.get("terminated") or {}).get("exitCode") == 0 or entry.get("ready"):
            continue
        reason = (state.get("waiting") or {}).get("reason") or ("running" if "running" in state else "failed")
        return "init container {}: {}".format(entry.get("name"), reason)
    return ""
