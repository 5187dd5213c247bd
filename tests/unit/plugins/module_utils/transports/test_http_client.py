# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One GET to peers that do everything wrong, over plain TCP and over TLS."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import json
import socket
import ssl
import termios
import time
import tracemalloc
from dataclasses import dataclass

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports import http_client as http
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpTarget
from peers import OK, after, closed_port, drip, flood, never, peer, pem, reset, server_tls, with_length

from patience import patience, wait_until

LIMIT = 1 << 20
SHORT = 0.4  # seconds
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass
class Nobody:
    """A port without a peer."""

    port: int
    tls: None = None


def ask(server, seconds=60.0, limit=LIMIT, tls=None, path="/stats"):
    context = http.unverified() if (server.tls if tls is None else tls) else None
    connect = http.to_address(["127.0.0.1"], server.port)
    return http.get(connect, HttpTarget("http", 1, path), Deadline(seconds, "test"), limit, context, {"Host": "region"})


def reason_of(server, **options):
    with pytest.raises(CaptureError) as failed:
        ask(server, **options)
    return failed.value.verdict.reason


@contextlib.contextmanager
def in_time():
    """Assert that a deadline of less than a second ends the block.

    Sockets know the real time only; and how much later than that they end is the machine's affair. Without the
    deadline, the peers here would go on for a minute and more.
    """
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < patience(30)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request):
    return server_tls() if request.param else None


# Answers


def test_returns_status_headers_and_body(tls):
    with peer(with_length(b'{"a": 1}', b"X-Odd: One", b"X-Odd: two"), tls) as server:
        answer = ask(server)
    assert (answer.status, answer.body, answer.is_complete, answer.truncated_by) == (200, b'{"a": 1}', True, "")
    assert answer.headers["x-odd"] == "One, two"


def test_sends_one_get_with_the_required_user_agent():
    with peer(with_length(b"pong")) as server:
        ask(server, path="/ping")
    (head,) = server.heads
    line, *headers = head.decode().strip().split("\r\n")
    named = {name.lower(): value.strip() for name, _colon, value in (header.partition(":") for header in headers)}
    assert line == "GET /ping HTTP/1.1"
    assert "yunioncloud-go/201708" in named["user-agent"].lower()
    assert "cloudpods.diagnostics" in named["user-agent"]
    assert (named["host"], named["accept-encoding"], named["connection"]) == ("region", "identity", "close")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503, 504])
def test_any_status_is_an_answer(status):
    body = json.dumps({"class": "SomeError", "code": status}).encode()
    with peer(with_length(body, status=b"%d Some Words" % status)) as server:
        answer = ask(server)
    assert (answer.status, answer.body, answer.is_complete) == (status, body, True)


def test_does_not_follow_redirects():
    with peer(with_length(b"pong")) as other:
        location = b"Location: http://127.0.0.1:%d/switch" % other.port
        with peer(with_length(b"", location, status=b"302 Found")) as server:
            assert ask(server).status == 302
        assert other.heads == []


def test_joins_chunks(tls):
    with peer(CHUNKED + b'4\r\n{"a"\r\n4;x=y\r\n: 1}\r\n0\r\nTrailer: x\r\n\r\n', tls) as server:
        answer = ask(server)
    assert (answer.body, answer.is_complete) == (b'{"a": 1}', True)


def test_without_length_body_ends_with_connection(tls):
    with peer(OK + b"\r\n" + b"x" * 100_000, tls) as server:
        answer = ask(server)
    assert (len(answer.body), answer.is_complete) == (100_000, True)


def test_leaves_binary_bodies_unchanged():
    with peer(with_length(b"\xff\xfe\x00\x80")) as server:
        assert ask(server).body == b"\xff\xfe\x00\x80"


