# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances and workloads that are read from pods, Deployments and DaemonSets."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.signal_policy import refuse_early
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import component_of, select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, Workload
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.pods import (
    instances_of,
    workload_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State


def pod(component="region", containers=("region",), status=None, node="node1", **metadata):
    return {
        "metadata": dict(
            {
                "name": f"default-{component}-abc",
                "namespace": "onecloud",
                "uid": "u1",
                "labels": {"app": component, "app.kubernetes.io/component": component},
                "ownerReferences": [{"kind": "ReplicaSet", "name": f"default-{component}", "controller": True}],
            },
            **metadata,
        ),
        "spec": {
            "nodeName": node,
            "containers": [
                {
                    "name": name,
                    "image": f"{name}:v4",
                    "ports": [{"containerPort": 30888}, {"containerPort": 53, "protocol": "UDP"}],
                }
                for name in containers
            ],
        },
        "status": status if status is not None else running(*containers),
    }


def running(*names):
    return {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": name,
                "ready": True,
                "restartCount": 2,
                "imageID": "sha256:1",
                "containerID": f"containerd://{name}",
                "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}},
            }
            for name in names
        ],
    }


def waiting(reason, last=None):
    entry = {"name": "region", "restartCount": 7, "state": {"waiting": {"reason": reason}}}
    if last:
        entry["lastState"] = {"terminated": last}
    return {"phase": "Running", "containerStatuses": [entry]}


def test_reads_all_fields():
    (found,) = instances_of(pod(), "c", select(components=["region"]))
    assert found == Instance(
        cluster="c",
        component="region",
        name="default-region-abc",
        namespace="onecloud",
        node="node1",
        container="region",
        owner="ReplicaSet/default-region",
        ready=True,
        restarts=2,
        state=State.RUNNING,
        image="region:v4",
        image_id="sha256:1",
        container_id="containerd://region",
        ports=(30888,),
        started="2026-01-02T03:04:05Z",
    )
    assert Instance.from_dict(found.as_dict()) == found


def test_reads_end_of_previous_container():
    last = {"startedAt": "2026-01-02T03:00:00Z", "finishedAt": "2026-01-02T03:00:34Z", "exitCode": 2, "reason": "Error"}
    (found,) = instances_of(pod(status=waiting("CrashLoopBackOff", last)), "c", select(components=["region"]))
    assert (found.last_started, found.last_ended) == ("2026-01-02T03:00:00Z", "2026-01-02T03:00:34Z")


@pytest.mark.parametrize(
    ("component", "containers", "chosen"),
    [
        ("webconsole", ("guacd", "web"), "web"),
        ("apigateway", ("ws", "api"), "api"),
        ("cloudid", ("server",), "server"),
        ("host", ("sdnagent", "host", "host-health"), "host"),
        ("host-sdnagent", ("sdnagent",), "sdnagent"),
        ("newone", ("anything",), "anything"),
        ("newone", ("sidecar", "newone"), "newone"),
        ("newone", ("one", "two"), ""),
        ("region", ("other",), ""),
    ],
)
def test_chooses_container_by_name(component, containers, chosen):
    (found,) = instances_of(pod(component, containers), "c", select(components=[component]))
    assert found.container == chosen
    assert (found.state is State.NO_CONTAINER) == (chosen == "")


def test_uses_default_container_of_pod():
    made = pod("newone", ("one", "two"), annotations={"kubectl.kubernetes.io/default-container": "two"})
    (found,) = instances_of(made, "c", select(components=["newone"]))
    assert found.container == "two"


def test_assigns_read_only_replicas_to_their_component():
    (found,) = instances_of(pod("region-slave", ("region",)), "c", select(components=["region"]))
    assert (found.component, found.read_only) == ("region", True)


def test_finds_several_components_in_one_pod():
    made = pod("host", ("host", "host-health", "sdnagent"))
    found = instances_of(made, "c", select(components=["host", "host-health", "host-sdnagent"]))
    assert [(one.component, one.container) for one in found] == [
        ("host", "host"),
        ("host-health", "host-health"),
        ("host-sdnagent", "sdnagent"),
    ]
    assert instances_of(pod("host", ("host",)), "c", select(components=["host-health"])) == []


def test_leaves_out_pods_of_other_components():
    assert instances_of(pod("host-deployer", ("host-deployer",)), "c", select(components=["host"])) == []
    assert instances_of(pod("host", labels=None), "c", select(components=["host"])) == []


