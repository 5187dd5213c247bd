# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan of a lab: every name and address, computed from a few numbers. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9-]{0,9}[a-z0-9]|[a-z]")
MAX_NODES = 50
CANDIDATES = [ipaddress.IPv4Network(f"10.{second}.0.0/16") for second in range(64, 250)]


@dataclass(frozen=True)
class Options:
    """Options chosen by the user; a running lab with other options is replaced.

    container_log_max_size: a Kubernetes quantity such as `10Mi`; container_log_max_files: at least 2.
    """

    nodes: int = 2
    max_pods: int = 110
    container_log_max_size: str = "10Mi"
    container_log_max_files: int = 5

    def changed(self, **given: int | str | None) -> Options:
        """Return a copy with the given options (those that are not None)."""
        return Options(**{**asdict(self), **{key: value for key, value in given.items() if value is not None}})

    def problems(self) -> list[str]:
        """Return the problems of these options, as sentences."""
        found = []
        if not 1 <= self.nodes <= MAX_NODES:
            found.append(f"nodes must be 1 to {MAX_NODES}, not {self.nodes}")
        if not 1 <= self.max_pods <= 250:
            found.append(f"max-pods must be 1 to 250 (a node's pod network is a /24), not {self.max_pods}")
        if self.container_log_max_files < 2:
            found.append(f"container-log-max-files must be at least 2, not {self.container_log_max_files}")
        return found

    def as_dict(self) -> dict[str, int | str]:
        """Return a dict for the state file."""
        return asdict(self)


@dataclass(frozen=True)
class Node:
    """Node of the plan; `index` counts from 1."""

    name: str
    index: int
    ip: str
    pod_cidr: str


@dataclass(frozen=True)
class Plan:
    """Names and addresses of one lab inside its own /16.

    .0.0/24      the machines: .1 the control plane, .11 and up the nodes, .254 the outside (root namespace)
    .101.0/24 …  the pods of node 1, 2, …
    .200.0/24    Services
    """

    lab: str
    network: ipaddress.IPv4Network
    options: Options

    def address(self, third: int, fourth: int) -> str:
        """Return an address by its last two numbers."""
        return str(self.network.network_address + third * 256 + fourth)

    @property
    def group(self) -> str:
        """Return the lab's control group, which holds one group per machine."""
        return group(self.lab)

    @property
    def control_plane(self) -> str:
        """Return the name of the control plane's machine."""
        return f"{self.lab}-cp"

    @property
    def control_plane_ip(self) -> str:
        """Return the address of the API server, which the root namespace uses as well."""
        return self.address(0, 1)

    @property
    def outside_ip(self) -> str:
        """Return the root namespace's address on the lab's network."""
        return self.address(0, 254)

    @property
    def server(self) -> str:
        """Return the API server's URL."""
        return f"https://{self.control_plane_ip}:6443"

    @property
    def service_cidr(self) -> str:
        """Return the addresses of Services."""
        return f"{self.address(200, 0)}/24"

    @property
    def nodes(self) -> list[Node]:
        """Return the nodes."""
        return [
            Node(f"{self.lab}-node{i}", i, self.address(0, 10 + i), f"{self.address(100 + i, 0)}/24")
            for i in range(1, self.options.nodes + 1)
        ]

    @property
    def machines(self) -> list[str]:
        """Return the names of all machines, the control plane first."""
        return [self.control_plane, *(node.name for node in self.nodes)]


def group(lab: str) -> str:
    """Return the control group of the lab of this name."""
    return f"cloudpods-lab.{lab}"


def outside_link(lab: str) -> str:
    """Return the name of the lab's only link in the root namespace (at most 15 characters)."""
    return f"cpl-{lab}"


def free_network(routes: Iterable[str]) -> ipaddress.IPv4Network | None:
    """Return the first candidate that overlaps none of these destinations (as `ip route` prints them)."""
    networks = [ipaddress.IPv4Network(one, strict=False) for one in routes if one != "default" and ":" not in one]
    taken = [network for network in networks if network.prefixlen > 0]  # a default route uses no address
    return next((one for one in CANDIDATES if not any(one.overlaps(other) for other in taken)), None)


@dataclass(frozen=True)
class Places:
    """Paths of a lab's files: everything is below one directory that `down` removes."""

    base: Path

    @property
    def state(self) -> Path:
        """Return the state file. It is written last, so it exists only after `up` has succeeded."""
        return self.base / "state.json"

    @property
    def pki(self) -> Path:
        """Return the directory of keys and certificates."""
        return self.base / "pki"

    @property
    def ssh_key(self) -> Path:
        """Return the private key that gives access to every node."""
        return self.base / "ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Return the host keys of the nodes."""
        return self.base / "ssh" / "known_hosts"

    def kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig of a user."""
        return self.base / "kubeconfig" / f"{re.sub(r'[^A-Za-z0-9._-]', '_', user)}.conf"

    def machine(self, name: str) -> Path:
        """Return the directory that the machine has as /run/lab."""
        return self.base / "machines" / name
