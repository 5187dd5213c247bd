# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the listening sockets of a process of this machine, and connect to it in its network namespace.

Sources: proc(5) on /proc/PID/net/tcp, setns(2), network_namespaces(7): a socket stays in the namespace in which it was
created, and each thread has its own namespace.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import socket
import struct
from dataclasses import dataclass
from typing import Iterable

from ...model import Process
from ...reasons import CaptureError, Reason
from ..http_client import Connect, to_address
from .procfs import ProcFs, translated
from .rights import in_own_thread

_SOCKET = re.compile(r"socket:\[(\d+)\]\Z")
_LISTEN = "0A"
# Descriptors of a process that are inspected, at most.
MAX_DESCRIPTORS = 1 << 16
_CLONE_NEWNET = 0x40000000
# The wildcard addresses include loopback. An IPv6 socket mostly accepts IPv4, too.
_ANY = {"0.0.0.0": ("127.0.0.1",), "::": ("127.0.0.1", "::1")}  # noqa: S104 (nothing is bound)


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket."""

    address: str
    port: int
    inode: int

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return its addresses inside its network namespace, best first."""
        return _ANY.get(self.address, (self.address,))


def parse_listeners(text: str) -> list[Listener]:
    """Parse the listening sockets of a network namespace from /proc/PID/net/tcp or tcp6. Pure."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN:
            address, _colon, port = fields[1].partition(":")
            found.append(Listener(_address(address), int(port, 16), int(fields[9])))
    return found


def _address(text: str) -> str:
    """Parse an address from its hexadecimal words, each in the byte order of the machine."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)


def listeners_of(procfs: ProcFs, pid: int) -> list[Listener]:
    """Return the sockets that this process listens on, ordered by descriptor. Raise OSError.

    A process gets the lowest free descriptor, so the first is the oldest unless one was closed before. Inode numbers
    have no such order: each processor hands out its own range of them (get_next_ino in fs/inode.c).
    """
    own: dict[int, int] = {}
    folder = procfs.path(pid, "fd")
    # They come in numerical order (proc_readfd_common in fs/proc/fd.c), and a service listens on one of the first.
    with os.scandir(folder) as entries:
        names = [entry.name for entry in itertools.islice(entries, MAX_DESCRIPTORS)]
    for name in names:
        # The process opens and closes files meanwhile.
        with contextlib.suppress(FileNotFoundError):
            match = _SOCKET.match(os.readlink(os.path.join(folder, name)))
            if match:
                inode = int(match.group(1))
                own[inode] = min(int(name), own.get(inode, int(name)))
    found: list[Listener] = []
    for table in ("tcp", "tcp6"):
        # Without IPv6 there is no tcp6.
        with contextlib.suppress(FileNotFoundError), open(procfs.path(pid, "net", table), encoding="ascii") as stream:
            found += [one for one in parse_listeners(stream.read()) if one.inode in own]
    return sorted(found, key=lambda one: own[one.inode])


def choose(listeners: Iterable[Listener], port: int) -> Listener:
    """Return the listener on the catalog's port, else the oldest one. Raise CaptureError without any.

    A service opens its other listeners (metadata, files) later.
    """
    everything = list(listeners)
    if not everything:
        raise CaptureError(Reason.CONNECTION_REFUSED, "the process listens on no TCP port")
    return next((one for one in everything if one.port == port), everything[0])


def connect_to(procfs: ProcFs, process: Process, port: int) -> Connect:
    """Return a function that connects to a process on the catalog's port or else its own. Raise CaptureError."""
    with translated(Reason.UNREACHABLE):
        listener = choose(listeners_of(procfs, process.pid), port)
        foreign = procfs.namespace(process.pid, "net") != procfs.own_namespace("net")
        namespace = procfs.path(process.pid, "ns", "net") if foreign else ""

    def open_one(address: str, number: int, seconds: float) -> socket.socket:
        with translated(Reason.UNREACHABLE):
            made = socket_in(namespace, socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            made.settimeout(seconds)
            made.connect((address, number))
            # Checked last: another process may have the pid, and so the namespace and port, by now.
            if not procfs.is_alive(process):
                raise CaptureError(Reason.GONE, f"process {process.pid} has ended")
        except BaseException:
            made.close()
            raise
        return made

    return to_address(listener.addresses, listener.port, open_one)


def socket_in(namespace: str, family: int) -> socket.socket:
    """Create a TCP socket in the network namespace of this file ("": ours). Raise OSError.

    A new thread enters the namespace and ends afterwards, so no other code runs there.
    """
    if not namespace:
        return socket.socket(family, socket.SOCK_STREAM)

    def enter() -> socket.socket:
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(descriptor)
        finally:
            os.close(descriptor)
        return socket.socket(family, socket.SOCK_STREAM)

    return in_own_thread("namespace", enter)


def _set_namespace(descriptor: int) -> None:
    # os.setns() came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