@pytest.mark.parametrize(
    ("made", "state", "detail", "reason"),
    [
        (
            pod(
                node=None,
                status={
                    "phase": "Pending",
                    "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}],
                },
            ),
            State.PENDING,
            "0/2 nodes",
            Reason.PENDING,
        ),
        (
            pod(deletionTimestamp="2026-01-02T03:04:05Z"),
            State.TERMINATING,
            "since 2026-01-02T03:04:05Z",
            Reason.TERMINATING,
        ),
        (pod(status=waiting("ContainerCreating")), State.WAITING, "ContainerCreating", Reason.NOT_STARTED),
        (pod(status=waiting("ImagePullBackOff")), State.WAITING, "ImagePullBackOff", Reason.NOT_STARTED),
        (
            pod(status=waiting("CrashLoopBackOff", {"reason": "Error", "exitCode": 2})),
            State.CRASH_LOOP,
            "Error, exit code 2",
            Reason.CRASH_LOOP,
        ),
        (
            pod(
                status=dict(
                    waiting("PodInitializing"), initContainerStatuses=[{"name": "init", "state": {"running": {}}}]
                )
            ),
            State.INIT,
            "init container init: running",
            Reason.STUCK_IN_INIT,
        ),
        (
            pod(
                status=dict(
                    waiting("PodInitializing"),
                    initContainerStatuses=[
                        {"name": "first", "state": {"terminated": {"exitCode": 0}}},
                        {"name": "init", "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
                    ],
                )
            ),
            State.INIT,
            "init container init: CrashLoopBackOff",
            Reason.STUCK_IN_INIT,
        ),
        (
            pod(
                status={
                    "phase": "Running",
                    "containerStatuses": [
                        {"name": "region", "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
                    ],
                }
            ),
            State.TERMINATED,
            "OOMKilled, exit code 137",
            Reason.TERMINATED,
        ),
        (
            pod(
                status={
                    "phase": "Running",
                    "containerStatuses": [
                        {
                            "name": "region",
                            "restartCount": 3,
                            "state": {"terminated": {"reason": "Error", "exitCode": 1}},
                        }
                    ],
                }
            ),
            State.CRASH_LOOP,
            "Error, exit code 1",
            Reason.CRASH_LOOP,
        ),
        (
            pod(status={"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
            State.TERMINATED,
            "low on memory",
            Reason.TERMINATED,
        ),
        (pod(status={"phase": "Running", "reason": "NodeLost"}), State.NODE_LOST, "", Reason.NODE_LOST),
        (pod(status={}), State.WAITING, "", Reason.NOT_STARTED),
    ],
)
def test_container_that_does_not_run_is_instance_with_reason(made, state, detail, reason):
    (found,) = instances_of(made, "c", select(components=["region"]))
    assert (found.state, found.state_detail) == (state, detail)
    assert refuse_early(component_of("region"), found).verdict.reason is reason


# Workloads


def workload(labels, spec=None, **status_fields):
    return {
        "metadata": {"name": "default-region", "namespace": "onecloud", "labels": {"app": "something else"}},
        "spec": {"template": {"metadata": {"labels": labels}}, **(spec or {})},
        "status": status_fields,
    }


REGION, SLAVE = {"app": "region"}, {"app.kubernetes.io/component": "region-slave"}


@pytest.mark.parametrize(
    ("kind", "item", "component", "desired", "ready", "read_only"),
    [
        ("Deployment", workload(REGION, {"replicas": 3}, readyReplicas=2), "region", 3, 2, False),
        ("Deployment", workload(REGION, {"replicas": 0}), "region", 0, 0, False),
        ("Deployment", workload(REGION, {"replicas": 2}), "region", 2, 0, False),
        ("Deployment", workload(REGION), "region", 1, 0, False),
        ("Deployment", workload(SLAVE, {"replicas": 1}), "region", 1, 0, True),
        ("DaemonSet", workload({"app": "host"}, desiredNumberScheduled=5, numberReady=4), "host", 5, 4, False),
        ("DaemonSet", workload({"app": "host"}), "host", 0, 0, False),
    ],
)
def test_reads_desired_and_ready_replicas(kind, item, component, desired, ready, read_only):
    assert workload_of(kind, item, "c1", select(components=["region", "host"])) == Workload(
        "c1", "onecloud", kind, "default-region", component, desired, ready, read_only
    )


@pytest.mark.parametrize("labels", [{}, None, {"app": "glance"}, {"app": "region-x"}, {"app": "-slave"}])
def test_leaves_out_workloads_of_other_components(labels):
    assert workload_of("Deployment", workload(labels), "c1", select(components=["region"])) is None
