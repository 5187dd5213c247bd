# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups on version 1, hybrid and version 2 machines.

Every process of a lab is born in a group the lab made, so membership is what proves that a process
belongs to it, also when the lab's own records were lost in a crash.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from functools import partial
from pathlib import Path

from patience import patience

from .core import LabError, wait_for

SYSTEM = "system.slice"  # the daemons of a machine live in this leaf: v2 allows no processes in inner groups


def hierarchies() -> list[Path]:
    """The mount points of all cgroup hierarchies, for v2 just the one."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _unused, tail = line.partition(" - ")
        if tail.split()[0] in ("cgroup", "cgroup2"):
            found.append(Path(fields.split()[4]))
    if not found:
        raise LabError("no cgroup file system is mounted; nodes cannot run containers")
    return sorted(set(found))


def pure_v2() -> bool:
    """Whether all controllers are on one v2 hierarchy (a hybrid's `unified` does not matter to containers)."""
    found = hierarchies()
    return len(found) == 1 and (found[0] / "cgroup.controllers").exists()


def create(group: str) -> None:
    """Make `group` (a path below the root, such as `lab/node1`) in every hierarchy; its parent exists."""
    for hierarchy in hierarchies():
        place = hierarchy / group
        place.mkdir(exist_ok=True)
        if not pure_v2():
            inherit_cpuset(place)


def delegate(group: str) -> None:
    """On v2, hand every controller down from `group` to its children; it must hold no process itself."""
    if pure_v2():
        for place in directories(group):
            available = set((place / "cgroup.controllers").read_text().split())
            missing = available - set((place / "cgroup.subtree_control").read_text().split())
            (place / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(missing)))


def prefer(group: str) -> None:
    """Give `group` ten times the processor time of one other process where both want it.

    A group counts as much as a single process beside it, unless told (1024 shares on v1, a weight of 100 on v2). A
    lab is a whole cluster: on a busy machine its services would get next to nothing, and look as if they hung.
    """
    for place in directories(group):
        for name, normal in (("cpu.shares", 1024), ("cpu.weight", 100)):
            if (place / name).exists():
                (place / name).write_text(str(10 * normal))


def inherit_cpuset(place: Path) -> None:
    """A new v1 cpuset is empty and takes no process until it has CPUs and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own = place / name
        if own.exists() and not own.read_text().strip():
            own.write_text((place.parent / name).read_text())


def directories(group: str) -> list[Path]:
    """Where `group` exists, one directory a hierarchy."""
    return [place for hierarchy in hierarchies() if (place := hierarchy / group).is_dir()]


def members(group: str) -> set[int]:
    """The processes in `group` and below it, by their host pids."""
    pids: set[int] = set()
    for place in directories(group):
        for inner, _unused, _unused in os.walk(place):
            with contextlib.suppress(OSError):  # the group was removed while we walked
                pids.update(map(int, (Path(inner) / "cgroup.procs").read_text().split()))
    return pids - {0}


def members_of_leaf(group: str, name: str) -> set[int]:
    """The processes in the groups of that name below `group`, by their host pids."""
    pids: set[int] = set()
    for place in directories(group):
        for inner, _unused, _unused in os.walk(place):
            if Path(inner).name == name:
                with contextlib.suppress(OSError):  # the group was removed while we walked
                    pids.update(map(int, (Path(inner) / "cgroup.procs").read_text().split()))
    return pids - {0}


def set_frozen(group: str, frozen: bool) -> None:
    """Freeze or thaw every process of `group`, containers included, and wait until it is so."""
    if pure_v2():
        switch, value, proof, text = "cgroup.freeze", str(int(frozen)), "cgroup.events", f"frozen {int(frozen)}"
    else:
        value = text = "FROZEN" if frozen else "THAWED"
        switch = proof = "freezer.state"
    for place in directories(group):
        if (place / switch).exists():
            (place / switch).write_text(value)
            wait_for(f"{place}: {text}", partial(contains_line, place / proof, text))


def contains_line(path: Path, line: str) -> bool:
    """Whether one line of the file is this."""
    return line in path.read_text().splitlines()


def kill(group: str) -> None:
    """Kill every process of `group` and wait until none is left."""
    for place in directories(group):
        for inner, _unused, names in os.walk(place):
            if "freezer.state" in names:
                (Path(inner) / "freezer.state").write_text("THAWED")  # a frozen process does not even die

    def none_left() -> bool:
        for pid in members(group):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # newer kernels: the number of no process
                handle = os.pidfd_open(pid)
                try:
                    if pid in members(group):  # checked again now that the pidfd pins the pid
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                finally:
                    os.close(handle)
        return not members(group)

    wait_for(f"end of the processes in the control group {group}", none_left)


def remove(group: str) -> None:
    """Remove `group` and everything below it from every hierarchy; it must hold no process."""
    deadline = time.monotonic() + patience()
    for place in directories(group):
        for inner, _unused, _unused in os.walk(place, topdown=False):
            while True:
                try:
                    os.rmdir(inner)
                except FileNotFoundError:
                    break
                except OSError as failed:  # busy for a moment after its last process died
                    if time.monotonic() > deadline:
                        raise LabError(f"cannot remove the control group {inner}: {failed}") from failed
                    time.sleep(0.02)
                else:
                    break
