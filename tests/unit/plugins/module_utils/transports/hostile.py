# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API server on this machine that gives the answers of a test, over real HTTP and WebSocket."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, Union
from urllib.parse import parse_qs, urlsplit

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.sanitize import MAX_DETAIL
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.api import Api
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.transport import (
    KubernetesTransport,
)
from peers import Peer, peer, with_length

TOKEN = "s3cret/bearer+0123456789-0123456789-0123456789-abcdefghij"  # noqa: S105 - nobody takes it
NAMESPACE = "cloud"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
NOT_FOUND = b"404 Not Found"
# Deeper than any parser goes.
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
STDOUT, STDERR, STATUS = b"\x01", b"\x02", b"\x03"
BINARY, CONTINUED, PING = 2, 0, 9
# A message holds the meaning of a reason and the next step besides its detail.
LONGEST_MESSAGE = MAX_DETAIL + 300
ECHO = f'User "system:anonymous" cannot list pods. Authorization: Bearer {TOKEN}\r\n\x1b[31m'

Act = Callable[[Peer, socket.socket], None]
Answer = Union[bytes, Act]  # noqa: UP007 - ansible-test's pylint does not know `|` here


def answer(document: Any, status: bytes = b"200 OK") -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return with_length(body, b"Content-Type: application/json", status=status)


def refusal(message: Any, status: bytes = b"403 Forbidden") -> bytes:
    return answer({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}, status)


def pod(name: str = "region-a", component: str = "region", **changes: Any) -> dict[str, Any]:
    """Return a pod that runs. changes: paths, with __ for dots, and their values."""
    made = {
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "labels": {"app": component}},
        "spec": {"nodeName": "node1", "containers": [{"name": component, "ports": [{"containerPort": 30888}]}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": component, "ready": True, "imageID": "i1", "containerID": "c1", "state": {"running": {}}}
            ],
        },
    }
    for path, value in changes.items():
        place: Any = made
        *way, last = path.split("__")
        for step in way:
            place = place[int(step) if isinstance(place, list) else step]
        place[last] = value
    return made


def pods(*items: Any, **metadata: Any) -> bytes:
    return answer({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": list(items)})


def flood(head: bytes, block: bytes, sent: list[int], most: int = 512 << 20) -> Act:
    """Send the block repeatedly, up to `most` bytes; then wait. sent[0] counts the bytes that were accepted."""

    def act(server: Peer, connection: socket.socket) -> None:
        connection.sendall(head)
        while sent[0] < most and not server.over.is_set():
            connection.sendall(block)
            sent[0] += len(block)
        server.over.wait()

    return act


@contextlib.contextmanager
def memory_below(most: int) -> Iterator[None]:
    """Assert that the block never uses more memory than that."""
    tracemalloc.start()
    tracemalloc.reset_peak()
    before, _peak = tracemalloc.get_traced_memory()
    try:
        yield
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < most


class WebSocket:
    """Server side of pods/exec. word: the nonce of the probe script."""

    def __init__(self, server: Peer, connection: socket.socket) -> None:
        self._connection = connection
        self.over = server.over
        head = server.here.head.decode()
        self.query = parse_qs(urlsplit(head.split(" ")[1]).query)
        self.word = self.query["command"][4].encode()
        key = head.lower().index("sec-websocket-key: ")
        said = head[key:].split("\r\n")[0].split(" ")[1] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accepted = base64.b64encode(hashlib.sha1(said.encode()).digest())  # noqa: S324 - RFC 6455 wants it
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\nSec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
        )

    def frame(self, payload: bytes, opcode: int = BINARY, last: bool = True, stated: int | None = None) -> None:
        """Send one frame. stated: a false length for its head."""
        size = len(payload) if stated is None else stated
        first = (0x80 if last else 0) | opcode
        head = struct.pack("!BB", first, size) if size < 126 else struct.pack("!BBQ", first, 127, size)
        self._connection.sendall(head + payload)

    def say(self, *lines: str) -> None:
        """Send lines of the script."""
        self.frame(STDOUT + b"".join(b"%s %s\n" % (self.word, line.encode()) for line in lines))

    def wait(self) -> None:
        """Read until the client disconnects."""
        while self._connection.recv(4096):
            pass


def executing(act: Callable[[WebSocket], None]) -> Act:
    """Accept an exec whose container then does that."""
    return lambda server, connection: act(WebSocket(server, connection))


class HostileApi:
    """API server with answers by the beginning of the path. The longest beginning counts."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.server: Peer
        self.port = 0

    def _act(self, server: Peer, connection: socket.socket) -> None:
        path = server.here.head.split(b" ")[1].decode()
        found = max((begin for begin in self.answers if path.startswith(begin)), key=len, default="")
        said = self.answers.get(found, answer({}, NOT_FOUND))
        if callable(said):
            said(server, connection)
        else:
            connection.sendall(said)

    @property
    def paths(self) -> list[str]:
        return [head.split(b" ")[1].decode() for head in self.server.heads]

    @property
    def auth(self) -> dict[str, Any]:
        return {"host": f"http://127.0.0.1:{self.port}", "api_key": TOKEN}


@contextlib.contextmanager
def hostile(answers: dict[str, Answer]) -> Iterator[HostileApi]:
    made = HostileApi(answers)
    with peer(made._act) as made.server:
        made.port = made.server.port
        yield made


@contextlib.contextmanager
def transport_to(answers: dict[str, Answer], **options: Any) -> Iterator[tuple[KubernetesTransport, HostileApi]]:
    """Yield a transport whose API server gives these answers. options: of Api."""
    with hostile(answers) as server:
        transport = KubernetesTransport(Api(server.auth, 4, **options), "c1", [NAMESPACE])
        try:
            yield transport, server
        finally:
            transport.close()
