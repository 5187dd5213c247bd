# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults for tests: parts and whole machines that hang, end, restart, or run with other options.

A part is named `MACHINE/PART`: `cp/kube-apiserver`, `node1/kubelet`, `node2/containerd`. A machine alone (`node1`)
means all of its processes, containers included. To freeze and thaw, a container of a node is named by its id
(`node1/4f1c…`, as in Kubernetes). A frozen process looks alive to the kernel and to TCP: connections are accepted and
never answered.
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
    """Freeze a part or a container (SIGSTOP) or a machine (cgroup freezer), until `thaw`."""
    if "/" not in target:
        cgroups.set_frozen(lab.machine(target).group, True)
        return
    for process in processes(lab, target):
        process.send(signal.SIGSTOP)
        wait_for(f"stop of {target}", lambda process=process: process.state() in ("T", ""))


def thaw(lab: Lab, target: str) -> None:
    """Thaw a frozen part, container or machine; no error if it is not frozen."""
    if "/" not in target:
        cgroups.set_frozen(lab.machine(target).group, False)
        return
    for process in processes(lab, target):
        process.send(signal.SIGCONT)
        wait_for(f"continuation of {target}", lambda process=process: process.state() != "T")


def stop(lab: Lab, target: str) -> None:
    """Stop a part (SIGTERM, after a while SIGKILL); no error if it does not run."""
    machine, part = resolve_part(lab, target)
    machine.stop(part.name)


def kill(lab: Lab, target: str) -> None:
    """End a part as a crash does (SIGKILL)."""
    machine, part = resolve_part(lab, target)
    process = running(machine, part)
    process.send(signal.SIGKILL)
    process.wait_gone(target)


def start(lab: Lab, target: str) -> None:
    """Start a part that does not run and wait until it is ready; no error if it runs."""
    machine, part = resolve_part(lab, target)
    process = machine.process(part.name)
    if process is None or not process.alive():
        machine.start(part)


def configure_kubelet(lab: Lab, name: str, **options: int | str) -> None:
    """Restart the kubelet of a node with other options (of `plan.Options`, such as container_log_max_size).

    Its pods keep running. The lab's own options stay: the next `up` does not detect it, `down` and `up` undo it.
    """
    machine = lab.machine(name)
    configuration = node.kubelet_configuration(lab.plan.options.changed(**options))
    write(machine.directory / "etc" / "kubelet.json", json.dumps(configuration, indent=2))
    stop(lab, f"{name}/kubelet")
    start(lab, f"{name}/kubelet")


def processes(lab: Lab, target: str) -> list[Process]:
    """Return the processes of a part or of a container; LabError if there are none."""
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
    """Return the machine and the part of a target's name; LabError with the known names."""
    name, _unused, wanted = target.partition("/")
    machine = lab.machine(name)
    if not wanted:
        return machine, None
    parts = {part.name: part for part in lab.parts(machine)}
    if wanted not in parts:
        raise LabError(f"{machine.name} has no part {wanted!r}, only {', '.join(parts)}")
    return machine, parts[wanted]


def resolve_part(lab: Lab, target: str) -> tuple[Machine, Part]:
    """Resolve a target that must be a part, like `resolve`."""
    machine, part = resolve(lab, target)
    if part is None:
        names = ", ".join(f"{target}/{one.name}" for one in lab.parts(machine))
        raise LabError(f"{target} is a whole machine; name a part of it: {names}")
    return machine, part


def running(machine: Machine, part: Part) -> Process:
    """Return the process of a part; LabError if it does not run."""
    process = machine.process(part.name)
    if process is None or not process.alive():
        raise LabError(f"{part.name} of {machine.name} does not run")
    return process
