# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes and API servers that never answer: each costs its own deadline only, and the run ends by the run's.

These deadlines are of real processes, so they pass in real time. What ends by a deadline is told from what does not by
another limit that is far away: the one of a target by that of the run, and the other way round.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from world import World, play

from patience import patience

NAMESPACE = "onecloud"
# The deadline under test: what answers has to be done by then on a busy machine, too.
DEADLINE = int(patience(15))
# Where nothing answers, nothing has to be done by then.
SHORT_DEADLINE = 5
# The other limit. Without the deadline under test a run would last so long, and a test would not end in time.
FAR = 10 * int(patience(60))


@contextlib.contextmanager
def frozen(world: World, target: str) -> Iterator[None]:
    """A part of the lab stops in its tracks for as long as the block."""
    world.lab("fault", "freeze", target)
    try:
        yield
    finally:
        world.lab("fault", "thaw", target)


@pytest.mark.parametrize("part", ["kubelet", "containerd"])
def test_a_hung_node_costs_only_its_own_targets_their_deadline(healthy, tmp_path, part):
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


def test_the_run_ends_by_its_deadline_whatever_hangs(healthy, tmp_path):
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
def test_a_hung_api_server_is_told_by_the_deadline(healthy, tmp_path, playbook):
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


def test_an_audit_of_nodes_needs_no_api_server(healthy, tmp_path):
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
