# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes and API servers that never respond: each uses only its own deadline, and the run ends by the run's deadline.

The deadlines are of real processes, so they pass in real time. To show which limit ended a run, the other one is far
away: the deadline of the run for that of a target, and the other way round.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from world import World, play

from patience import patience

NAMESPACE = "onecloud"
# The deadline under test: on a busy machine, too, all that responds must finish by then.
DEADLINE = int(patience(15))
# If nothing responds, nothing has to finish by then.
SHORT_DEADLINE = 5
# The other limit. Without the deadline under test a run would last this long, and the test would not end in time.
FAR = 10 * int(patience(60))


@contextlib.contextmanager
def frozen(world: World, target: str) -> Iterator[None]:
    """Freeze a part of the lab for the duration of the block."""
    world.lab("fault", "freeze", target)
    try:
        yield
    finally:
        world.lab("fault", "thaw", target)


@pytest.mark.parametrize("part", ["kubelet", "containerd"])
def test_hung_node_delays_only_its_own_targets(healthy, tmp_path, part):
    node = healthy.nodes[1]["name"]
    before = healthy.containers(NAMESPACE)
    variables = {
        "cloudpods_kubeconfig": healthy.kubeconfig,
        "cloudpods_components": ["region", "keystone", "host"],
        "cloudpods_timeout": DEADLINE,
        "cloudpods_deadline": FAR,
    }
    with frozen(healthy, f"{node}/{part}"):
        run = play(tmp_path, variables)
    assert run.code == 0, run.shown
    rows = run.of()
    assert len(rows) == len(healthy.pods(NAMESPACE, "app in (region,region-slave,keystone,host)"))
    here, there = ([row for row in rows if (row["node"] == node) is hung] for hung in (False, True))
    assert here
    assert there
    assert {row["status"] for row in here} == {"complete"}, here
    assert {row["status"] for row in there} == {"failed"}, there
    for row in there:
        assert row["reason"] in ("timeout", "unreachable", "exec_failed", "log_unavailable", "no_dump"), row
        assert "Next:" in row["message"]
        assert row["duration"] < FAR / 2
    assert healthy.containers(NAMESPACE) == before


def test_run_ends_by_its_deadline(healthy, tmp_path):
    node = healthy.nodes[1]["name"]
    variables = {
        "cloudpods_kubeconfig": healthy.kubeconfig,
        "cloudpods_components": ["region", "host"],
        "cloudpods_timeout": FAR,
        "cloudpods_deadline": DEADLINE,
    }
    with frozen(healthy, f"{node}/kubelet"):
        run = play(tmp_path, variables)
    rows = run.of()
    assert len(rows) == len(healthy.pods(NAMESPACE, "app in (region,region-slave,host)"))
    assert {row["status"] for row in rows if row["node"] != node} == {"complete"}
    there = [row for row in rows if row["node"] == node]
    assert {row["status"] for row in there} == {"failed"}
    assert all(row["duration"] < FAR / 2 for row in there), there


@pytest.mark.parametrize("playbook", ["capture_stacks", "audit_health"])
def test_reports_a_hung_api_server_by_the_deadline(healthy, tmp_path, playbook):
    variables = {
        "cloudpods_kubeconfig": healthy.kubeconfig,
        "cloudpods_timeout": FAR,
        "cloudpods_deadline": SHORT_DEADLINE,
    }
    with frozen(healthy, f"{healthy.state['control_plane']['name']}/kube-apiserver"):
        run = play(tmp_path, variables, playbook=f"cloudpods.diagnostics.{playbook}")
    assert run.code == 2, run.shown
    assert "The target does not answer" in run.shown
    assert list(run.output.iterdir()) == []


def test_audits_nodes_without_api_server(healthy, tmp_path):
    from test_access import inventory, ssh_host  # noqa: PLC0415 - the two share nothing else

    hosts = inventory(**{node["name"].replace("-", "_"): ssh_host(node) for node in healthy.nodes})
    variables = {
        "cloudpods_transport": "host",
        "cloudpods_cluster": "cloud-a",
        "cloudpods_components": ["region", "keystone", "host"],
        "cloudpods_interval": 2,
    }
    with frozen(healthy, f"{healthy.state['control_plane']['name']}/kube-apiserver"):
        run = play(tmp_path, variables, inventory=hosts, playbook="cloudpods.diagnostics.audit_health")
    assert run.code == 0, run.shown
    own = [row for row in run.rows if row["namespace"] == NAMESPACE]
    for endpoint, components in (("stats", {"region", "keystone", "host"}), ("db_stats", {"region", "keystone"})):
        answered = [row for row in own if row["capture"] == f"status:{endpoint}" and row["status"] == "complete"]
        assert {row["component"] for row in answered} == components
    pods = {pod["metadata"]["name"] for pod in healthy.pods(NAMESPACE, "app in (region,region-slave,keystone,host)")}
    assert {row["instance"] for row in own if row["capture"] == "status:worker_stats"} == pods
    assert "verdict: ok" in run.shown
