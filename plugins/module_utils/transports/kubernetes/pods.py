# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read instances and workloads from the API server's JSON of pods, Deployments and DaemonSets. Pure.

A malformed document raises BadValue, which names its error, and nothing else.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable

from ...catalog import COMPONENT_LABELS, SLAVE_SUFFIX, Component, Selection
from ...json_values import BadValue
from ...model import Instance, Workload
from ...reasons import Reason, Verdict, verdict
from ...sanitize import clean
from ...vocabulary import State
from .fields import LABEL, KubernetesFields

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
Pod = Dict[str, Any]
# Kind -> resource. The operator creates no other kinds for the components.
WORKLOAD_KINDS = {"Deployment": "deployments", "DaemonSet": "daemonsets"}
# Malformed pods of a namespace that are described; further ones are counted.
MAX_REFUSED = 10
MAX_PORT = 65535


class PodReader:
    """Instances of the selection in one namespace, read from any number of lists of its pods."""

    def __init__(self, namespace: str, cluster: str, selection: Selection) -> None:
        self._namespace = namespace
        self._cluster = cluster
        self._selection = selection
        self._by_pod: dict[tuple[str, str], list[Instance]] = {}
        # Text -> None: an ordered set. A pod that is in two lists is described once.
        self._refused: dict[str, None] = {}
        self._left_out = 0

    def take(self, pods: Iterable[Any]) -> None:
        """Read pods. If a pod was read before, its later state counts."""
        left_out = 0
        for pod in pods:
            try:
                key, instances = self._read(pod)
            except BadValue as error:
                left_out += not self._refuse(str(error))
                # The next list may hold the same pods.
                self._left_out = max(self._left_out, left_out)
                continue
            self._by_pod.pop(key, None)
            if instances:
                self._by_pod[key] = instances

    def _read(self, pod: Any) -> tuple[tuple[str, str], list[Instance]]:
        metadata = KubernetesFields(pod, "a pod").inner("metadata")
        found = instances_of(pod, self._cluster, self._selection)
        if any(one.namespace != self._namespace for one in found):
            raise BadValue(f"a pod of namespace {found[0].namespace}, which was not asked for")
        return (metadata.text("uid"), metadata.text("name")), found

    def _refuse(self, text: str) -> bool:
        """Note why a pod cannot be read. Return True if it is described, False if it is only counted."""
        if len(self._refused) < MAX_REFUSED:
            self._refused[text] = None
        return text in self._refused

    @property
    def instances(self) -> list[Instance]:
        """Instances that were read, unsorted."""
        return [instance for instances in self._by_pod.values() for instance in instances]

    @property
    def problems(self) -> list[tuple[str, Verdict]]:
        """Reasons why pods could not be read, in the form of Discovery.problems."""
        texts = list(self._refused)
        if self._left_out:
            texts.append(f"{self._left_out} more pods of {self._namespace} that cannot be read")
        return [(self._namespace, verdict(Reason.BAD_ANSWER, text)) for text in texts]


def instances_of(pod: Any, cluster: str, selection: Selection) -> list[Instance]:
    """Return the instances of the selection in this pod: none, one, or several (older operators share a pod)."""
    fields = KubernetesFields(pod, "a pod")
    label = _component_label(fields.inner("metadata"))
    base = _without_slave(label)
    found = []
    for component in selection.components:
        if component.name in (base, label):
            name = _container_name(fields, component)
            found.append(_instance(fields, cluster, component, name, label != component.name))
        elif base in component.carriers:
            name = _named_container(fields, component.container_names)
            if name:
                found.append(_instance(fields, cluster, component, name, False))
    return found


def workload_of(kind: str, item: Any, cluster: str, selection: Selection) -> Workload | None:
    """Return the workload of a Deployment or DaemonSet, None if its pods are not of the selection."""
    fields = KubernetesFields(item, f"a {kind}")
    spec, status = fields.inner("spec"), fields.inner("status")
    label = _component_label(spec.inner("template").inner("metadata"))
    names = [name for name in selection.names if name in (label, _without_slave(label))]
    if not names:
        return None
    if kind == "Deployment":
        desired, ready = spec.count("replicas") if "replicas" in spec else 1, status.count("readyReplicas")
    else:
        desired, ready = status.count("desiredNumberScheduled"), status.count("numberReady")
    metadata = fields.inner("metadata")
    return Workload(
        cluster=cluster,
        namespace=metadata.name("namespace", LABEL),
        kind=kind,
        name=metadata.name("name"),
        component=names[0],
        desired=desired,
        ready=ready,
        read_only=label != names[0],
    )


def _without_slave(label: str) -> str:
    return label[: -len(SLAVE_SUFFIX)] if label.endswith(SLAVE_SUFFIX) else label


def _component_label(metadata: KubernetesFields) -> str:
    labels = metadata.inner("labels")
    return next((labels.text(key) for key in COMPONENT_LABELS if labels.text(key)), "")


def _containers(pod: KubernetesFields) -> list[str]:
    return [container.name("name", LABEL) for container in pod.inner("spec").objects("containers")]


def _named_container(pod: KubernetesFields, names: tuple[str, ...]) -> str:
    present = _containers(pod)
    return next((name for name in names if name in present), "")


