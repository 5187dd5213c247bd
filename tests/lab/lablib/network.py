# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network of the lab: links between network namespaces, without any route out of the machine.

The control plane's namespace holds a bridge; every node and the root namespace are connected to it by a veth pair. No
machine of the lab has a default route, so nothing in it can reach the outside.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from .core import LabError, run, wait_for
from .plan import Plan, outside_link

BRIDGE = "br0"


def routes() -> list[str]:
    """Return the destinations of all IPv4 routes of the root namespace."""
    return [route["dst"] for route in json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]))]


def ip(pid: int | None, commands: Sequence[str]) -> None:
    """Run `ip` commands in the network namespace of a process (None: the root namespace)."""
    enter = [] if pid is None else ["nsenter", f"--net=/proc/{pid}/ns/net"]
    run([*enter, "ip", "-batch", "-"], stdin="\n".join(commands) + "\n")


def sysctl(pid: int, key: str, value: str) -> None:
    """Set a network sysctl, which belongs to a namespace: the root namespace keeps its own."""
    run(["nsenter", f"--net=/proc/{pid}/ns/net", "sysctl", "-qw", f"{key}={value}"])


def connect_control_plane(plan: Plan, pid: int) -> None:
    """Create the bridge in the control plane's namespace and the link to the root namespace."""
    outside = outside_link(plan.lab)
    ip(
        None,
        [
            f"link add {outside} type veth peer name outside netns {pid}",
            f"address add {plan.outside_ip}/24 dev {outside}",
            f"link set {outside} up",
            f"route add {plan.network} via {plan.control_plane_ip} dev {outside}",
        ],
    )
    ip(
        pid,
        [
            "link set lo up",
            f"link add {BRIDGE} type bridge",
            f"link set outside master {BRIDGE} up",
            f"address add {plan.control_plane_ip}/24 dev {BRIDGE}",
            f"link set {BRIDGE} up",
        ],
    )
    sysctl(pid, "net.ipv4.ip_forward", "1")


def connect_nodes(plan: Plan, pids: dict[str, int]) -> None:
    """Connect the nodes to the bridge and route every pod network to its node; `pids` by machine name."""
    bridge = pids[plan.control_plane]
    ip(
        bridge,
        [
            command
            for node in plan.nodes
            for command in (
                f"link add node{node.index} type veth peer name eth0 netns {pids[node.name]}",
                f"link set node{node.index} master {BRIDGE} up",
            )
        ],
    )
    for node in plan.nodes:
        ip(pids[node.name], ["link set lo up", f"address add {node.ip}/24 dev eth0", "link set eth0 up"])
        sysctl(pids[node.name], "net.ipv4.ip_forward", "1")
    for name, pid in pids.items():
        others = [f"route add {node.pod_cidr} via {node.ip}" for node in plan.nodes if node.name != name]
        if others:
            ip(pid, others)


def disconnect(lab: str) -> None:
    """Remove the link in the root namespace; the others are removed with their namespaces."""
    link = outside_link(lab)
    with contextlib.suppress(LabError):  # it disappears by itself while its peer's namespace is removed
        if link_exists(link):
            run(["ip", "link", "delete", link])
    wait_for(f"removal of the link {link}", lambda: not link_exists(link))


def link_exists(link: str) -> bool:
    """Return whether the root namespace has this link."""
    return Path("/sys/class/net", link).exists()
