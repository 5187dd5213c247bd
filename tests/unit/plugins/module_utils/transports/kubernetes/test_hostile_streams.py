# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs and services through a hostile API server: bounded memory, time and messages."""

from __future__ import annotations

import gzip
import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpTarget
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Ended, Gap
from hostile import (
    DEEP,
    ECHO,
    LONGEST_MESSAGE,
    PODS,
    TOKEN,
    answer,
    flood,
    memory_below,
    pod,
    pods,
    refusal,
    transport_to,
)
from peers import after, drip, with_length

from patience import patience

INSTANCE = Instance("c1", "region", "region-a", "cloud", "node1", "region", container_id="c1")
LOG = f"{PODS}/region-a/log"
PROXY = f"{PODS}/region-a:30888/proxy"
PING = HttpTarget("http", 30888, "/ping")
STREAM = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NEGATIVE = CHUNKED + b"-1\r\n"
STAMP = b"2026-01-02T03:04:05.000000001Z "


def check(verdict):
    assert verdict.message.isprintable()
    assert len(verdict.message) < LONGEST_MESSAGE


# Logs


@pytest.mark.parametrize("head", [STREAM, NEGATIVE], ids=["no length", "negative chunk"])
@pytest.mark.parametrize(
    "block", [b"x" * 65_536, b"\n" * 65_536, (STAMP + b"x\n") * 2000], ids=["line", "ends", "lines"]
)
def test_stops_reading_log_without_end(head, block):
    """The API server sends more bytes than were requested."""
    sent = [0]
    with memory_below(128 << 20), transport_to({LOG: flood(head + STAMP, block, sent)}) as (transport, _server):
        data = transport.read_log(INSTANCE, 60, Deadline(patience()), 1 << 20)
    assert len(data) <= 1 << 20
    assert sent[0] < 256 << 20


@pytest.mark.parametrize("status", [b"400 Bad Request", b"403 Forbidden", b"500 Internal Server Error"])
@pytest.mark.parametrize("message", [ECHO * 1000, "x" * (13 << 20), {"a": []}, ["x"]])
def test_shortens_refusal_of_a_log(status, message):
    with transport_to({LOG: refusal(message, status)}) as (transport, _server):
        for ask in (
            lambda: transport.open_log(INSTANCE, Deadline(patience())),
            lambda: transport.read_log(INSTANCE, 60, Deadline(patience()), 1000),
        ):
            with pytest.raises(CaptureError) as caught:
                ask()
            check(caught.value.verdict)


@pytest.mark.parametrize(
    "act", [drip(b"x" * 2000, 0.05, STREAM), drip(b"X: " + b"y" * 2000, 0.05, b"HTTP/1.1 200 OK\r\n"), after(STREAM)]
)
def test_deadline_ends_log_that_hangs(act):
    with transport_to({LOG: act}) as (transport, server):
        with pytest.raises(DeadlineExceeded):
            transport.read_log(INSTANCE, 60, Deadline(0.5), 1000)
        assert not server.server.over.is_set()


JUNK = {
    "a line without end": (b"x" * 65_536),
    "ends of lines": b"\n" * 65_536,
    "zeros": b"\0" * 65_536,
    "old timestamps": b"0001-01-01T00:00:00Z a\n" * 2000,
    "impossible timestamps": b"2026-99-99T99:99:99.999999999Z a\n" * 2000,
    "timestamps that go back": b"".join(b"2026-01-02T03:%02d:05Z a\n" % (59 - n % 60) for n in range(2000)),
    "a timestamp in each line": (STAMP + b"x" * 100 + b"\n") * 400,
}


@pytest.mark.parametrize("block", JUNK.values(), ids=JUNK.keys())
def test_follows_junk_to_the_deadline(block):
    sent = [0]
    answers = {LOG: flood(STREAM, block, sent, 64 << 20), PODS: pods(pod())}
    gaps = []
    with memory_below(128 << 20), transport_to(answers) as (transport, _server):
        follow = transport.follow_log(INSTANCE, 60, lambda _deadline: INSTANCE, Deadline(2.0))
        gaps += [event for event in follow.events() if isinstance(event, Gap)]
    assert all(len(gap.message) < LONGEST_MESSAGE for gap in gaps)


