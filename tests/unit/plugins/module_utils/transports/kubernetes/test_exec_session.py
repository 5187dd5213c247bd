# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exec sessions with API servers, also hostile ones: each failure has a reason in one short line, and ends in time."""

from __future__ import annotations

import dataclasses
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpTarget, process_details
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.exec_session import (
    MAX_SESSION,
)
from hostile import (
    CONTINUED,
    DEEP,
    LONGEST_MESSAGE,
    PING,
    PODS,
    STATUS,
    STDERR,
    STDOUT,
    TOKEN,
    answer,
    executing,
    flood,
    memory_below,
    refusal,
    transport_to,
)
from peers import after, drip, never, reset, with_length

from patience import patience

INSTANCE = Instance("c1", "region", "region-a", "cloud", "node1", "region")
EXEC = f"{PODS}/region-a/exec"


def failed(act, seconds=None):
    """Return the verdict of an exec through a server that does this."""
    with transport_to({EXEC: act}) as (transport, server), pytest.raises(CaptureError) as caught:
        transport.open_process(INSTANCE, Deadline(seconds or patience(), "instance"))
    verdict = caught.value.verdict
    assert verdict.message.isprintable()
    assert len(verdict.message) < LONGEST_MESSAGE
    assert server.paths
    return verdict


def test_opens_session():
    def container(socket):
        socket.say("hello", "pid 7", "start 99", "same cgroup", "exe /opt/yunion/bin/region", "ready")
        socket.wait()

    with transport_to({EXEC: executing(container)}) as (transport, server):
        with transport.open_process(INSTANCE, Deadline(patience())) as session:
            assert [process.pid for process in session.facts.candidates] == [7]
        assert parse_qs(urlsplit(server.paths[0]).query)["container"] == ["region"]


STATUSES = {
    "13 MB": json.dumps({"status": "Failure", "message": "x" * (13 << 20)}).encode(),
    "900 KB": json.dumps({"status": "Failure", "message": "x\n" * 450_000}).encode(),
    "deep": DEEP[: 1 << 19],
    "text": b'{"status":[],"message":{"a":"b"}}',
    "a list": b"[]",
    "null": b"null",
    "a number": b"1" * 500_000,
    "no UTF-8": b"\xff" * 1000,
    "the command many times": json.dumps({"message": "error executing command [" * 30_000}).encode(),
}


@pytest.mark.parametrize("status", STATUSES.values(), ids=STATUSES.keys())
def test_shortens_status(status):
    failed(executing(lambda socket: socket.frame(STATUS + status)))


def test_shows_end_of_status_that_repeats_the_command():
    said = {
        "message": "error executing command [/bin/sh -c " + "x" * 9000 + "]: stat /bin/sh: no such file or directory"
    }
    verdict = failed(executing(lambda socket: socket.frame(STATUS + json.dumps(said).encode())))
    assert verdict.reason is Reason.NO_SHELL
    assert "error executing command: stat /bin/sh: no such file or directory" in verdict.message


def without_end(sent, payload, **more):
    """Send frames without end, up to 512 MB."""

    def act(socket):
        while sent[0] < 512 << 20 and not socket.over.is_set():
            socket.frame(payload, **more)
            sent[0] += len(payload)
        socket.wait()

    return executing(act)


@pytest.mark.parametrize("channel", [STDOUT, STDERR, b"\x09"])
@pytest.mark.parametrize("block", [b"x" * 32_768, b"\n" * 32_768])
def test_stops_reading_output_without_end(channel, block):
    sent = [0]
    verdict = failed(without_end(sent, channel + block))
    assert verdict.reason is Reason.EXEC_FAILED
    assert sent[0] < 4 * MAX_SESSION


def test_stops_reading_facts_without_end():
    sent = [0]

    def act(socket):
        while sent[0] < 512 << 20:
            socket.say(*(["pid 1", "start 2", "exe " + "x" * 1000, "impostor 5", "nonsense"] * 25))
            sent[0] += 26_000

    with memory_below(256 << 20):
        assert failed(executing(act)).reason is Reason.EXEC_FAILED
    assert sent[0] < 4 * MAX_SESSION


