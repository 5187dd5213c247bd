# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook watch_logs on a real cluster and on its nodes: its output, captures and bundle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from test_access import inventory, ssh_host
from world import World, play

from patience import patience

HEALTH = "onecloud-health"
PLAYBOOK = "cloudpods.diagnostics.watch_logs"


@pytest.fixture(scope="module")
def troubled(world: World) -> Iterator[World]:
    """Return a cloud with a stuck pool of cron jobs, and a watchdog that checks five times a second."""
    world.deploy("health", "--trouble", "pool-busy")
    yield world
    # A watch of whole nodes would find the trouble as well.
    world.deploy("health", "--trouble", "pool-busy", "--delete")


def test_names_the_stuck_instance_and_captures_it_at_once(troubled, tmp_path):
    variables = {
        "cloudpods_kubeconfig": troubled.kubeconfig,
        "cloudpods_namespace": HEALTH,
        "cloudpods_components": ["region", "keystone"],
        "cloudpods_on_hit": ["capture_stacks"],
    }
    run = play(tmp_path, variables, playbook=PLAYBOOK)
    assert run.code == 2, run.shown
    assert "The logs say: stuck" in run.shown
    verdicts = {row["instance"]: row["details"]["verdict"] for row in run.of("log_watch")}
    (stuck,) = [name for name, verdict in verdicts.items() if verdict == "stuck"]
    assert "pool-busy" in stuck
    assert len(verdicts) == len(troubled.pods(HEALTH, "app in (region,keystone)"))
    stacks = {row["instance"]: row for row in run.of("stack")}
    assert set(stacks) == {name for name in verdicts if "region" in name}
    assert {row["reason"] for row in stacks.values()} == {"proven"}
    kept = {path.name for path in (run.bundle / run.of("log_watch", instance=stuck)[0]["path"]).parent.iterdir()}
    assert {"log.json", "log-windows.txt", "counts.json", "picture.svg", "hit-1"} <= kept


def test_wrong_pattern_gives_no_verdict_on_the_target(world, tmp_path):
    pattern = {"id": "own", "texts": ["offline"], "form": "("}
    run = play(
        tmp_path, {"cloudpods_kubeconfig": world.kubeconfig, "cloudpods_log_patterns": [pattern]}, playbook=PLAYBOOK
    )
    assert run.code == 2, run.shown
    assert "cloudpods_log_patterns: pattern 1 (own): " in run.shown
    assert "The target" not in run.shown
    assert not run.rows


def test_check_mode_captures_nothing(troubled, tmp_path):
    variables = {
        "cloudpods_kubeconfig": troubled.kubeconfig,
        "cloudpods_namespace": HEALTH,
        "cloudpods_components": ["region"],
        "cloudpods_on_hit": ["capture_stacks"],
        "cloudpods_fail_on_verdict": "none",
    }
    execs = len([entry for entry in troubled.audit() if "/exec" in entry["requestURI"]])
    run = play(tmp_path, variables, "--check", playbook=PLAYBOOK)
    assert run.code == 0, run.shown
    assert "stuck" in run.shown
    assert "changed=0" in run.shown
    assert len([entry for entry in troubled.audit() if "/exec" in entry["requestURI"]]) == execs


def test_watches_and_captures_on_nodes_over_ssh(troubled, tmp_path):
    hosts = {
        node["name"].replace("-", "_"): ssh_host(node, cloudpods_transport="host", cloudpods_cluster="c1")
        for node in troubled.nodes
    }
    variables = {
        "cloudpods_components": ["region"],
        "cloudpods_on_hit": "capture_stacks",
        # The node without trouble is watched to the end. The earlier lines of the log show the trouble at once.
        "cloudpods_watch_duration": int(patience(15)),
    }
    run = play(tmp_path, variables, inventory=inventory(**hosts), playbook=PLAYBOOK)
    assert run.code == 2, run.shown
    # Pods that other tests left on the nodes are watched as well.
    verdicts = {row["instance"]: row["details"]["verdict"] for row in run.of("log_watch", namespace=HEALTH)}
    assert [name for name, verdict in verdicts.items() if verdict == "stuck"] == [
        pod["metadata"]["name"] for pod in troubled.pods(HEALTH) if "pool-busy" in pod["metadata"]["name"]
    ]
    assert {row["status"] for row in run.of("stack", namespace=HEALTH)} == {"complete"}
