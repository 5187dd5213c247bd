# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files of other processes safely.

Paths and links of a process are untrusted: a symbolic link in its root may point to a file of the machine, its
descriptor may be a handle of a file that it may not read, and a path may name a device. So paths are walked by hand
inside the process's root, and only regular files are opened, with the process's own rights.

Standard library only, Python >= 3.7: this runs on nodes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from typing import Iterator

from .rights import Rights, with_rights

# The kernel's PATH_MAX and MAXSYMLINKS.
_MAX_PATH, _MAX_LINKS = 4096, 40
# f_type of statfs: procfs, sysfs, debugfs, tracefs, securityfs, cgroup, cgroup2 (<linux/magic.h>).
_KERNEL_FILES = (0x9FA0, 0x62656572, 0x64626720, 0x74726163, 0x73636673, 0x27E0EB, 0x63677270)
_STATFS_BYTES = 256


def open_log(root: str, path: str, rights: Rights) -> int:
    """Open a log file that a process names, as open_named(). Raise OSError also for a file with several hard links.

    Without fs.protected_hardlinks, any user can make a hard link to another user's file.
    """
    opened = open_named(root, path, rights)
    return _of_one_name(opened)


def open_named(root: str, path: str, rights: Rights) -> int:
    """Open for reading the regular file at a path, as a process with this root and these rights would.

    Raise OSError if there is none, the process may not read it, or the path has another user's symbolic link.
    """
    # Our own rights are needed to enter the root of another process.
    walk = PathWalk(root, rights.uid)

    def work() -> int:
        walk.follow(path)
        return open_regular(walk.stack[-1])

    with walk:
        return with_rights(rights, work)


def open_descriptor(path: str, rights: Rights) -> int:
    """Open a link in /proc/PID/fd likewise. The kernel follows it without checking read permission."""
    pinned = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return _of_one_name(with_rights(rights, lambda: open_regular(pinned)))
    finally:
        os.close(pinned)


def _of_one_name(descriptor: int) -> int:
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise OSError("the file has several hard links")
    return descriptor


@contextlib.contextmanager
def open_in_root(root: str, path: str, user: int | None = None) -> Iterator[int]:
    """Resolve a path inside a root directory. The descriptor has O_PATH: the file itself is not opened.

    user: only root's and this user's symbolic links are followed; None: all. They are followed by hand, since the
    kernel would resolve absolute ones from our own root.
    """
    with PathWalk(root, user) as walk:
        walk.follow(path)
        yield walk.stack[-1]


class PathWalk:
    """Walk from a root directory downwards. stack: open descriptors (O_PATH), the root's first."""

    def __init__(self, root: str, user: int | None = None) -> None:
        self.stack = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
        self._user = user

    def __enter__(self) -> PathWalk:
        return self

    def __exit__(self, *unused: object) -> None:
        self._back_to(0)

    def follow(self, path: str) -> None:
        """Go on along the path. Raise OSError."""
        parts = _parts(path)
        links = 0
        while parts:
            target = self._step(parts.pop())
            if target is None:
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OSError(f"too many symbolic links in {path}")
            if os.path.isabs(target):
                self._back_to(1)
            parts += _parts(target)

    def _step(self, part: str) -> str | None:
        """Enter one name. If it is a symbolic link, stay and return its target."""
        if part == "..":
            self._back_to(max(1, len(self.stack) - 1))
            return None
        self.stack.append(os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.stack[-1]))
        status = os.fstat(self.stack[-1])
        if not stat.S_ISLNK(status.st_mode):
            return None
        if self._user is not None and status.st_uid not in (0, self._user):
            raise OSError(f"the symbolic link {part} belongs to another user")
        target = os.readlink("", dir_fd=self.stack[-1])
        self._back_to(len(self.stack) - 1)
        return target

    def _back_to(self, depth: int) -> None:
        while len(self.stack) > depth:
            os.close(self.stack.pop())


def _parts(path: str) -> list[str]:
    if len(path) > _MAX_PATH:
        raise OSError("the path is too long")
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def open_regular(descriptor: int) -> int:
    """Open the file of an O_PATH descriptor for reading. Raise OSError if it is not a regular file.

    Opening a device or a pipe may have effects, and files like /proc/self/environ describe this process.
    """
    if not stat.S_ISREG(os.fstat(descriptor).st_mode) or _is_of_the_kernel(descriptor):
        raise OSError("not a regular file")
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)


def _is_of_the_kernel(descriptor: int) -> bool:
    """Return whether the file is in /proc, /sys or the like, where files also count as regular (statfs(2))."""
    told = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None, use_errno=True).fstatfs(descriptor, told) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return ctypes.c_uint32.from_buffer(told).value in _KERNEL_FILES


def is_regular(path: str) -> bool:
    """Return whether a path leads to a regular file. Raise OSError if that cannot be determined."""
    return stat.S_ISREG(os.stat(path).st_mode)
