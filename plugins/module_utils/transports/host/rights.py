# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files with the rights of another process, so that nothing is opened that it may not open itself.

On Linux each thread has its own file system ids, groups and capabilities. So a new thread takes those of the process,
does the work, and ends. Sources: setfsuid(2), capabilities(7), capset(2); setgroups(2) on why libc's own function
cannot be used (it changes all threads).

Standard library only, Python >= 3.7: this runs on nodes.
"""

from __future__ import annotations

import ctypes
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable, TypeVar

# The number of the system call setgroups() by machine, the one with 32 bits if there are two: <asm/unistd.h>.
_SETGROUPS = {"x86_64": 116, "i686": 206, "armv7l": 206, "s390x": 206, "ppc64le": 81, "ppc64": 81, "mips64": 5114}
_SETGROUPS.update(dict.fromkeys(("aarch64", "loongarch64", "riscv64"), 159))
_CAPABILITY_VERSION_3 = 0x20080522
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (read files against their modes), CAP_SYS_PTRACE (inspect other processes).
READS_ANYTHING = 1 << 1 | 1 << 2 | 1 << 19

T = TypeVar("T")


@dataclass(frozen=True)
class Rights:
    """Rights to open files: file system ids, supplementary groups, effective capabilities (a mask)."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    capabilities: int = 0


def with_rights(rights: Rights, work: Callable[[], T]) -> T:
    """Return the result of work(), done with these rights. Raise OSError if they cannot be taken.

    Only root can take other rights. An ordinary user reads with its own.
    """
    if os.geteuid() != 0:
        return work()

    def run() -> T:
        _take(rights)
        return work()

    return in_own_thread("rights", run)


def in_own_thread(name: str, work: Callable[[], T]) -> T:
    """Return the result of work(), done in a new thread whose rights and namespaces end with it."""
    with ThreadPoolExecutor(1, thread_name_prefix=name) as thread:
        return thread.submit(work).result()


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityMasks(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _take(rights: Rights) -> None:
    """Give this thread the rights, in an order in which each step is still allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    allowed = rights.capabilities if rights.uid == 0 else 0
    _drop_capabilities(libc, READS_ANYTHING & ~allowed)
    number = _SETGROUPS.get(platform.machine())
    if number is None:
        raise OSError(f"the system call setgroups() is not known for {platform.machine()}")
    groups = (ctypes.c_uint32 * len(rights.groups))(*rights.groups)
    _check(libc.syscall(ctypes.c_long(number), ctypes.c_size_t(len(rights.groups)), groups))
    # Both return the previous id, also if they fail. The impossible id changes nothing.
    for function, wanted in ((libc.setfsgid, rights.gid), (libc.setfsuid, rights.uid)):
        function(ctypes.c_uint32(wanted))
        if ctypes.c_uint32(function(ctypes.c_uint32(0xFFFFFFFF))).value != wanted:
            raise PermissionError(f"the rights of user {rights.uid} cannot be taken")


def _drop_capabilities(libc: ctypes.CDLL, dropped: int) -> None:
    header, masks = _CapabilityHeader(_CAPABILITY_VERSION_3, 0), (_CapabilityMasks * 2)()
    _check(libc.capget(ctypes.byref(header), masks))
    masks[0].effective &= ~dropped
    _check(libc.capset(ctypes.byref(header), masks))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