@pytest.mark.parametrize("form", ["length", "chunked", "close"])
@pytest.mark.parametrize(("size", "whole"), [(LIMIT - 1, True), (LIMIT, True), (LIMIT + 1, False)])
def test_applies_size_limit_exactly(form, size, whole):
    body = b"x" * size
    said = {
        "length": with_length(body),
        "chunked": CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (size, body),
        "close": OK + b"\r\n" + body,
    }[form]
    with peer(said) as server:
        answer = ask(server)
    assert (len(answer.body), answer.is_complete) == (min(size, LIMIT), whole)
    assert answer.truncated_by == ("" if whole else "size")


@pytest.mark.parametrize("head", [OK + b"Content-Length: 104857600\r\n\r\n", OK + b"\r\n"], ids=["stated", "not"])
def test_reads_no_more_than_the_limit(head):
    sent = [0]
    with peer(flood(head, b"x" * 65536, sent)) as server:
        answer = ask(server)
    assert (len(answer.body), answer.is_complete, answer.truncated_by) == (LIMIT, False, "size")
    # What the buffers of both ends may hold comes on top.
    assert sent[0] < 40 << 20


# Compression


def compressed(body):
    return with_length(gzip.compress(body), b"Content-Encoding: gzip")


def test_decompresses_unasked_compression():
    with peer(compressed(b'{"a": 1}')) as server:
        answer = ask(server)
    assert (answer.body, answer.is_complete) == (b'{"a": 1}', True)


def test_cuts_compression_bomb_without_using_memory():
    with peer(compressed(b"\0" * (128 << 20))) as server:
        tracemalloc.start()
        try:
            answer = ask(server)
            _now, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (len(answer.body), answer.is_complete, answer.truncated_by) == (LIMIT, False, "size")
    assert most < 16 << 20


def test_truncated_compressed_data_is_incomplete():
    packed = gzip.compress(bytes(range(256)) * 400)
    with peer(with_length(packed[:-30], b"Content-Encoding: gzip")) as server:
        answer = ask(server)
    assert (answer.is_complete, answer.truncated_by) == (False, "end")
    assert answer.body.startswith(bytes(range(256)))


def test_keeps_body_that_is_not_compressed_as_claimed():
    with peer(with_length(b"pong", b"Content-Encoding: gzip")) as server:
        assert ask(server).body == b"pong"


# Bodies that end too early


@pytest.mark.parametrize(
    "said",
    [OK + b"Content-Length: 10\r\n\r\n12345", CHUNKED + b"a\r\n12345", CHUNKED + b"5\r\n12345\r\n"],
    ids=["length", "in a chunk", "between chunks"],
)
def test_keeps_truncated_body_and_marks_it(said, tls):
    with peer(said, tls) as server:
        answer = ask(server)
    assert (answer.status, answer.body, answer.is_complete, answer.truncated_by) == (200, b"12345", False, "end")


def test_malformed_chunk_ends_body():
    with peer(CHUNKED + b"5\r\n12345\r\nzz\r\n") as server:
        answer = ask(server)
    assert (answer.body, answer.truncated_by) == (b"12345", "end")


def test_reset_ends_body():
    # A reset overtakes what has not arrived.
    def act(server, connection):
        connection.sendall(OK + b"Content-Length: 10\r\n\r\n12345")
        wait_until("the bytes to arrive", lambda: fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)) == bytes(4))
        reset()(server, connection)

    with peer(act) as server:
        answer = ask(server)
    assert (answer.body, answer.is_complete, answer.truncated_by) == (b"12345", False, "end")


# Deadlines


