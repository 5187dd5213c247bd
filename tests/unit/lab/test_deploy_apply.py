# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling a set out: how many pods start at a time, on an API server that is a dict."""

from __future__ import annotations

from typing import Any

import pytest
from deploy import apply, sets
from deploy.expectations import READY_LINE
from deploy.sets import Expectation, Set
from lablib.core import LabError

Object = dict[str, Any]
NAMESPACE = "ns"


class Kubelet:
    """Applies workloads; at each look the pod that was made first of those that start runs. stuck: they never do."""

    def __init__(self, *, stuck: tuple[str, ...] = ()) -> None:
        self.stuck = stuck
        self.workloads: list[Object] = []
        self.starting: list[Object] = []
        self.pods: list[Object] = []
        self.most = 0

    def apply(self, manifest: Object) -> None:
        if manifest["kind"] != "Deployment":
            return
        name, count = manifest["metadata"]["name"], manifest["spec"]["replicas"]
        self.workloads.append({"metadata": {"name": name, "generation": 1},
                               "status": {"observedGeneration": 1, "updatedReplicas": count}})  # fmt: skip
        for number in range(count):
            made: Object = {
                "metadata": {
                    "name": f"{name}-77-{number}", "uid": f"{name}-{number}", "labels": {"pod-template-hash": "77"},
                    "ownerReferences": [{"kind": "ReplicaSet", "name": f"{name}-77"}],
                },
                "spec": {"containers": [{}], "nodeName": "node1"},
                "status": {},
            }  # fmt: skip
            self.pods.append(made)
            self.starting.append(made)
        self.most = max(self.most, len(self.starting))

    def list(self, kind: str, _namespace: str) -> list[Object]:
        if kind == "Pod":
            able = [each for each in self.starting if not each["metadata"]["name"].startswith(self.stuck or "?")]
            if able:
                self.starting.remove(able[0])
                able[0]["status"]["containerStatuses"] = [{"state": {"running": {}}}]
            return self.pods
        return self.workloads if kind == "Deployment" else []

    def log(self, pod: Object) -> str:
        return READY_LINE if pod not in self.starting else ""


def deployments(**replicas: int) -> Set:
    """A set of Deployments with so many replicas."""
    made = [
        {"kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": count}}
        for name, count in replicas.items()
    ]
    expected = [Expectation("Deployment", name, count) for name, count in replicas.items()]
    return Set(NAMESPACE, [{"kind": "Namespace", "metadata": {"name": NAMESPACE}}, *made], expected)


AT_ONCE = apply.Patience(poll_seconds=0.0)


def test_no_more_pods_start_than_the_machine_can_run() -> None:
    kubelet = Kubelet()
    wanted = deployments(**{f"d{number}": 1 + number % 3 for number in range(30)})
    apply.roll_out(kubelet, wanted, AT_ONCE)  # type: ignore[arg-type]
    assert len(kubelet.workloads) == 30
    assert not kubelet.starting
    assert apply.AT_ONCE - 2 <= kubelet.most <= apply.AT_ONCE


def test_a_workload_larger_than_that_starts_alone() -> None:
    kubelet = Kubelet()
    apply.roll_out(kubelet, deployments(small=3, large=40, last=1), AT_ONCE)  # type: ignore[arg-type]
    assert kubelet.most == 40
    assert not kubelet.starting


def test_what_does_not_start_is_named_and_nothing_is_started_behind_it() -> None:
    kubelet = Kubelet(stuck=("d0", "d1", "d2", "d3"))
    wanted = deployments(**{f"d{number}": 3 for number in range(6)})
    with pytest.raises(LabError, match="Deployment d0 wants 3 running"):
        apply.roll_out(kubelet, wanted, apply.Patience(0.05, 0.0))  # type: ignore[arg-type]
    assert len(kubelet.workloads) == 4


def test_every_set_can_be_rolled_out() -> None:
    for name, made in sets.SETS.items():
        wanted = made()
        workloads = [each["metadata"]["name"] for each in wanted.manifests if each["kind"] in apply._WORKLOADS]
        assert workloads == [each.name for each in wanted.expectations], name