@pytest.mark.parametrize("status", [b"403 Forbidden", b"404 Not Found", b"500 Internal Server Error"])
def test_shortens_refusal_to_follow(status):
    with transport_to({LOG: refusal(ECHO * 100_000, status)}) as (transport, _server):
        follow = transport.follow_log(INSTANCE, 60, lambda _deadline: None, Deadline(patience()))
        events = list(follow.events())
    assert isinstance(events[-1], Ended)
    check(events[-1].outcome)
    assert all(len(event.message) < LONGEST_MESSAGE for event in events if isinstance(event, Gap))


# Services


def asked(said, max_bytes=1 << 20, seconds=None):
    with transport_to({PROXY: said}) as (transport, _server):
        return transport.http_get(INSTANCE, PING, Deadline(seconds or patience()), max_bytes)


def test_returns_answer_of_service():
    got = asked(answer(b"pong"))
    assert (got.status, got.body, got.is_complete) == (200, b"pong", True)


@pytest.mark.parametrize(
    ("head", "block"),
    [
        (STREAM, b"x" * 65_536),
        (CHUNKED, b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
        (NEGATIVE, b"x" * 65_536),
        (b"HTTP/1.1 500 X\r\n\r\n", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b" " * (1 << 24))),
    ],
    ids=["no length", "chunks", "negative chunk", "error", "gzip"],
)
def test_stops_reading_service_without_end(head, block):
    sent = [0]
    got = asked(flood(head, block, sent))
    assert (len(got.body) <= 1 << 20, got.is_complete, got.truncated_by) == (True, False, "size")
    assert sent[0] < 64 << 20


def test_limits_size_of_unpacked_answer():
    said = with_length(gzip.compress(b" " * (256 << 20)), b"Content-Encoding: gzip")
    with memory_below(64 << 20):
        got = asked(said)
    assert (len(got.body), got.truncated_by) == (1 << 20, "size")


MESSAGES = [ECHO * 1000, "x" * (13 << 20), {"a": ["b"]}, ["x"], 7, None, "", "error trying to reach service: " * 1000]


@pytest.mark.parametrize("status", [b"401 X", b"403 X", b"404 X", b"429 X", b"500 X", b"502 X", b"503 X"])
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: str(message)[:10])
def test_shortens_error_about_service(status, message):
    body = {"kind": "Status", "apiVersion": "v1", "message": message, "reason": message}
    with pytest.raises(CaptureError) as caught:
        asked(answer(body, status), max_bytes=64 << 20)
    check(caught.value.verdict)


@pytest.mark.parametrize("body", [DEEP, b"9" * (13 << 20), b'{"kind":"Status","apiVersion":' + DEEP, b"[" * 100_000])
def test_keeps_error_that_is_no_status_object(body):
    assert asked(answer(body, b"500 X"), max_bytes=64 << 20).body == body


def test_follows_no_redirect_of_a_service():
    with transport_to({"/": answer({})}) as (_other, elsewhere):
        place = f"Location: http://127.0.0.1:{elsewhere.port}/".encode()
        assert asked(with_length(b"", place, status=b"302 Found")).status == 302
        assert elsewhere.paths == []


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_deadline_ends_service_that_hangs(first):
    with pytest.raises(CaptureError) as caught:
        asked(drip(b"y" * 2000, 0.05, first), seconds=0.5)
    assert caught.value.verdict.reason is Reason.NO_ANSWER


def test_reuses_connection():
    """An answer that was read to its end leaves the connection to the next request."""
    body = pods(pod())

    def act(_server, connection):
        connection.sendall(body)
        while b"\r\n\r\n" in connection.recv(1 << 16):
            connection.sendall(body)

    with transport_to({PODS: act}) as (transport, server):
        for _time in range(3):
            assert len(transport.discover(select(components=["region"]), Deadline(patience())).instances) == 1
        assert len(server.paths) == 1


def test_message_does_not_hold_token():
    with transport_to({LOG: refusal("no")}) as (transport, server):
        with pytest.raises(CaptureError) as caught:
            transport.open_log(INSTANCE, Deadline(patience()))
        assert TOKEN.encode() in server.server.heads[0]
    assert TOKEN not in json.dumps(caught.value.verdict.message)
