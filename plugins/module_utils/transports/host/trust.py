# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide whether a process is a Cloudpods service or only imitates one.

Any user can start a process under a service's path, or in its own root directory where that path is another program.
Such a process is not signalled, queried or read: this runs as root, and the process would choose what root does. The
decision rests on what an ordinary user cannot forge: who may write the program, which root the process is in, and who
started it.

Standard library only, Python >= 3.7: this runs on nodes.
"""

from __future__ import annotations

import contextlib
import os
import stat

from ...deadline import Deadline
from .containers import Placement, cgroup_folders, cgroup_paths
from .procfs import ProcFs
from .programs import find_program, run_bounded
from .safe_open import PathWalk

_UNIT_SUFFIX = ".service"
# The first process of the machine. Its root is the machine's, also if this runs in a container with the host's pid
# namespace.
MACHINE = 1


class Trust:
    """Check of the processes of one machine, for one run. Needs root, else it raises PermissionError.

    cgroups: where the cgroup hierarchies are mounted.
    """

    def __init__(self, procfs: ProcFs, cgroups: str) -> None:
        self._procfs = procfs
        self._cgroups = cgroups
        self._main: dict[str, int] = {}

    def reason_to_distrust(self, pid: int, placement: Placement, deadline: Deadline) -> str:
        """Return why this process is not trusted to be a service, or "".

        Raise OSError if it has ended or cannot be inspected.
        """
        return self._of_program(pid) or (
            self._of_container(pid, placement, deadline) if placement.container_id else self._of_start(pid, deadline)
        )

    def _of_program(self, pid: int) -> str:
        """Return why another user could have written the program, or ""."""
        executable = self._procfs.executable(pid)
        with PathWalk(self._procfs.path(pid, "root")) as walk:
            # If a running program was replaced, its name may be gone.
            with contextlib.suppress(FileNotFoundError):
                walk.follow(os.path.dirname(executable))
            folders = [os.fstat(descriptor) for descriptor in walk.stack]
        if any(_is_foreign(status) for status in folders):
            return f"a folder of {executable} can be written by another user than root"
        if _is_foreign(os.stat(self._procfs.path(pid, "exe"))):
            return f"its program {executable} can be written by another user than root"
        return ""

    def _of_container(self, pid: int, placement: Placement, deadline: Deadline) -> str:
        """Return why it is not a process of the container that its cgroup names, or ""."""
        for folder in cgroup_folders(self._cgroups, self._procfs.cgroup(pid)):
            status = _status(folder)
            if status is not None and status.st_uid not in _trusted():
                return f"its cgroup {folder} was created by user {status.st_uid}"
        first = self._first_of(placement.container_id, deadline)
        if not self._same_root(pid, first) or self._mounts(pid) != self._mounts(first):
            return f"its root directory is not that of its container (process {first})"
        return ""

    def _first_of(self, container_id: str, deadline: Deadline) -> int:
        """Return the oldest process of a container, which its runtime started. Raise FileNotFoundError."""
        ages: list[tuple[int, int]] = []
        for pid in self._procfs.pids():
            deadline.check()
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if container_id in self._procfs.cgroup(pid):
                    ages.append((self._procfs.start_time(pid), pid))
        if not ages:
            raise FileNotFoundError(f"container {container_id} has ended")
        return min(ages)[1]

    def _of_start(self, pid: int, deadline: Deadline) -> str:
        """Return why a process outside of containers is not in our root or not started by root or systemd, or ""."""
        if not (self._same_root(pid, "self") or self._is_in_machines_root(pid)):
            return "its root directory is not that of this machine, and it is in no container of a known kind"
        user = self._procfs.rights(pid).uid
        if user in _trusted() or self._is_of_systemd(pid, deadline):
            return ""
        return f"user {user} started it, and not systemd or a container runtime"

    def _is_of_systemd(self, pid: int, deadline: Deadline) -> bool:
        """Return whether systemd names this process as the main one of its cgroup's unit."""
        units = {os.path.basename(path) for path in cgroup_paths(self._procfs.cgroup(pid)).values()}
        return any(self._main_of(unit, deadline) == pid for unit in units if unit.endswith(_UNIT_SUFFIX))

    def _main_of(self, unit: str, deadline: Deadline) -> int:
        """Return the main process of a unit, or 0. Queried once: any user can start many processes in a unit."""
        if unit not in self._main:
            self._main[unit] = 0
            program = find_program("systemctl")
            if program is not None:
                ran = run_bounded([program, "show", "--property=MainPID", "--value", "--", unit], deadline)
                text = ran.output.strip()
                self._main[unit] = int(text) if ran.code == 0 and text.isdigit() else 0
        return self._main[unit]

    def _same_root(self, pid: int, other: int | str) -> bool:
        known = os.stat(os.path.join(self._procfs.root, str(other), "root"))
        return os.path.samestat(os.stat(self._procfs.path(pid, "root")), known)

    def _is_in_machines_root(self, pid: int) -> bool:
        with contextlib.suppress(PermissionError):
            return self._same_root(pid, MACHINE)
        return False

    def _mounts(self, pid: int) -> str:
        return self._procfs.namespace(pid, "mnt")


def _trusted() -> tuple[int, int]:
    """Return root and our own user, who could do by itself what we do."""
    return 0, os.geteuid()


def _is_foreign(status: os.stat_result) -> bool:
    """Return whether an untrusted user could write there. The sticky bit protects the files in a folder."""
    if status.st_uid not in _trusted():
        return True
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        return False
    others = status.st_mode & stat.S_IWOTH
    group = status.st_mode & stat.S_IWGRP and status.st_gid not in (0, os.getegid())
    return bool(others or group)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
