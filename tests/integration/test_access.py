# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access to a cloud: a control node over SSH, several at once, an unreachable one, and nodes without an API server."""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from world import World, play


def ssh_host(node: dict[str, Any], **variables: Any) -> dict[str, Any]:
    """Return a node of the lab as a host of an inventory."""
    options = f"-o UserKnownHostsFile={shlex.quote(node['ssh_known_hosts'])} -o ControlPath=none"
    return {
        "ansible_host": node["ip"],
        "ansible_port": node["ssh_port"],
        "ansible_user": node["ssh_user"],
        "ansible_ssh_private_key_file": node["ssh_key"],
        "ansible_ssh_common_args": options,
        **variables,
    }


def inventory(**hosts: dict[str, Any]) -> dict[str, Any]:
    return {"cloudpods": {"hosts": {name.replace("_", "-"): host for name, host in hosts.items()}}}


def remains(world: World, node: dict[str, Any]) -> str:
    """Return the folders of the collection in the places where a run may leave them on a node."""
    command = "find /tmp /var/tmp -maxdepth 2 -name 'cloudpods*' 2>/dev/null; true"
    return world.lab("exec", node["name"], "--", "sh", "-c", command)


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """Yield a port of this machine that refuses connections. It is bound here, so that no other process takes it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def test_merges_several_access_points_into_one_bundle(healthy, tmp_path, closed_port):
    node = healthy.nodes[0]
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = inventory(
        cloud_a=ssh_host(node, cloudpods_transport="host", cloudpods_cluster="cloud-a"),
        cloud_b={**local, "cloudpods_kubeconfig": healthy.kubeconfig},
        cloud_c={"ansible_host": "127.0.0.1", "ansible_port": closed_port},
        cloud_d={**local, "cloudpods_kubeconfig": str(tmp_path / "absent.conf")},
    )
    run = play(tmp_path, {"cloudpods_scenario": "slow_system"}, inventory=hosts)
    assert len(run.of(cluster="cloud-b", status="complete")) == 6, run.shown
    own = [pod for pod in healthy.pods("onecloud", "app in (region,region-slave,keystone)")
           if pod["spec"]["nodeName"] == node["name"]]  # fmt: skip
    seen = run.of(cluster="cloud-a", status="complete", namespace="onecloud")
    assert len(seen) == len(own) > 0, run.shown
    absent = {row["cluster"]: row for row in run.of("access")}
    assert set(absent) == {"cloud-c", "cloud-d"}
    assert {name: (row["status"], row["reason"]) for name, row in absent.items()} == {
        "cloud-c": ("failed", "unreachable"),
        "cloud-d": ("failed", "no_result"),
    }
    assert "There is no kubeconfig" in absent["cloud-d"]["message"]
    assert run.code in (0, 4), run.shown  # Ansible itself counts an unreachable host.
    assert sorted(path.name for path in run.bundle.iterdir() if path.is_dir()) == ["cloud-a", "cloud-b"]
    assert remains(healthy, node) == ""


def test_captures_on_nodes_without_api_server(healthy, tmp_path):
    hosts = inventory(**{node["name"].replace("-", "_"): ssh_host(node) for node in healthy.nodes})
    variables = {
        "cloudpods_transport": "host",
        "cloudpods_cluster": "cloud-a",
        "cloudpods_components": ["region", "host", "host-deployer", "host-health", "host-image"],
    }
    before = healthy.containers("onecloud")
    control_plane = healthy.state["control_plane"]["name"]
    healthy.lab("fault", "freeze", f"{control_plane}/kube-apiserver")
    try:
        run = play(tmp_path, variables, inventory=hosts)
    finally:
        healthy.lab("fault", "thaw", f"{control_plane}/kube-apiserver")
    assert run.code == 0, run.shown
    found = {row["component"]: 0 for row in run.of(namespace="onecloud")}
    for row in run.of(status="complete", namespace="onecloud"):
        found[row["component"]] += 1
    assert found == {"region": 4, "host": 2, "host-deployer": 2, "host-health": 2, "host-image": 2}, run.shown
    assert {row["instance"] for row in run.of(component="host", namespace="onecloud")} == {
        pod["metadata"]["name"] for pod in healthy.pods("onecloud", "app=host")
    }
    for node in healthy.nodes:
        assert remains(healthy, node) == ""
    assert healthy.containers("onecloud") == before
