# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States of pods and unmet expectations, from objects as the API server returns them."""

from __future__ import annotations

from typing import Any

import pytest
from deploy import states
from deploy.expectations import complaint, pods_of, ready
from deploy.sets import ONE_A_NODE, Expectation

REGION = Expectation("Deployment", "default-region", 2)
RUN = {"running": {}}
BACKOFF = {"waiting": {"reason": "CrashLoopBackOff"}}
STARTING = {"waiting": {"reason": "ContainerCreating"}}


def pod(
    *containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), owner: str = "default-region-77", **more: Any
):
    """Return a pod of a ReplicaSet on a node, with containers and init containers in these states."""
    return {
        "metadata": {
            "name": f"{owner}-abcde",
            "labels": {"pod-template-hash": "77"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner}],
            **more.get("metadata", {}),
        },
        "spec": {"containers": [{}] * max(len(containers), 1), "nodeName": "node1", **more.get("spec", {})},
        "status": {
            "phase": more.get("phase", "Running"),
            "containerStatuses": [{"state": state} for state in containers],
            "initContainerStatuses": [{"state": state} for state in init],
        },
    }


@pytest.mark.parametrize(
    ("made", "state"),
    [
        (pod(RUN), states.RUNNING),
        (pod(RUN, RUN), states.RUNNING),
        (pod(RUN, STARTING), states.OTHER),
        (pod(RUN, spec={"containers": [{}, {}]}), states.OTHER),
        (pod(phase="Pending", spec={"nodeName": ""}), states.PENDING),
        (pod(STARTING, phase="Pending"), states.OTHER),
        (pod(STARTING, init=(RUN,), phase="Pending"), states.INIT),
        (pod(BACKOFF), states.CRASH_LOOP),
        (pod(STARTING, init=(BACKOFF,)), states.CRASH_LOOP),
        (pod({"terminated": {"exitCode": 1}}), states.OTHER),
        (pod({"waiting": {"reason": "ImagePullBackOff"}}), states.NO_IMAGE),
        (pod({"waiting": {"reason": "ErrImageNeverPull"}}), states.NO_IMAGE),
        (pod(RUN, metadata={"deletionTimestamp": "now"}), states.TERMINATING),
        (pod({"terminated": {}}, metadata={"deletionTimestamp": "now"}), states.OTHER),
    ],
)
def test_derives_the_state_of_a_pod(made: dict[str, Any], state: str) -> None:
    assert states.state_of(made) == state


def test_pods_belong_only_to_the_workload_of_their_owner() -> None:
    own, slave = pod(RUN), pod(RUN, owner="default-region-slave-77")
    bare = {"metadata": {"name": "default-region"}}
    daemon = {"metadata": {"name": "x", "ownerReferences": [{"kind": "DaemonSet", "name": "default-region"}]}}
    assert pods_of(REGION, [slave, own, bare, daemon]) == [own]
    assert pods_of(Expectation("Pod", "default-region"), [slave, own, bare, daemon]) == [bare]
    assert pods_of(Expectation("DaemonSet", "default-region"), [slave, own, bare, daemon]) == [daemon]


def deployment(**status: int) -> dict[str, Any]:
    return {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "updatedReplicas": 2, **status}}


@pytest.mark.parametrize(
    ("workload", "pods", "says"),
    [
        (deployment(), [pod(RUN), pod(RUN)], ""),
        (None, [], "Deployment default-region does not exist"),
        (deployment(observedGeneration=1), [pod(RUN), pod(RUN)], "Deployment default-region is not rolled out"),
        (deployment(updatedReplicas=1), [pod(RUN), pod(RUN)], "Deployment default-region is not rolled out"),
        (deployment(), [pod(RUN)], "Deployment default-region wants 2 running, has ['running']"),
        (
            deployment(),
            [pod(RUN), pod(BACKOFF)],
            "Deployment default-region wants 2 running, has ['crash-loop', 'running']",
        ),
        (deployment(), [pod(RUN), pod(RUN), pod(RUN, metadata={"deletionTimestamp": "now"})], ""),
    ],
)
def test_complaint_names_the_unmet_expectation(workload: dict[str, Any] | None, pods: list[Any], says: str) -> None:
    assert complaint(REGION, workload, pods) == says


def watched(state: dict[str, Any], *, is_ready: bool = False, restarts: int = 0) -> dict[str, Any]:
    """Return a pod called `p` with this status of the kubelet."""
    made: dict[str, Any] = pod(state, metadata={"name": "p"})
    made["status"]["conditions"] = [{"type": "Ready", "status": str(is_ready)}]
    made["status"]["containerStatuses"][0]["restartCount"] = restarts
    return made


@pytest.mark.parametrize(
    ("wanted", "found", "says"),
    [
        ({"ready": True}, watched(RUN, is_ready=True), ""),
        ({"ready": True}, watched(RUN), "p is not ready"),
        ({"ready": False}, watched(RUN, is_ready=True), "p is ready"),
        ({"ready": False}, watched(RUN), ""),
        ({"restarts": 2}, watched(RUN, restarts=1), "p was restarted 1 times, not 2"),
        ({"restarts": 2}, watched(RUN, restarts=2), ""),
        ({"state": states.ANY, "restarts": 1}, watched(BACKOFF, restarts=1), ""),
        ({"state": states.ANY, "restarts": 1}, watched(BACKOFF), "p was restarted 0 times, not 1"),
    ],
)
def test_readiness_and_restarts_must_match(wanted: dict[str, Any], found: dict[str, Any], says: str) -> None:
    one = Expectation("Deployment", "default-region", 1, **wanted)
    assert complaint(one, deployment(updatedReplicas=1), [found]) == says


def test_daemon_set_needs_a_pod_on_each_node() -> None:
    hosts = Expectation("DaemonSet", "default-host", ONE_A_NODE)
    seen = {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2}
    workload = {"metadata": {"generation": 2}, "status": seen}
    assert complaint(hosts, workload, [pod(RUN), pod(RUN)]) == ""
    assert complaint(hosts, workload, [pod(RUN)]) != ""
    assert complaint(hosts, {**workload, "status": {**seen, "desiredNumberScheduled": 0}}, []) != ""


@pytest.mark.parametrize(
    ("log", "proven"),
    [
        ("", False),
        ("[info 1] Use configuration file: x\n[info 1] Set log level\n", False),
        ("[info 1] Use configuration file: x\n[info 1] Start listen on https://0.0.0.0:1\n", True),
        ("[info 1] rotated: only later lines are left\n", True),
    ],
)
def test_ready_reads_the_beginning_of_the_log(log: str, proven: bool) -> None:
    assert ready(log) is proven