@pytest.mark.parametrize(
    "act",
    [
        never,
        drip(with_length(b"pong"), 0.1),
        drip(b"a: b\r\n" * 1000, 0.1, first=OK),
        after(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "a byte a moment", "headers without end", "only Continue"],
)
def test_no_answer_takes_no_longer_than_the_deadline(act, tls):
    with peer(act, tls) as server, in_time():
        assert reason_of(server, seconds=SHORT) is Reason.NO_ANSWER


@pytest.mark.parametrize("head", [OK + b"Content-Length: 10000\r\n\r\n", OK + b"\r\n"], ids=["length", "close"])
def test_keeps_part_of_a_slow_body(head, tls):
    # Where the machine is too busy to answer at all in so short a time, there is a longer one.
    for seconds in (SHORT, 20 * SHORT):
        with peer(drip(b"x" * 10_000, 0.05, first=head), tls) as server, in_time(), contextlib.suppress(CaptureError):
            answer = ask(server, seconds=seconds)
            break
    assert (answer.is_complete, answer.truncated_by) == (False, "time")
    assert 0 < len(answer.body) < 1000


def test_endless_handshake_ends_with_deadline():
    # Plain TCP that waits for the end of a head never answers a ClientHello.
    with peer(never) as server, in_time():
        assert reason_of(server, seconds=0.7, tls=True) is Reason.NO_ANSWER


def test_listener_that_never_accepts_ends_with_deadline():
    with socket.create_server(("127.0.0.1", 0)) as listener, in_time():
        assert reason_of(Nobody(listener.getsockname()[1]), seconds=SHORT) is Reason.NO_ANSWER


def test_sends_nothing_after_the_deadline():
    with peer(with_length(b"pong")) as server, pytest.raises(DeadlineExceeded):
        ask(server, seconds=0.0)
    assert server.heads == []


# Connections


def test_closed_port_is_refused():
    assert reason_of(Nobody(closed_port())) is Reason.CONNECTION_REFUSED


def test_connection_closed_without_answer(tls):
    with peer(b"", tls) as server:
        assert reason_of(server) is Reason.CONNECTION_BROKEN


def test_connection_reset(tls):
    with peer(reset(), tls) as server:
        assert reason_of(server) is Reason.CONNECTION_BROKEN


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        OK + b"a: b\r\n" * 101 + b"\r\n",
        OK + b"a: " + b"b" * 70_000 + b"\r\n\r\n",
        b"\x1b]0;owned\x07\r\n",
    ],
    ids=["ssh", "words", "too many headers", "too long a header", "terminal codes"],
)
def test_answer_that_is_not_http(said):
    with peer(said) as server, pytest.raises(CaptureError) as failed:
        ask(server)
    assert failed.value.verdict.reason is Reason.NOT_HTTP
    assert failed.value.verdict.message.isprintable()


def test_tls_request_to_a_plain_port():
    with peer(b"SSH-2.0-OpenSSH_9.2\r\n", listens=False) as server:
        assert reason_of(server, tls=True) is Reason.TLS_FAILED


def test_plain_request_to_a_tls_port():
    with peer(with_length(b"pong"), server_tls()) as server:
        assert reason_of(server, tls=False) in (Reason.CONNECTION_BROKEN, Reason.NOT_HTTP)


# Certificates


def test_accepts_and_returns_certificate_of_another_name():
    context = server_tls("somebody-else.example")
    with peer(with_length(b"pong"), context) as server:
        assert ask(server).status == 200
        seen = http.certificate(http.to_address(["127.0.0.1"], server.port), Deadline(patience(), "test"))
    assert seen == ssl.PEM_cert_to_DER_cert(pem(context))


def test_certificate_gives_up_on_a_hanging_handshake():
    with peer(never) as server, in_time():
        connect = http.to_address(["127.0.0.1"], server.port)
        assert http.certificate(connect, Deadline(60.0, "test"), handshake=0.5) is None


def test_no_certificate_without_tls():
    with peer(never) as server, in_time():
        assert http.certificate(http.to_address(["127.0.0.1"], server.port), Deadline(SHORT, "test")) is None
    assert http.certificate(http.to_address(["127.0.0.1"], closed_port()), Deadline(SHORT, "test")) is None


# Addresses


def test_connects_to_first_address_with_listener():
    with peer(with_length(b"pong")) as server:
        connect = http.to_address(["127.0.0.2", "127.0.0.1"], server.port)
        answer = http.get(
            connect, HttpTarget("http", 1, "/ping"), Deadline(patience(), "test"), LIMIT, None, {"Host": "region"}
        )
    assert answer.body == b"pong"
