# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults for tests: parts and whole machines that hang, die, come back, or run otherwise.

A part is named `MACHINE/PART`: `cp/kube-apiserver`, `node1/kubelet`, `node2/containerd`; a machine
alone (`node1`) means everything in it, its containers included. To freeze and thaw, a container of a
node is named by its id (`node1/4f1c…`, as Kubernetes tells it). What is frozen looks alive to the
kernel and to TCP: connections are accepted, and nobody ever answers.
"""

from __future__ import annotations

import json
import re
import signal

from . import cgroups, node
from .core import LabError, wait_for, write
from .lifecycle import Lab
from .machine import Machine, Part
from .process import Process

CONTAINER_ID = re.compile(r"[0-9a-f]{64}")


def freeze(lab: Lab, target: str) -> None:
    """Stop a part or a container (SIGSTOP) or a machine (cgroup freezer) in its tracks, until `thaw`."""
    if "/" not in target:
        cgroups.set_frozen(lab.machine(target).group, True)
        return
    for process in processes(lab, target):
        process.send(signal.SIGSTOP)
        wait_for(f"stop of {target}", lambda process=process: process.state() in ("T", ""))


def thaw(lab: Lab, target: str) -> None:
    """Let a frozen part, container or machine run on; fine when it was not frozen."""
    if "/" not in target:
        cgroups.set_frozen(lab.machine(target).group, False)
        return
    for process in processes(lab, target):
        process.send(signal.SIGCONT)
        wait_for(f"continuation of {target}", lambda process=process: process.state() != "T")


def stop(lab: Lab, target: str) -> None:
    """End a part (SIGTERM, in the end SIGKILL); fine when it does not run."""
    machine, part = resolve_part(lab, target)
    machine.stop(part.name)


def kill(lab: Lab, target: str) -> None:
    """End a part as a crash does (SIGKILL)."""
    machine, part = resolve_part(lab, target)
    process = running(machine, part)
    process.send(signal.SIGKILL)
    process.wait_gone(target)


def start(lab: Lab, target: str) -> None:
    """Start a part that does not run and wait until it is ready; fine when it runs."""
    machine, part = resolve_part(lab, target)
    process = machine.process(part.name)
    if process is None or not process.alive():
        machine.start(part)


def configure_kubelet(lab: Lab, name: str, **options: int | str) -> None:
    """Restart the kubelet of a node with other options (of `plan.Options`, such as container_log_max_size).

    Its pods run on. The lab's own options stay: the next `up` does not see it, `down` and `up` undo it.
    """
    machine = lab.machine(name)
    configuration = node.kubelet_configuration(lab.plan.options.changed(**options))
    write(machine.directory / "etc" / "kubelet.json", json.dumps(configuration, indent=2))
    stop(lab, f"{name}/kubelet")
    start(lab, f"{name}/kubelet")


def processes(lab: Lab, target: str) -> list[Process]:
    """The processes of a part or of a container; LabError when there is none."""
    name, _unused, wanted = target.partition("/")
    if CONTAINER_ID.fullmatch(wanted):
        machine = lab.machine(name)
        found = [Process.find(pid) for pid in cgroups.members_of_leaf(machine.group, wanted)]
        if not any(found):
            raise LabError(f"{machine.name} has no container {wanted}")
        return [process for process in found if process]
    machine, part = resolve_part(lab, target)
    return [running(machine, part)]


def resolve(lab: Lab, target: str) -> tuple[Machine, Part | None]:
    """The machine and the part a target names; LabError with those there are."""
    name, _unused, wanted = target.partition("/")
    machine = lab.machine(name)
    if not wanted:
        return machine, None
    parts = {part.name: part for part in lab.parts(machine)}
    if wanted not in parts:
        raise LabError(f"{machine.name} has no part {wanted!r}, only {', '.join(parts)}")
    return machine, parts[wanted]


def resolve_part(lab: Lab, target: str) -> tuple[Machine, Part]:
    """Like `resolve`, where only a part will do."""
    machine, part = resolve(lab, target)
    if part is None:
        names = ", ".join(f"{target}/{one.name}" for one in lab.parts(machine))
        raise LabError(f"{target} is a whole machine; name a part of it: {names}")
    return machine, part


def running(machine: Machine, part: Part) -> Process:
    """The process of a part; LabError when it does not run."""
    process = machine.process(part.name)
    if process is None or not process.alive():
        raise LabError(f"{part.name} of {machine.name} does not run")
    return process
