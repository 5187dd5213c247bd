# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conformance suites against the Kubernetes transport and a real API server. Each service is a pod of its own."""

# ruff: noqa: E402 - pytest has to know the modules to rewrite before they are imported

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.api import Api
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.transport import (
    KubernetesTransport,
)

pytest.register_assert_rewrite("conformance", "conformance_http", "conformance_logs")

from conformance import *  # noqa: F403  # pylint: disable=wildcard-import,unused-wildcard-import
from conformance import World
from conformance_http import *  # noqa: F403  # pylint: disable=wildcard-import,unused-wildcard-import
from conformance_logs import *  # noqa: F403  # pylint: disable=wildcard-import,unused-wildcard-import
from deploy import manifests, states
from deploy.apply import Cluster
from deploy.expectations import ready
from lablib.core import wait_for

STARTS, ENDS = 60.0, 60.0  # seconds
# None of them shares the node's network, where their ports may be taken. A process that has ended stays ended.
POD = {"initContainers": [], "hostNetwork": False, "restartPolicy": "Never", "terminationGracePeriodSeconds": 1}


class KubernetesWorld(World):
    """Pods in a namespace of their own."""

    short = 1.5
    gone = (Reason.GONE, Reason.UNREACHABLE)

    def __init__(self, cluster: Cluster, namespace: str, kubeconfig: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._numbers = itertools.count(1)
        self._configured: set[str] = set()
        self.transport = KubernetesTransport(Api({"kubeconfig": kubeconfig}, 40), "c1", [namespace])
        cluster.make_namespace(namespace)

    def start(self, component, behaviour=""):
        """Return the pod after its log shows that the signal traps are registered."""
        if component not in self._configured:
            self._cluster.apply(manifests.config_map(component, namespace=self._namespace))
            self._configured.add(component)
        name = f"{component}-{next(self._numbers)}"
        words = dict(word.split("=", 1) for word in behaviour.split())
        self._cluster.apply(
            manifests.pod(component, name=name, namespace=self._namespace, behaviour=words, pod_extra=POD)
        )
        return wait_for(f"pod {name}", lambda: self._started(name), seconds=STARTS)

    def _started(self, name):
        pod = self._get(name)
        return pod if states.state_of(pod) == states.RUNNING and ready(self._cluster.log(pod)) else None

    def _get(self, name):
        return self._cluster.call("GET", f"{self._pods}/{name}")

    def end(self, service):
        name = service["metadata"]["name"]
        self._cluster.call("DELETE", f"{self._pods}/{name}")
        wait_for(f"pod {name} to go", lambda: self._get(name) is None, seconds=ENDS)

    def is_alive(self, service):
        now = self._get(service["metadata"]["name"])
        return now is not None and states.state_of(now) == states.RUNNING and containers(now) == containers(service)

    def is_it(self, service, instance):
        return instance.name == service["metadata"]["name"]

    def close(self):
        """Delete all pods without waiting for the end."""
        self.transport.close()
        now = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        self._cluster.call("DELETE", self._pods, body=now)
        self._cluster.call("DELETE", f"/api/v1/namespaces/{self._namespace}")


def containers(pod) -> list[tuple[str, int]]:
    return [(status["containerID"], status["restartCount"]) for status in pod["status"]["containerStatuses"]]


@pytest.fixture(scope="module")
def namespaces(cluster: Cluster) -> Iterator[list[str]]:
    """Yield a list of created namespaces, and delete all of them at the end."""
    made: list[str] = []
    yield made
    for name in made:
        path = f"/api/v1/namespaces/{name}"
        wait_for(f"namespace {name} to go", lambda p=path: cluster.call("GET", p) is None, seconds=ENDS)


@pytest.fixture
def world(lab, cluster, namespaces) -> Iterator[KubernetesWorld]:
    """Return a namespace of the lab."""
    namespaces.append(f"conformance-{len(namespaces) + 1}")
    made = KubernetesWorld(cluster, namespaces[-1], lab.kubeconfig)
    yield made
    made.close()
