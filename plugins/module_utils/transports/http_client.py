# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One question over a connection of one's own, to a peer that may do anything: nothing it does outlives the deadline,
and no more than so many bytes of it are kept.

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
from ..reasons import CaptureError, Reason, said
from .base import HttpAnswer, HttpTarget, Sink

# Services answer these questions only to user agents that contain the second word (cloudpods pkg/appsrv,
# whitelist_filter.go, and pkg/util/httputils).
USER_AGENT = "cloudpods.diagnostics yunioncloud-go/201708"
CONNECT_SECONDS = 5.0
HANDSHAKE_SECONDS = 5.0
CHUNK = 1 << 16
SHOWN = 200
HEADER_KEPT = 1000

# A connected socket, given the seconds that it may take; and that to an address and port.
Connect = Callable[[float], socket.socket]
OpenOne = Callable[[str, int, float], socket.socket]


def _open_one(address: str, port: int, seconds: float) -> socket.socket:
    return socket.create_connection((address, port), seconds)


def to_address(addresses: Sequence[str], port: int, open_one: OpenOne = _open_one) -> Connect:
    """Connects to the first of these addresses that has somebody listening on the port."""

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
    """One GET of the target's path, or a POST of its body. headers must name the Host. tls: None for plain HTTP;
    server_name: whom a certificate has to name, where it is looked at. sink: as of Transport.http_get().

    CaptureError when there is no answer.
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
                # A head that was cut off looks like one that has ended.
                raise CaptureError(Reason.NO_ANSWER)
            into = sink if succeeded(response.status) else None
            body, cut_by = _read_body(response, deadline, max_bytes, into)
    return answer(response.status, response.getheaders(), body, cut_by, max_bytes)


def certificate(connect: Connect, deadline: Deadline, server_name: str = "") -> bytes | None:
    """The certificate (DER) that is shown, whoever made it; None when no TLS connection comes about soon."""
    soon = deadline.child(HANDSHAKE_SECONDS, "handshake")
    try:
        with _connection(connect, unverified(), soon, server_name) as sock:
            return sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
    except CaptureError:
        return None


def succeeded(status: int) -> bool:
    """Whether the body of an answer is what was asked for."""
    return 200 <= status < 300


def answer(status: int, headers: Sequence[tuple[str, str]], body: bytes, cut_by: str, max_bytes: int) -> HttpAnswer:
    """The answer that these bytes of a body are, decompressed where they came compressed although not asked for."""
    named: dict[str, str] = {}
    for name, value in headers:
        kept = value[:HEADER_KEPT]
        named[name.lower()] = f"{named[name.lower()]}, {kept}" if name.lower() in named else kept
    if body and named.get("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate"):
        body, cut_by = _decompressed(body, cut_by, max_bytes)
    return HttpAnswer(status, named, body, not cut_by, cut_by)


@functools.lru_cache(maxsize=None)
def unverified() -> ssl.SSLContext:
    """Services have certificates of the operator's own CA, in the names of their Service: there is nothing to check
    them against, and no secret is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def _connection(
    connect: Connect, tls: ssl.SSLContext | None, deadline: Deadline, server_name: str
) -> Iterator[socket.socket]:
    """A connection that is shut down when the deadline passes."""
    deadline.check()
    with _translated(deadline):
        sock = connect(min(CONNECT_SECONDS, deadline.remaining()))
    try:
        # From here on the guard rules: a timeout of each read would let a peer go on for ever, a byte at a time.
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
    # Not SSLSocket's own shutdown(), which would take the TLS state away from under the reading thread.
    socket.socket.shutdown(sock, socket.SHUT_RDWR)


@contextlib.contextmanager
def _translated(deadline: Deadline) -> Iterator[None]:
    """What goes wrong before there is an answer. What went wrong because the deadline passed is no answer."""
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
        # Among them RemoteDisconnected: closed without a word.
        return Reason.CONNECTION_BROKEN
    return Reason.UNREACHABLE if isinstance(error, OSError) else Reason.NOT_HTTP


def error_text(error: object) -> str:
    """Return the text of an error, part of which a peer may have written: short, printable, without secrets."""
    return said(str(error), SHOWN) or type(error).__name__


def _read_body(response: http.client.HTTPResponse, deadline: Deadline, max_bytes: int, sink: Sink) -> tuple[bytes, str]:
    """The body as far as it came and was wanted, and why that is not all of it ("" when it is). With a sink, the body
    is given to that."""
    expected = None if response.chunked else response.length
    # One byte more than wanted tells a body of exactly that size from a larger one. (read1() does not count.)
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


def _decompressed(body: bytes, cut_by: str, max_bytes: int) -> tuple[bytes, str]:
    """What was compressed, no more than max_bytes of it: a few bytes may stand for gigabytes."""
    # 32: gzip or zlib, by its head.
    inflater = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(body, max_bytes + 1)
    except zlib.error:
        # Not what it says it is; what came is kept.
        return body, cut_by
    if len(plain) > max_bytes:
        return plain[:max_bytes], "size"
    return plain, cut_by or ("" if inflater.eof else "end")
