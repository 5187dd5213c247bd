# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployment of a set in steps, with an API server that is a dict: the number of pods that start at a time."""

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
    """API stand-in that applies workloads. stuck: pods never run; else at each look the oldest starting pod runs."""

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
    """Return a set of Deployments with these numbers of replicas."""
    made = [
        {"kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": count}}
        for name, count in replicas.items()
    ]
    expected = [Expectation("Deployment", name, count) for name, count in replicas.items()]
    return Set(NAMESPACE, [{"kind": "Namespace", "metadata": {"name": NAMESPACE}}, *made], expected)


AT_ONCE = apply.Patience(poll_seconds=0.0)


def test_limits_the_pods_that_start_at_a_time() -> None:
    kubelet = Kubelet()
    wanted = deployments(**{f"d{number}": 1 + number % 3 for number in range(30)})
    apply.roll_out(kubelet, wanted, AT_ONCE)  # type: ignore[arg-type]
    assert len(kubelet.workloads) == 30
    assert not kubelet.starting
    assert apply.AT_ONCE - 2 <= kubelet.most <= apply.AT_ONCE


def test_starts_a_workload_over_the_limit_alone() -> None:
    kubelet = Kubelet()
    apply.roll_out(kubelet, deployments(small=3, large=40, last=1), AT_ONCE)  # type: ignore[arg-type]
    assert kubelet.most == 40
    assert not kubelet.starting


def test_names_pods_that_do_not_start_and_starts_no_others() -> None:
    kubelet = Kubelet(stuck=("d0", "d1", "d2", "d3"))
    wanted = deployments(**{f"d{number}": 3 for number in range(6)})
    with pytest.raises(LabError, match="Deployment d0 wants 3 running"):
        apply.roll_out(kubelet, wanted, apply.Patience(0.05, 0.0))  # type: ignore[arg-type]
    assert len(kubelet.workloads) == 4


def test_deploys_every_set() -> None:
    for name, made in sets.SETS.items():
        wanted = made()
        workloads = [each["metadata"]["name"] for each in wanted.manifests if each["kind"] in apply._WORKLOADS]
        assert workloads == [each.name for each in wanted.expectations], name
