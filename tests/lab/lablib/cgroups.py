# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups on version 1, hybrid and version 2 machines.

Every process of a lab is started in a group of the lab. So membership proves that a process belongs to it, even if the
lab's own records were lost in a crash.
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

SYSTEM = "system.slice"  # The daemons of a machine are in this leaf, because v2 allows no processes in inner groups.


def hierarchies() -> list[Path]:
    """Return the mount points of all cgroup hierarchies, for v2 only one."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _unused, tail = line.partition(" - ")
        if tail.split()[0] in ("cgroup", "cgroup2"):
            found.append(Path(fields.split()[4]))
    if not found:
        raise LabError("no cgroup file system is mounted; nodes cannot run containers")
    return sorted(set(found))


def pure_v2() -> bool:
    """Return whether all controllers are on one v2 hierarchy (containers do not use a hybrid's `unified`)."""
    found = hierarchies()
    return len(found) == 1 and (found[0] / "cgroup.controllers").exists()


def create(group: str) -> None:
    """Create `group` (a path below the root, such as `lab/node1`) in every hierarchy; its parent exists."""
    for hierarchy in hierarchies():
        place = hierarchy / group
        place.mkdir(exist_ok=True)
        if not pure_v2():
            inherit_cpuset(place)


def delegate(group: str) -> None:
    """Delegate every controller from `group` to its children on v2; it must hold no process itself."""
    if pure_v2():
        for place in directories(group):
            available = set((place / "cgroup.controllers").read_text().split())
            missing = available - set((place / "cgroup.subtree_control").read_text().split())
            (place / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(missing)))


def prefer(group: str) -> None:
    """Give `group` ten times the processor time of one other process if both want it.

    By default, a group counts as much as a single process beside it (1024 shares on v1, a weight of 100 on v2). A lab
    is a whole cluster: on a busy machine its services would get next to nothing, and seem to hang.
    """
    for place in directories(group):
        for name, normal in (("cpu.shares", 1024), ("cpu.weight", 100)):
            if (place / name).exists():
                (place / name).write_text(str(10 * normal))


def inherit_cpuset(place: Path) -> None:
    """Copy CPUs and memory nodes to a new v1 cpuset, which takes no process without them."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own = place / name
        if own.exists() and not own.read_text().strip():
            own.write_text((place.parent / name).read_text())


def directories(group: str) -> list[Path]:
    """Return the directories of `group`, one per hierarchy."""
    return [place for hierarchy in hierarchies() if (place := hierarchy / group).is_dir()]


def members(group: str) -> set[int]:
    """Return the processes in `group` and below it, by their host pids."""
    pids: set[int] = set()
    for place in directories(group):
        for inner, _unused, _unused in os.walk(place):
            with contextlib.suppress(OSError):  # the group was removed during the walk
                pids.update(map(int, (Path(inner) / "cgroup.procs").read_text().split()))
    return pids - {0}


def members_of_leaf(group: str, name: str) -> set[int]:
    """Return the processes in the groups of that name below `group`, by their host pids."""
    pids: set[int] = set()
    for place in directories(group):
        for inner, _unused, _unused in os.walk(place):
            if Path(inner).name == name:
                with contextlib.suppress(OSError):  # the group was removed during the walk
                    pids.update(map(int, (Path(inner) / "cgroup.procs").read_text().split()))
    return pids - {0}


def set_frozen(group: str, frozen: bool) -> None:
    """Freeze or thaw every process of `group`, containers included, and wait until it is done."""
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
    """Return whether a file has this line."""
    return line in path.read_text().splitlines()


def kill(group: str) -> None:
    """Kill every process of `group` and wait until none is left."""
    for place in directories(group):
        for inner, _unused, names in os.walk(place):
            if "freezer.state" in names:
                (Path(inner) / "freezer.state").write_text("THAWED")  # a frozen process does not handle SIGKILL

    def none_left() -> bool:
        for pid in members(group):
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # newer kernels: the number of no process
                handle = os.pidfd_open(pid)
                try:
                    if pid in members(group):  # checked again, because now the pidfd pins the pid
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
                except OSError as failed:  # the group is busy for a moment after its last process ended
                    if time.monotonic() > deadline:
                        raise LabError(f"cannot remove the control group {inner}: {failed}") from failed
                    time.sleep(0.02)
                else:
                    break
