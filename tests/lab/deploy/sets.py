# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of manifests for tests. Pure.

A set is a list of manifests and their expectations: the number of pods of each workload, and their state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy import health as clouds
from deploy import manifests, states
from deploy.components import COMPONENTS, DAEMON_SET, POD
from deploy.faults import FAULT_LABEL, FAULTS, Fault, fault_manifests
from deploy.manifests import Behaviour, Manifest

HEALTHY, TROUBLE, WAITING, BENCH, HEALTH = "healthy", "trouble", "waiting", "bench", "health"
NAMESPACES = {
    HEALTHY: "onecloud",
    TROUBLE: "onecloud-trouble",
    WAITING: "onecloud-waiting",
    BENCH: "onecloud-bench",
    HEALTH: "onecloud-health",
}

ONE_A_NODE = -1  # as the number of pods of a workload: as many as nodes

ETCD_POD = "default-etcd-x7k2p"


@dataclass(frozen=True)
class Expectation:
    """Expected pods of a workload. kind, name: of the workload. count: pods, or ONE_A_NODE.

    speaks: their logs show that the signal traps are registered. ready: the kubelet's expected value (None: any).
    restarts: at least this number, of each pod.
    """

    kind: str
    name: str
    count: int = 1
    state: str = states.RUNNING
    speaks: bool = True
    ready: bool | None = None
    restarts: int = 0


@dataclass(frozen=True)
class Set:
    """Manifests in the order of applying, the namespace first. delete: pods to delete once they run."""

    namespace: str
    manifests: list[Manifest]
    expectations: list[Expectation]
    delete: tuple[str, ...] = ()


# The set of the main tests: component -> replicas.
_REPLICAS = {"region": 3, "keystone": 2}
_HEALTHY = (
    "region", "keystone", "glance", "scheduler", "monitor", "webconsole", "apigateway", "ansibleserver", "cloudnet",
    "notify", "esxi-agent", "mcp-server", "region-dns", "host", "host-deployer", "host-health", "host-image",
    "host-sdnagent", "climc", "web", "itsm", "etcd",
)  # fmt: skip
_SILENT = {"climc", "web", "itsm"}  # programs other than Cloudpods services do not write its log lines


def healthy(namespace: str = NAMESPACES[HEALTHY]) -> Set:
    """Return a small healthy cloud: every kind of component, several replicas of some."""
    made, expected = [manifests.namespace(namespace)], []
    for component in _HEALTHY:
        made.append(manifests.config_map(component, namespace=namespace))
        workload = _workload(component, namespace)
        made.append(workload)
        expected.append(expectation(workload, speaks=component not in _SILENT, ready=True))
    slave = manifests.deployment("region", slave=True, namespace=namespace, config=manifests.full_name("region"))
    return Set(namespace, [*made, slave], [*expected, expectation(slave, ready=True)])


def _workload(component: str, namespace: str) -> Manifest:
    kind = COMPONENTS[component].kind
    if kind == DAEMON_SET:
        return manifests.daemonset(component, namespace=namespace)
    if kind == POD:
        member = {"etcd_cluster": "default-etcd", "etcd_node": ETCD_POD}
        return manifests.pod(component, name=ETCD_POD, namespace=namespace, extra_labels=member)
    replicas = _REPLICAS.get(component, 1)
    return manifests.deployment(component, namespace=namespace, replicas=replicas, behaviour=clouds.LOAD.get(component))


def trouble(namespace: str = NAMESPACES[TROUBLE]) -> Set:
    """Return one pod for each fault, except for those of `waiting`."""
    return _faults(namespace, [fault for fault in FAULTS if not fault.waits])


def waiting(namespace: str = NAMESPACES[WAITING]) -> Set:
    """Return one pod for each fault that makes a capture wait: a test gives these less time than the others."""
    return _faults(namespace, [fault for fault in FAULTS if fault.waits])


def _faults(namespace: str, faults: list[Fault]) -> Set:
    made, expected = [manifests.namespace(namespace)], []
    for fault in faults:
        parts = fault_manifests(fault, namespace)
        made += parts
        expected.append(expectation(parts[-1], state=fault.state, speaks=fault.speaks))
    deleted = tuple(each.name for each in expected if each.state == states.TERMINATING)
    return Set(namespace, made, expected, delete=deleted)


def regions(namespace: str, behaviours: Mapping[str, Behaviour], config: str = "") -> Set:
    """Return one region for each behaviour, with its name as FAULT_LABEL. config: further lines of configuration.

    A region with busy workers is not ready, and a faulty one may not log that its traps are registered.
    """
    made = [manifests.namespace(namespace), manifests.config_map("region", namespace=namespace, extra=config)]
    expected = []
    for name, behaviour in behaviours.items():
        options = {"behaviour": behaviour, "extra_labels": {FAULT_LABEL: name}, "pod_extra": {"initContainers": []}}
        made.append(manifests.deployment("region", namespace=namespace, suffix=name, **options))
        expected.append(expectation(made[-1], speaks=False))
    return Set(namespace, made, expected)


def bench(namespace: str = NAMESPACES[BENCH], replicas: int = 40, behaviour: Behaviour | None = None) -> Set:
    """Return many replicas of region, as idle as a real one without requests."""
    workload = manifests.deployment("region", namespace=namespace, replicas=replicas, behaviour=behaviour)
    made = [manifests.namespace(namespace), manifests.config_map("region", namespace=namespace), workload]
    return Set(namespace, made, [expectation(workload)])


def health(namespace: str = NAMESPACES[HEALTH], names: str = clouds.NONE) -> Set:
    """Return a small cloud with troubles (deploy.health), their names separated by commas.

    ValueError for unknown troubles, or for those that cannot be in one cloud.
    """
    made, expected, configured = [manifests.namespace(namespace)], [], set()
    for part in clouds.cloud(clouds.troubles_of(names), namespace):
        if part.component not in configured:
            configured.add(part.component)
            made.append(manifests.config_map(part.component, namespace=namespace))
        made.append(part.workload)
        outcome: dict[str, Any] = {"ready": True}
        if part.trouble:
            outcome = {"state": part.trouble.state, "ready": part.trouble.ready, "restarts": part.trouble.restarts}
        expected.append(expectation(part.workload, **outcome))
    return Set(namespace, made, expected)


SETS = {HEALTHY: healthy, TROUBLE: trouble, WAITING: waiting, BENCH: bench, HEALTH: health}


def expectation(workload: Manifest, **options: Any) -> Expectation:
    """Return the expectation of a workload; the number of its pods follows from its manifest."""
    count = ONE_A_NODE if workload["kind"] == DAEMON_SET else workload["spec"].get("replicas", 1)
    return Expectation(workload["kind"], workload["metadata"]["name"], count, **options)