def test_stops_reading_message_of_fragments_without_end():
    sent = [0]

    def act(socket):
        socket.frame(STDOUT, last=False)
        while sent[0] < 512 << 20:
            socket.frame(b"x" * 32_768, CONTINUED, last=False)
            socket.frame(b"", PING)
            sent[0] += 32_768

    failed(executing(act))
    assert sent[0] < 4 * MAX_SESSION


def test_stops_reading_frame_without_end():
    sent = [0]

    def act(socket):
        socket.frame(STDOUT, stated=1 << 62)
        while sent[0] < 512 << 20:
            socket._connection.sendall(b"x" * 32_768)
            sent[0] += 32_768

    failed(executing(act))
    assert sent[0] < 4 * MAX_SESSION


def test_shortens_facts_of_processes():
    def container(socket):
        socket.say("pid 7", "start 99", "same cgroup", "exe " + "x" * 500_000, "stderr " + "y" * 100_000)
        socket.say("pid -7", "start 9", "pid 7\\n", "start x", "pid " + "9" * 100_000, "start 1", "pid 0x7", "start 7")
        socket.say("pid 5", "start 5", "ignored zz", "pid 6", "start 6", "caught " + "f" * 100_000, "ready")
        socket.wait()

    with transport_to({EXEC: executing(container)}) as (transport, _server):
        session = transport.open_process(INSTANCE, Deadline(patience()))
        with session:
            candidates = session.facts.candidates
    assert {7} <= {process.pid for process in candidates} <= {6, 7}
    for process in candidates:
        assert len(json.dumps(dataclasses.asdict(process))) < 16_384
        assert len(json.dumps(process_details(process))) < 8192


UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
REFUSALS = {
    "13 MB": refusal("x" * (13 << 20)),
    "an echo": refusal(f"Authorization: Bearer {TOKEN}\r\n" * 1000),
    "deep": answer(DEEP, b"403 Forbidden"),
    "wrong types": refusal({"a": ["b"]}),
    "OK": answer({}),
    "nothing": b"HTTP/1.1 200 OK\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "no key": UPGRADE + b"\r\n",
    "another key": UPGRADE + b"Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n",
    "no protocol": UPGRADE + b"Sec-WebSocket-Accept: x\r\n\r\n",
    "no upgrade": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "another upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "cookies": UPGRADE + b"Set-Cookie: \xc3\xa4[]=1; x=y; =\r\nSet-Cookie: a/b=c\r\n\r\n",
    "no number": b"HTTP/1.1 xyz\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no UTF-8": b"HTTP/1.1 403 \xff\xfe\r\n\r\n",
    "no header": b"HTTP/1.1 403 Forbidden\r\nnonsense\r\n\r\n",
    "a length that is none": b"HTTP/1.1 403 Forbidden\r\nContent-Length: x\r\n\r\n",
    "a negative length": b"HTTP/1.1 403 Forbidden\r\nContent-Length: -5\r\n\r\n",
    "a body that ends early": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 50\r\n\r\nx",
    "closed": b"",
}


@pytest.mark.parametrize("said", REFUSALS.values(), ids=REFUSALS.keys())
def test_reports_upgrade_that_is_refused(said):
    failed(lambda _server, connection: connection.sendall(said))


def test_reports_upgrade_that_is_reset():
    failed(reset(b"HTTP/1.1 101"))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 99999999999999\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\nX: ",
        b"",
    ],
    ids=["body", "header", "line"],
)
def test_stops_reading_refusal_without_end(head):
    sent = [0]
    failed(flood(head, b"x" * 32_768, sent))
    assert sent[0] < 64 << 20


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_follows_no_redirect_with_the_token(code):
    with transport_to({"/": answer({})}) as (_other, elsewhere):
        place = f"Location: ws://127.0.0.1:{elsewhere.port}/exec".encode()
        said = with_length(b"", place, status=b"%d Found" % code)
        failed(lambda _server, connection: connection.sendall(said))
        assert elsewhere.paths == []


