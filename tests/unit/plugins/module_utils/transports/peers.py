# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers on this machine that answer one request with given bytes, also malformed ones."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from patience import patience

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@dataclass
class Peer:
    """A server on a free port of 127.0.0.1. act gets each connection after the request's headers, and may write.

    heads: what was asked, as it came; here.head: what is asked in this thread. Every connection is closed when act
    returns. listens: whether the question is waited for at all. listener: a socket to listen on instead, bound already.
    """

    act: Callable[[Peer, socket.socket], None]
    tls: ssl.SSLContext | None = None
    listens: bool = True
    listener: socket.socket | None = None
    heads: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    here: threading.local = field(default_factory=threading.local)

    def __post_init__(self) -> None:
        self._listener = self.listener or socket.create_server(("127.0.0.1", 0))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # Most of these tests are about a peer that disconnects early.
        with contextlib.suppress(OSError), connection:
            secured = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
            with secured:
                head = b""
                while self.listens and b"\r\n\r\n" not in head:
                    data = secured.recv(4096)
                    if not data:
                        return
                    head += data
                self.heads.append(head)
                self.here.head = head
                self.act(self, secured)

    def close(self) -> None:
        self.over.set()
        # Ends the waiting accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(patience())


@contextlib.contextmanager
def peer(
    act: Callable[[Peer, socket.socket], None] | bytes,
    tls: ssl.SSLContext | None = None,
    listens: bool = True,
    listener: socket.socket | None = None,
) -> Iterator[Peer]:
    """Run a peer that acts so, or sends these bytes, within the block."""
    if isinstance(act, bytes):
        said = act

        def say(_peer: Peer, connection: socket.socket) -> None:
            connection.sendall(said)

        act = say
    server = Peer(act, tls, listens, listener)
    try:
        yield server
    finally:
        server.close()


def with_length(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def never(server: Peer, _connection: socket.socket) -> None:
    """Answer nothing while the test runs."""
    server.over.wait(patience(120))


def after(said: bytes) -> Callable[[Peer, socket.socket], None]:
    """Return an action that sends these bytes and then stalls."""

    def act(server: Peer, connection: socket.socket) -> None:
        connection.sendall(said)
        server.over.wait(patience(120))

    return act


def drip(said: bytes, seconds: float, first: bytes = b"") -> Callable[[Peer, socket.socket], None]:
    """Return an action that sends some bytes at once and the rest one at a time."""

    def act(server: Peer, connection: socket.socket) -> None:
        connection.sendall(first)
        for number in range(len(said)):
            connection.sendall(said[number : number + 1])
            if server.over.wait(seconds):
                return

    return act


def reset(said: bytes = b"") -> Callable[[Peer, socket.socket], None]:
    """Return an action that sends these bytes and resets the connection."""

    def act(_server: Peer, connection: socket.socket) -> None:
        connection.sendall(said)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return act


def flood(head: bytes, block: bytes, sent: list[int]) -> Callable[[Peer, socket.socket], None]:
    """Return an action that sends the block endlessly; sent counts the accepted bytes."""

    def act(server: Peer, connection: socket.socket) -> None:
        connection.sendall(head)
        while not server.over.is_set():
            connection.sendall(block)
            sent[0] += len(block)

    return act


@functools.cache
def server_tls(name: str = "somebody-else.example", days: int = 30) -> ssl.SSLContext:
    """Return a server's TLS context with a new certificate of this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder) / "crt.pem", Path(folder) / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
        command += ["-addext", f"subjectAltName=DNS:{name}"]
        command += ["-days", str(days), "-out", str(certificate), "-keyout", str(key)]
        subprocess.run(command, check=True, capture_output=True)
        context.load_cert_chain(certificate, key)
        context.pem = certificate.read_text()  # type: ignore[attr-defined]
    return context


def pem(context: ssl.SSLContext) -> str:
    """Return the certificate that server_tls() made."""
    return context.pem  # type: ignore[attr-defined, no-any-return]


def closed_port() -> int:
    """Return a closed port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
