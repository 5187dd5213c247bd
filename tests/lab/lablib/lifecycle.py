# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Life cycle of a lab: up, down, status, leftovers."""

from __future__ import annotations

import ipaddress
import json
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from workspace import cache, locked

from . import cgroups, controlplane, network, node
from .api import Api
from .build import Built
from .core import LabError, say, wait_for, write
from .machine import INIT, Machine, Part
from .pki import Authority, ssh_keys
from .plan import Options, Places, Plan, free_network, group, outside_link
from .process import command_line

STATE_VERSION = 1
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Lab:
    """One lab by its name, running or not."""

    name: str = "lab"

    @property
    def places(self) -> Places:
        """Return the paths of its files."""
        return Places(cache() / "lab" / self.name)

    @cached_property
    def state(self) -> dict[str, Any]:
        """Return the state file's content; LabError if the lab is not up."""
        try:
            return dict(json.loads(self.places.state.read_text()))
        except FileNotFoundError as absent:
            raise LabError(f"the lab {self.name!r} is not up: run `lab.py --name {self.name} up`") from absent

    @cached_property
    def plan(self) -> Plan:
        """Return its names and addresses, as recorded at `up`."""
        return Plan(self.name, ipaddress.IPv4Network(self.state["network"]), Options(**self.state["options"]))

    @property
    def authority(self) -> Authority:
        """Return its certificate authority."""
        return Authority(self.places.pki)

    @property
    def api(self) -> Api:
        """Return its API server, for the admin."""
        return Api(self.plan.server, self.authority)

    def machine(self, name: str) -> Machine:
        """Return a machine by its name, also without the lab's name before it (`node1`)."""
        full = name if name in self.plan.machines else f"{self.name}-{name}"
        if full not in self.plan.machines:
            raise LabError(f"no machine {name!r}, only {', '.join(self.plan.machines)}")
        return make_machine(self.plan, self.places, full)

    def parts(self, machine: Machine) -> list[Part]:
        """Return the daemons of a machine in the order of their start."""
        return parts_of(self.plan, self.authority, machine)


def make_machine(plan: Plan, places: Places, name: str) -> Machine:
    """Return the machine of this name."""
    return Machine(name, f"{plan.group}/{name}", places.machine(name))


def parts_of(plan: Plan, authority: Authority, machine: Machine) -> list[Part]:
    """Return the daemons of a machine in the order of their start."""
    if machine.name == plan.control_plane:
        return controlplane.parts(plan, authority, machine)
    (own,) = (one for one in plan.nodes if one.name == machine.name)
    return node.parts(own, plan, authority, machine)


def up(lab: Lab, built: Built, **given: int | str | None) -> dict[str, Any]:
    """Start the lab with the given options (None: the running lab's, or the default); return its state.

    A lab that runs as requested is left alone, except that new images are loaded into its nodes. A damaged lab, or one
    with other options or binaries, is replaced.
    """
    with locked(lab.places.base):
        options = running_options(lab).changed(**given)
        if options.problems():
            raise LabError("; ".join(options.problems()))
        if found := leftovers(lab.name):
            why = reason_to_replace(lab, built, options)
            if not why:
                return refresh_images(lab, built)
            say(f"{lab.name}: {why}; taking it down ({len(found)} things)")
            take_down(lab)
        return bring_up(lab, built, options)


def running_options(lab: Lab) -> Options:
    """Return the options of the running lab, or the defaults."""
    if lab.places.state.exists() and lab.state["version"] == STATE_VERSION:
        return lab.plan.options
    return Options()


def reason_to_replace(lab: Lab, built: Built, options: Options) -> str:
    """Return why the existing lab must be replaced; empty if it need not be."""
    if not lab.places.state.exists():
        return "an earlier start or stop did not come to its end"
    if lab.state["version"] != STATE_VERSION or lab.state["kube"] != str(built.kube):
        return "it was built from other sources"
    if lab.plan.options != options:
        return f"it runs with {lab.plan.options}"
    return "; ".join(troubles(lab))


def troubles(lab: Lab) -> list[str]:
    """Return the problems of a lab that should be up, as sentences."""
    found = []
    for name in lab.plan.machines:
        machine = lab.machine(name)
        for part in [INIT, *(part.name for part in lab.parts(machine))]:
            process = machine.process(part)
            state = process.state() if process else ""
            if not state:
                found.append(f"{part} of {name} is dead")
            elif state == "T":
                found.append(f"{part} of {name} is stopped")
    if not found and not lab.api.answers("/readyz"):
        found.append("the API server does not answer")
    if not found and (lost := {one.name for one in lab.plan.nodes} - lab.api.ready_nodes()):
        found.append(f"not Ready: {', '.join(sorted(lost))}")
    return found


