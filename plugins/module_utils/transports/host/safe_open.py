# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of other processes, opened so that nothing else can be had by it.

Paths and links that come from a process are hostile: a symbolic link in its root may point to a file of the machine,
its descriptor may be a handle of what it may not read, and what is opened may be a device. So paths are walked by hand
inside of the process's root, everything is opened with the process's own rights, and only regular files are.

Standard library only, Python >= 3.7: this runs on nodes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from typing import Iterator

from .rights import Rights, with_rights

# As the kernel has it: PATH_MAX and MAXSYMLINKS.
_MAX_PATH, _MAX_LINKS = 4096, 40
# f_type of statfs: procfs, sysfs, debugfs, tracefs, securityfs, cgroup, cgroup2 (<linux/magic.h>).
_KERNEL_FILES = (0x9FA0, 0x62656572, 0x64626720, 0x74726163, 0x73636673, 0x27E0EB, 0x63677270)
_STATFS_BYTES = 256


def open_log(root: str, path: str, rights: Rights) -> int:
    """A descriptor of a log file that a process names, as open_named(). OSError also for a file of several names: any
    user may have made one of them for a file of somebody else, where the system lets him (fs.protected_hardlinks)."""
    opened = open_named(root, path, rights)
    return _of_one_name(opened)


def open_named(root: str, path: str, rights: Rights) -> int:
    """A descriptor, for reading, of the regular file that a process of this root and these rights means by a path.

    OSError when there is none, the process may not read it, or a symbolic link of another user leads to it.
    """
    # To enter the root of another process takes our own rights.
    walk = PathWalk(root, rights.uid)

    def work() -> int:
        walk.follow(path)
        return open_regular(walk.stack[-1])

    with walk:
        return with_rights(rights, work)


def open_descriptor(path: str, rights: Rights) -> int:
    """The same for a link in /proc/PID/fd: the kernel follows that without looking whether the file may be read."""
    pinned = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return _of_one_name(with_rights(rights, lambda: open_regular(pinned)))
    finally:
        os.close(pinned)


def _of_one_name(descriptor: int) -> int:
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise OSError("it has several names (hard links)")
    return descriptor


@contextlib.contextmanager
def open_in_root(root: str, path: str, user: int | None = None) -> Iterator[int]:
    """A descriptor (O_PATH: nothing is opened yet) of what a path means to somebody whose root directory is this.

    user: only root's and this user's symbolic links are followed; None: everybody's. They are followed by hand, because
    the kernel would take an absolute one from our own root.
    """
    with PathWalk(root, user) as walk:
        walk.follow(path)
        yield walk.stack[-1]


class PathWalk:
    """The way from a root directory downwards: open descriptors (O_PATH), the root's first."""

    def __init__(self, root: str, user: int | None = None) -> None:
        self.stack = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
        self._user = user

    def __enter__(self) -> PathWalk:
        return self

    def __exit__(self, *unused: object) -> None:
        self._back_to(0)

    def follow(self, path: str) -> None:
        """Go on to what the path means. OSError."""
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
        """Go to one name; where that is a symbolic link, stay, and return its target."""
        if part == "..":
            self._back_to(max(1, len(self.stack) - 1))
            return None
        self.stack.append(os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.stack[-1]))
        status = os.fstat(self.stack[-1])
        if not stat.S_ISLNK(status.st_mode):
            return None
        if self._user is not None and status.st_uid not in (0, self._user):
            raise OSError(f"the symbolic link {part} is another user's")
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
    """Open what an O_PATH descriptor stands for, for reading. OSError when it is no regular file: to open a device or
    a pipe may do something, and files like /proc/self/environ tell about ourselves."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode) or _is_of_the_kernel(descriptor):
        raise OSError("not a regular file")
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)


def _is_of_the_kernel(descriptor: int) -> bool:
    """Whether the file lies in /proc, /sys or the like: such files are called regular, too. Source: statfs(2)."""
    told = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None, use_errno=True).fstatfs(descriptor, told) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return ctypes.c_uint32.from_buffer(told).value in _KERNEL_FILES


def is_regular(path: str) -> bool:
    """Whether a path leads to a regular file; OSError when nothing can be said."""
    return stat.S_ISREG(os.stat(path).st_mode)