@pytest.mark.parametrize(
    "act",
    [
        never,
        after(b"HTTP/1.1 101 Switching Protocols\r\n"),
        drip(b"X: " + b"y" * 2000, 0.05, b"HTTP/1.1 101 Switching Protocols\r\n"),
        drip(b"x" * 2000, 0.05, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2000\r\n\r\n"),
        executing(lambda socket: socket.wait()),
        executing(lambda socket: [socket.frame(b"", PING), socket.wait()]),
        executing(lambda socket: [socket.frame(STDOUT, stated=100), socket.wait()]),
    ],
    ids=["silent", "in the head", "dripping head", "dripping body", "silent script", "ping", "in a frame"],
)
def test_deadline_ends_exec_that_hangs(act):
    with transport_to({EXEC: act}) as (transport, server):
        with pytest.raises(DeadlineExceeded):
            transport.open_process(INSTANCE, Deadline(0.5, "instance"))
        assert not server.server.over.is_set()


BAD_NAMES = ["..", "../../../x", "a/b", "a%2fb", "a?b", "a\r\nX: y", "", "x" * 254, "A"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("field", ["name", "namespace"])
def test_sends_no_request_for_impossible_name(field, name):
    """An instance may also come from an option, whose value is untrusted."""
    instance = dataclasses.replace(INSTANCE, **{field: name})
    deadline = Deadline(patience())
    with transport_to({"/": answer({})}) as (transport, server):
        for ask in (
            lambda: transport.open_log(instance, deadline),
            lambda: transport.open_process(instance, deadline),
            lambda: transport.read_log(instance, 60, deadline, 1000),
            lambda: transport.http_get(instance, HttpTarget("http", 80, "/ping"), deadline, 1000),
        ):
            with pytest.raises(CaptureError) as caught:
                ask()
            assert caught.value.verdict.reason is Reason.GONE
            assert caught.value.verdict.message.isprintable()
        assert server.paths == []


# Ends of the script


def failure(message):
    """Return a Status object."""
    return json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}).encode()


def test_page_of_proxy_is_no_deleted_pod():
    verdict = failed(with_length(b"404 page not found\n", status=b"404 Not Found"))
    assert verdict.reason is Reason.EXEC_FAILED
    assert "HTTP status 404: 404 page not found" in verdict.message


def ended(message, *before):
    """Let the script print these lines, then write to standard error, then end with this Status."""

    def act(socket):
        if before:
            socket.say(*before)
        socket.frame(STDERR + b'exec failed: exec: "/bin/sh": stat /bin/sh: no such file or directory\n')
        socket.frame(STATUS + failure(message))
        socket.wait()

    return executing(act)


def test_standard_error_counts_only_before_shell_began():
    message = "command terminated with exit code 1"
    assert failed(ended(message)).reason is Reason.NO_SHELL
    assert failed(ended(message, "hello")).reason is Reason.EXEC_FAILED


def test_exit_code_127_after_shell_began_is_no_missing_shell():
    assert failed(ended("command terminated with exit code 127", "hello")).reason is Reason.EXEC_FAILED


def test_names_blocked_process_at_deadline():
    def container(socket):
        socket.say("hello", "pid 7", "start 99", "same cgroup", "state D", "waits_in nfs_wait_bit_killable")
        socket.wait()

    answers = {EXEC: executing(container)}
    with transport_to(answers) as (transport, _server), pytest.raises(CaptureError) as caught:
        transport.open_process(INSTANCE, Deadline(1.0, "instance"))
    assert caught.value.verdict.reason is Reason.TIMEOUT
    assert "in uninterruptible sleep in nfs_wait_bit_killable" in caught.value.verdict.message
