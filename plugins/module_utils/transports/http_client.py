# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP client for untrusted peers: one request over its own connection, bounded in time and size.

Standard library only: this runs on nodes.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import socket
import ssl
import zlib
from typing import Callable, Iterator, Mapping, Sequence

from ..deadline import Deadline
from ..reasons import CaptureError, Reason, peer_text
from .base import HttpAnswer, HttpTarget, Sink

# Services answer these questions only to user agents that contain the second word (cloudpods pkg/appsrv,
# whitelist_filter.go, and pkg/util/httputils).
USER_AGENT = "cloudpods.diagnostics yunioncloud-go/201708"
CONNECT_SECONDS = 5.0
HANDSHAKE_SECONDS = 5.0
CHUNK = 1 << 16
# Characters of an error, and of a header's value, that are kept.
SHOWN = 200
HEADER_KEPT = 1000

# Return a connected socket within so many seconds; the second also takes an address and a port.
Connect = Callable[[float], socket.socket]
OpenOne = Callable[[str, int, float], socket.socket]


def _open_one(address: str, port: int, seconds: float) -> socket.socket:
    return socket.create_connection((address, port), seconds)


def to_address(addresses: Sequence[str], port: int, open_one: OpenOne = _open_one) -> Connect:
    """Return a function that connects to the first of these addresses on which the port is open."""

    def connect(seconds: float) -> socket.socket:
        for address in addresses[:-1]:
            with contextlib.suppress(ConnectionRefusedError):
                return open_one(address, port, seconds)
        return open_one(addresses[-1], port, seconds)

    return connect


def get(
    connect: Connect,
    target: HttpTarget,
    deadline: Deadline,
    max_bytes: int,
    tls: ssl.SSLContext | None,
    headers: Mapping[str, str],
    server_name: str = "",
    sink: Sink = None,
) -> HttpAnswer:
    """Send a GET for the target's path, or a POST of its body.

    headers must name the Host. tls: None for plain HTTP. server_name: the name a verified certificate must have.
    sink: see Transport.http_get(). Raise CaptureError without an answer.
    """
    with _connection(connect, tls, deadline, server_name) as sock:
        client = http.client.HTTPConnection("localhost")
        client.sock = sock
        fixed = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
        with _translated(deadline):
            method = "POST" if target.body else "GET"
            client.request(method, target.path, target.body or None, dict(fixed, **headers))
            response = client.getresponse()
        with response:
            if deadline.expired:
                # Headers that were cut off look complete.
                raise CaptureError(Reason.NO_ANSWER)
            into = sink if succeeded(response.status) else None
            body, truncated_by = _read_body(response, deadline, max_bytes, into)
    return answer(response.status, response.getheaders(), body, truncated_by, max_bytes)


def certificate(
    connect: Connect, deadline: Deadline, server_name: str = "", handshake: float = HANDSHAKE_SECONDS
) -> bytes | None:
    """Return the peer's certificate (DER), unverified, or None without a TLS connection within `handshake` seconds."""
    soon = deadline.child(handshake, "handshake")
    try:
        with _connection(connect, unverified(), soon, server_name) as sock:
            return sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
    except CaptureError:
        return None


def succeeded(status: int) -> bool:
    """Return whether the status is a success, so that the body is the requested content."""
    return 200 <= status < 300


def answer(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, truncated_by: str, max_bytes: int
) -> HttpAnswer:
    """Return the answer with this body, decompressed if the peer compressed it unasked."""
    named: dict[str, str] = {}
    for name, value in headers:
        kept = value[:HEADER_KEPT]
        named[name.lower()] = f"{named[name.lower()]}, {kept}" if name.lower() in named else kept
    if body and named.get("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate"):
        body, truncated_by = _decompressed(body, truncated_by, max_bytes)
    return HttpAnswer(status, named, body, truncated_by)


@functools.lru_cache(maxsize=None)
def unverified() -> ssl.SSLContext:
    """Return a TLS context that verifies nothing.

    Services have certificates of the operator's own CA, in the names of their Service. There is nothing to check them
    against, and no secret is sent.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def _connection(
    connect: Connect, tls: ssl.SSLContext | None, deadline: Deadline, server_name: str
) -> Iterator[socket.socket]:
    """Open a connection that is shut down when the deadline passes."""
    deadline.check()
    with _translated(deadline):
        sock = connect(min(CONNECT_SECONDS, deadline.remaining()))
    try:
        # The deadline's guard ends reads. With a timeout per read, a peer could go on for ever, a byte at a time.
        sock.settimeout(None)
        if tls is not None:
            with _translated(deadline):
                sock = tls.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=server_name or None)
        with deadline.guard(lambda: _cut_off(sock)):
            if isinstance(sock, ssl.SSLSocket):
                with _translated(deadline):
                    sock.do_handshake()
            yield sock
    finally:
        sock.close()


def _cut_off(sock: socket.socket) -> None:
    # Not SSLSocket.shutdown(): it would remove the TLS state while another thread reads.
    socket.socket.shutdown(sock, socket.SHUT_RDWR)


@contextlib.contextmanager
def _translated(deadline: Deadline) -> Iterator[None]:
    """Translate errors before an answer. An error after the deadline means no answer."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if deadline.expired:
            raise CaptureError(Reason.NO_ANSWER) from error
        raise CaptureError(_reason(error), error_text(error)) from error


def _reason(error: Exception) -> Reason:
    if isinstance(error, ssl.SSLError):
        return Reason.TLS_FAILED
    if isinstance(error, ConnectionRefusedError):
        return Reason.CONNECTION_REFUSED
    if isinstance(error, ConnectionError):
        # Includes RemoteDisconnected: closed without a response.
        return Reason.CONNECTION_BROKEN
    return Reason.UNREACHABLE if isinstance(error, OSError) else Reason.NOT_HTTP


def error_text(error: object) -> str:
    """Return the text of an error, part of which a peer may have written: short, printable, without secrets."""
    return peer_text(str(error), SHOWN) or type(error).__name__


def _read_body(response: http.client.HTTPResponse, deadline: Deadline, max_bytes: int, sink: Sink) -> tuple[bytes, str]:
    """Return the body up to max_bytes, and why it is incomplete ("" if it is not). A sink receives the body instead."""
    expected = None if response.chunked else response.length
    # One byte more than max_bytes tells a body of exactly that size from a larger one. read1() may return less.
    enough = max_bytes + 1 if expected is None else min(max_bytes + 1, expected)
    chunks: list[bytes] = []
    take = sink or chunks.append
    size, broken = 0, False
    while size < enough:
        try:
            data = response.read1(min(CHUNK, enough - size))
        except (OSError, ValueError, http.client.HTTPException):
            broken = True
            break
        if not data:
            break
        take(data[: max_bytes - size])
        size += len(data)
    body = b"".join(chunks)
    if size > max_bytes:
        return body, "size"
    if size == expected or (expected is None and not broken and not deadline.expired):
        return body, ""
    return body, "time" if deadline.expired else "end"


def _decompressed(body: bytes, truncated_by: str, max_bytes: int) -> tuple[bytes, str]:
    """Decompress at most max_bytes: a few bytes may expand to gigabytes."""
    # 32: gzip or zlib, detected from its header.
    inflater = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(body, max_bytes + 1)
    except zlib.error:
        # The body is not compressed as its header claims; keep it as it came.
        return body, truncated_by
    if len(plain) > max_bytes:
        return plain[:max_bytes], "size"
    return plain, truncated_by or ("" if inflater.eof else "end")