def bring_up(lab: Lab, built: Built, options: Options) -> dict[str, Any]:
    """Create the lab on a machine without any part of it."""
    began = time.monotonic()
    places, authority = lab.places, lab.authority
    places.base.mkdir(parents=True, mode=0o700)
    with locked(places.base.with_name("networks")):  # two labs must not choose the same network
        chosen = free_network(network.routes())
        if chosen is None:
            raise LabError("every network the lab could use overlaps a route of this machine")
        plan = Plan(lab.name, chosen, options)
        machines = {name: make_machine(plan, places, name) for name in plan.machines}
        write_hosts(plan, machines)
        cgroups.delegate("")
        cgroups.create(plan.group)
        cgroups.prefer(plan.group)
        cgroups.delegate(plan.group)
        every(machines.values(), lambda machine: machine.boot(built.kube))
        pids = {name: machine.pid for name, machine in machines.items()}
        network.connect_control_plane(plan, pids[plan.control_plane])
    network.connect_nodes(plan, pids)
    prepare(plan, places, authority)
    every(machines.values(), lambda machine: start_machine(plan, authority, machine, built))
    wait_for("the default service account", lambda: Api(plan.server, authority).answers(
        "/api/v1/namespaces/default/serviceaccounts/default"))  # fmt: skip
    state = describe(plan, places, built)
    write(places.state, json.dumps(state, indent=2))
    say(f"{lab.name}: up with {options.nodes} nodes in {time.monotonic() - began:.1f} s")
    return state


def every(things: Iterable[T], act: Callable[[T], R]) -> list[R]:
    """Run the function on all of them in parallel; raise the first failure after all have ended."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        return [future.result() for future in [pool.submit(act, thing) for thing in things]]


def write_hosts(plan: Plan, machines: dict[str, Machine]) -> None:
    """Write the names of all machines into the hosts file of each."""
    known = {plan.control_plane: plan.control_plane_ip, **{one.name: one.ip for one in plan.nodes}}
    text = "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in known.items())
    for machine in machines.values():
        write(machine.directory / "etc" / "hosts", text, 0o644)


def prepare(plan: Plan, places: Places, authority: Authority) -> None:
    """Create keys, certificates and configuration of all machines."""
    authority.create()
    ssh_keys(places.ssh_key)
    control = ThreadPoolExecutor(max_workers=1).submit(controlplane.prepare, plan, places, authority)
    known = every(plan.nodes, lambda one: node.prepare(one, plan, places, authority))
    control.result()
    write(places.known_hosts, "".join(known))


def start_machine(plan: Plan, authority: Authority, machine: Machine, built: Built) -> None:
    """Start the parts of a machine; load a node's images before its kubelet needs them."""
    for part in parts_of(plan, authority, machine):
        if part.name == "kubelet":
            load_images(machine, built)
            wait_for("the API server", lambda: Api(plan.server, authority).answers("/readyz"))
        machine.start(part)


def load_images(machine: Machine, built: Built) -> None:
    """Load the archive into a node unless it is the one that was loaded last."""
    loaded = machine.directory / "run" / "images"
    if not loaded.exists() or loaded.read_text() != built.archive.name:
        node.import_image(machine, built.archive)
        write(loaded, built.archive.name)


def refresh_images(lab: Lab, built: Built) -> dict[str, Any]:
    """Load newly built images into the nodes of a running lab."""
    every(lab.plan.nodes, lambda one: load_images(lab.machine(one.name), built))
    state = describe(lab.plan, lab.places, built)
    write(lab.places.state, json.dumps(state, indent=2))
    say(f"{lab.name}: is up")
    return state


def describe(plan: Plan, places: Places, built: Built) -> dict[str, Any]:
    """Return the state file's content: everything a test needs to know."""

    def described(name: str) -> dict[str, Any]:
        machine = make_machine(plan, places, name)
        pid = machine.pid
        return {"name": name, "pid": pid, "netns": f"/proc/{pid}/ns/net", "log_dir": str(machine.logs)}

    control_plane = described(plan.control_plane)
    return {
        "version": STATE_VERSION,
        "name": plan.lab,
        "state_file": str(places.state),
        "network": str(plan.network),
        "options": plan.options.as_dict(),
        "kube": str(built.kube),
        "server": plan.server,
        "kubeconfig": str(places.kubeconfig("admin")),
        "kubectl": str(built.kube / "kubectl"),
        "audit_log": str(Path(control_plane["log_dir"]) / controlplane.AUDIT_LOG),
        "images": list(built.images),
        "control_plane": {**control_plane, "ip": plan.control_plane_ip},
        "nodes": [
            {
                **described(one.name),
                "ip": one.ip,
                "pod_cidr": one.pod_cidr,
                "ssh_user": "root",
                "ssh_port": node.SSH_PORT,
                "ssh_key": str(places.ssh_key),
                "ssh_known_hosts": str(places.known_hosts),
                "python": "/usr/bin/python3",
            }
            for one in plan.nodes
        ],
    }


def down(lab: Lab) -> bool:
    """Remove the lab; return whether any of it existed."""
    with locked(lab.places.base):
        found = bool(leftovers(lab.name))
        take_down(lab)
    return found


def take_down(lab: Lab) -> None:
    """End every process of the lab and remove all its files and links, whatever its state."""
    own = group(lab.name)
    cgroups.kill(own)
    cgroups.remove(own)
    network.disconnect(lab.name)
    if lab.places.base.exists():
        shutil.rmtree(lab.places.base)
    for name in ("state", "plan"):
        lab.__dict__.pop(name, None)  # the values from the state file


def leftovers(name: str) -> list[str]:
    """Return everything that exists of the lab of this name, one sentence each."""
    own, base = group(name), Places(cache() / "lab" / name).base
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    link = outside_link(name)
    return [
        *(f"process {pid}: {command_line(pid)[:100]}" for pid in sorted(cgroups.members(own))),
        *(f"control group {place}" for place in cgroups.directories(own)),
        *([f"network link {link}"] if network.link_exists(link) else []),
        *(f"mount {mount}" for mount in mounts if mount.startswith(f"{base}/")),
        *([f"directory {base}"] if base.exists() else []),
    ]