def _container_name(pod: KubernetesFields, component: Component) -> str:
    """Return the name of the component's container, "" if it is not known.

    It is the one with a name of the catalog, else the default that the pod declares. For a component that the catalog
    does not know, it is the only container of the pod.
    """
    name = _named_container(pod, component.container_names)
    if name:
        return name
    containers = _containers(pod)
    default = pod.inner("metadata").inner("annotations").text(DEFAULT_CONTAINER)
    if default in containers:
        return default
    if component.usr1 == "unknown" and len(containers) == 1:
        return containers[0]
    return ""


def _instance(pod: KubernetesFields, cluster: str, component: Component, container: str, read_only: bool) -> Instance:
    metadata = pod.inner("metadata")
    name = metadata.name("name")
    # From here on messages name the pod.
    pod = pod.called(f"pod {name}")
    spec, status = pod.inner("spec"), pod.inner("status")
    entry = _by_name(status.objects("containerStatuses"), container)
    declared = _by_name(spec.objects("containers"), container)
    state, detail = _state(pod, container, entry)
    last = entry.inner("lastState").inner("terminated")
    return Instance(
        cluster=cluster,
        component=component.name,
        name=name,
        namespace=metadata.name("namespace", LABEL),
        node=spec.name("nodeName") if spec.text("nodeName") else "",
        container=container,
        owner=_owner(pod),
        ready=entry.flag("ready"),
        restarts=entry.count("restartCount"),
        state=state,
        state_detail=clean(detail),
        image=declared.text("image") or entry.text("image"),
        image_id=entry.text("imageID"),
        container_id=entry.text("containerID"),
        ports=_ports(declared),
        started=entry.inner("state").inner("running").text("startedAt"),
        read_only=read_only,
        address=status.text("podIP"),
        last_end=_terminated_text(last) if last else "",
        last_ended=last.text("finishedAt"),
        last_started=last.text("startedAt"),
    )


def _owner(pod: KubernetesFields) -> str:
    for reference in pod.inner("metadata").objects("ownerReferences"):
        if reference.flag("controller"):
            return f"{clean(reference.text('kind'))}/{reference.name('name')}"
    return ""


def _ports(container: KubernetesFields) -> tuple[int, ...]:
    ports = container.objects("ports")
    numbers = [port.count("containerPort") for port in ports if port.text("protocol") in ("", "TCP")]
    if not all(0 < number <= MAX_PORT for number in numbers):
        raise BadValue("a containerPort of a pod is not a port")
    return tuple(numbers)


def _by_name(items: Iterable[KubernetesFields], name: str) -> KubernetesFields:
    """Return the object of this name, or an empty one."""
    return next((item for item in items if item.text("name") == name), KubernetesFields({}, name))


def _state(pod: KubernetesFields, container: str, entry: KubernetesFields) -> tuple[State, str]:
    """Return the container's state, and what the cluster reports about it."""
    status = pod.inner("status")
    if not container:
        return State.NO_CONTAINER, f"the pod has: {', '.join(_containers(pod))}"
    if status.text("reason") == "NodeLost" or status.text("phase") == "Unknown":
        return State.NODE_LOST, status.text("message")
    if not pod.inner("spec").text("nodeName"):
        return State.PENDING, _condition_message(status, "PodScheduled")
    deleted = pod.inner("metadata").text("deletionTimestamp")
    if deleted:
        return State.TERMINATING, f"since {deleted}"
    return _container_state(status, entry)


def _container_state(status: KubernetesFields, entry: KubernetesFields) -> tuple[State, str]:
    current = entry.inner("state")
    if "running" in current:
        return State.RUNNING, ""
    if "terminated" in current:
        # Between two crashes the cluster shows the container as terminated for a moment.
        again = entry.count("restartCount") > 0
        return State.CRASH_LOOP if again else State.TERMINATED, _terminated_text(current.inner("terminated"))
    if status.text("phase") in ("Failed", "Succeeded"):
        return State.TERMINATED, status.text("message") or status.text("reason") or status.text("phase")
    waiting = current.inner("waiting")
    init = _unfinished_init(status)
    if init:
        return State.INIT, init
    if waiting.text("reason") == "CrashLoopBackOff":
        last = entry.inner("lastState").inner("terminated")
        return State.CRASH_LOOP, _terminated_text(last) if last else ""
    return State.WAITING, waiting.text("reason")


def _condition_message(status: KubernetesFields, kind: str) -> str:
    found = (condition.text("message") for condition in status.objects("conditions") if condition.text("type") == kind)
    return next(found, "")


def _terminated_text(terminated: KubernetesFields) -> str:
    return clean("{}, exit code {}".format(terminated.text("reason") or "ended", terminated.integer("exitCode")))


def _unfinished_init(status: KubernetesFields) -> str:
    for entry in status.objects("initContainerStatuses"):
        state = entry.inner("state")
        if state.inner("terminated").integer("exitCode") == 0 or entry.flag("ready"):
            continue
        reason = state.inner("waiting").text("reason") or ("running" if "running" in state else "failed")
        return f"init container {entry.text('name')}: {reason}"
    return ""
