# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of a hostile API server: each attack becomes a problem with a reason in one short line."""

from __future__ import annotations

import gzip
import itertools
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.api import (
    MAX_ERROR_BYTES,
    MAX_PAGES,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.pods import MAX_REFUSED
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

REGION = select(components=["region"])
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def discovered(said, seconds=None, **options):
    """Return what discovery finds at a server that sends this in place of a list of pods, and the server."""
    with transport_to({PODS: said}, **options) as (transport, server):
        found = transport.discover(REGION, Deadline(seconds or patience(), "discovery"))
        return found, server


def check_problems(found, reason=Reason.BAD_ANSWER):
    assert found.problems
    for _place, problem in found.problems:
        assert problem.reason is reason
        assert problem.message.isprintable()
        assert len(problem.message) < LONGEST_MESSAGE


NO_LISTS = {
    "deep": answer(DEEP),
    "deep inside of a pod": answer(b'{"items":[{"metadata":' + DEEP + b"}]}"),
    "deep list": answer(b"[" * 100_000),
    "a number of 13 MB": answer(b'{"items":[' + b"9" * (13 << 20) + b"]}"),
    "infinite": answer(b'{"items":[Infinity]}'),
    "a list": answer([]),
    "null": answer(None),
    "text": answer("x"),
    "nothing": answer(b""),
    "no UTF-8": answer(b'{"items":"\xff"}'),
    "half": answer(b'{"items":['),
    "items are text": answer({"items": "x"}),
    "items are an object": answer({"items": {"a": 1}}),
    "metadata is a list": answer({"metadata": [], "items": []}),
    "continue is a number": answer({"metadata": {"continue": 1}, "items": []}),
    "continue is an object": answer({"metadata": {"continue": {"a": "b"}}, "items": []}),
    "continue is a megabyte": answer({"metadata": {"continue": "x" * (1 << 20)}, "items": []}),
    "continue is lines": answer({"metadata": {"continue": "a\r\nX: y"}, "items": []}),
    "gzip": with_length(gzip.compress(b" " * (64 << 20)), b"Content-Encoding: gzip"),
    "millions of lists": answer(b'{"items":[' + b"[]," * 5_000_000 + b"[]]}"),
}


@pytest.mark.parametrize("said", NO_LISTS.values(), ids=NO_LISTS.keys())
def test_reports_answer_that_is_no_list(said):
    with memory_below(256 << 20):
        found, _server = discovered(said)
    assert found.instances == []
    check_problems(found)


WRONG = [None, 1, -1, 1e300, True, "x", [], [1], [[]], {}, {"a": []}, [{"name": []}], "1", "a\nb", "x" * 1_000_000]
FIELDS = [
    "metadata", "metadata__name", "metadata__namespace", "metadata__uid", "metadata__labels",
    "metadata__labels__app", "metadata__annotations", "metadata__ownerReferences", "metadata__deletionTimestamp",
    "spec", "spec__nodeName", "spec__containers", "spec__containers__0__name", "spec__containers__0__ports",
    "spec__containers__0__image", "status", "status__phase", "status__reason", "status__message", "status__podIP",
    "status__conditions", "status__initContainerStatuses", "status__containerStatuses",
    "status__containerStatuses__0__name", "status__containerStatuses__0__ready",
    "status__containerStatuses__0__restartCount", "status__containerStatuses__0__imageID",
    "status__containerStatuses__0__containerID", "status__containerStatuses__0__state",
    "status__containerStatuses__0__state__running", "status__containerStatuses__0__lastState",
]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_wrong_types_harm_one_pod_and_no_other(field):
    """Whatever one field holds, the result is an instance of short plain values, a problem, or another component."""
    bad = [pod("region-b", **{field: value}) for value in WRONG]
    found, _server = discovered(pods(pod("region-a"), *bad, None, "x", [], 1))
    assert "region-a" in [one.name for one in found.instances]
    check_problems(found)
    for instance in found.instances:
        text = json.dumps(instance.as_dict())
        assert len(text) < 6000
        assert all(isinstance(port, int) for port in instance.ports)
        assert isinstance(instance.restarts, int)
        assert isinstance(instance.ready, bool)
        assert "\\n" not in text


NAMES = [
    "", ".", "..", "../../secrets", "a/b", "a%2fb", "a\nb", "a\0b", "A", "ä", "a?b", "a#b", "a b", "-a", "a-", "a..b",
    "a\u202eb", "x" * 254, "x" * 1_000_000, 1, None, ["a"], f"region-{TOKEN}",
]  # fmt: skip
PLACES = ["metadata__name", "metadata__namespace", "spec__containers__0__name", "spec__nodeName"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_refuses_names_that_kubernetes_does_not_allow(place, name):
    if place == "spec__nodeName" and not name:
        return  # not scheduled
    found, _server = discovered(pods(pod(**{place: name})))
    assert found.instances == []
    check_problems(found)


def test_refuses_pods_of_another_namespace():
    found, _server = discovered(pods(pod(metadata__namespace="kube-system")))
    assert found.instances == []
    check_problems(found)


@pytest.mark.parametrize("port", [0, -1, 65536, 1.5, "80", 1 << 70])
def test_refuses_impossible_ports(port):
    found, _server = discovered(pods(pod(spec__containers=[{"name": "region", "ports": [{"containerPort": port}]}])))
    assert found.instances == []
    check_problems(found)


def test_describes_some_bad_pods_and_counts_the_others():
    found, _server = discovered(pods(*(pod(f"a/{number}") for number in range(400))))
    check_problems(found)
    assert len(found.problems) == MAX_REFUSED + 1
    assert f"{400 - MAX_REFUSED} more pods" in found.problems[-1][1].message


def counted_pages(items):
    """Send pages without end, each with another token."""
    numbers = itertools.count()

    def act(_server, connection):
        connection.sendall(pods(*items, **{"continue": f"page-{next(numbers)}"}))

    return act


def test_ends_list_whose_pages_do_not_end():
    found, server = discovered(counted_pages([]))
    check_problems(found)
    assert len(server.paths) == MAX_PAGES


def test_ends_list_whose_items_do_not_end():
    found, server = discovered(counted_pages([pod()] * 500), max_items=2000)
    check_problems(found)
    assert len(server.paths) == 5


def test_ends_list_that_names_the_same_page_again():
    found, server = discovered(pods(pod(), **{"continue": "again"}))
    check_problems(found)
    assert len(server.paths) == 2


@pytest.mark.parametrize(
    ("head", "block"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b" " * (1 << 20)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", b" " * (1 << 20)),
        (CHUNKED, b"100000\r\n" + b" " * (1 << 20) + b"\r\n"),
        (CHUNKED + b"-1\r\n", b" " * (1 << 20)),
        (CHUNKED + b"ffffffffffffffffffff\r\n", b" " * (1 << 20)),
        (CHUNKED, b"1" * (1 << 20)),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * (1 << 20)),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 10_000),
        (b"", b"x" * (1 << 20)),
    ],
    ids=["no length", "length", "chunks", "negative chunk", "endless chunk", "chunk head", "header", "headers", "junk"],
)
def test_stops_reading_answer_without_end(head, block):
    sent = [0]
    found, _server = discovered(flood(head, block, sent))
    assert found.instances == []
    assert found.problems[0][1].reason in (Reason.BAD_ANSWER, Reason.UNREACHABLE)
    assert len(found.problems[0][1].message) < LONGEST_MESSAGE
    assert sent[0] < 256 << 20


@pytest.mark.parametrize("status", [b"403 Forbidden", b"401 Unauthorized", b"500 Internal Server Error"])
@pytest.mark.parametrize("message", [ECHO * 1000, ECHO + "x" * (13 << 20), "x" * (13 << 20), ["x"], {}, None, 7])
def test_shortens_refusal(status, message):
    found, _server = discovered(refusal(message, status))
    # What is larger than is read of it is no Status object.
    refused = Reason.BAD_ANSWER if len(str(message)) > MAX_ERROR_BYTES else Reason.FORBIDDEN
    check_problems(found, Reason.UNREACHABLE if status.startswith(b"5") else refused)


@pytest.mark.parametrize("body", [DEEP, b"\xff" * 100_000, b"<html>" * 100_000, b""])
def test_shortens_a_refusal_that_is_no_status_object(body):
    found, _server = discovered(answer(body, b"403 Forbidden"))
    check_problems(found, Reason.BAD_ANSWER)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_follows_no_redirect_with_the_token(code):
    with transport_to({"/": pods(pod())}) as (_other, elsewhere):
        place = f"Location: http://127.0.0.1:{elsewhere.port}/".encode()
        found, _server = discovered(with_length(b"", place, status=b"%d Found" % code))
        assert found.problems[0][1].reason is Reason.UNREACHABLE
        assert elsewhere.paths == []


@pytest.mark.parametrize(
    "act",
    [
        after(b""),
        after(b"HTTP/1.1 200 OK\r\n"),
        after(CHUNKED + b"5\r\n{"),
        drip(b"X: " + b"y" * 1000, 0.05, b"HTTP/1.1 200 OK\r\n"),
        drip(b"  " * 1000, 0.05, b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"),
    ],
    ids=["silent", "in the head", "in the body", "dripping head", "dripping body"],
)
def test_deadline_ends_answer_that_hangs(act):
    with transport_to({PODS: act}) as (transport, server):
        found = discover(transport, REGION, Deadline(0.5))
        # The peer has not ended by itself.
        assert not server.server.over.is_set()
    check_problems(found, Reason.UNREACHABLE)
    assert "deadline" in found.problems[0][1].message


def test_reads_list_of_100_000_pods():
    body = [pods(*(pod(f"region-{page}-{number}") for number in range(500)), **more) for page, more in paged(200)]

    def act(server, connection):
        query = parse_qs(urlsplit(server.here.head.split(b" ")[1].decode()).query)
        connection.sendall(body[int(query.get("continue", ["0"])[0])])

    found, _server = discovered(act, seconds=patience(120))
    assert found.problems == []
    assert len(found.instances) == 100_000


def paged(count):
    return [(page, {"continue": str(page + 1)} if page + 1 < count else {}) for page in range(count)]


BAD_WORKLOADS = [
    answer(DEEP),
    answer({"items": [1]}),
    answer({"items": [{"spec": {"template": {"metadata": {"labels": {"app": "region"}}}}}]}),
    answer({"items": [{"spec": {"replicas": "3", "template": {"metadata": {"labels": {"app": "region"}}}}}]}),
    answer({"items": [{"spec": {"replicas": -3, "template": {"metadata": {"labels": {"app": "region"}}}}}]}),
    answer({"items": [{"spec": {"template": []}}]}),
]


@pytest.mark.parametrize("said", BAD_WORKLOADS)
def test_reports_malformed_workloads(said):
    with (
        transport_to({"/apis/apps/v1": said}) as (transport, _server),
        pytest.raises(CaptureError) as caught,
    ):
        transport.workloads(REGION, Deadline(patience()))
    assert caught.value.verdict.reason is Reason.BAD_ANSWER
    assert len(caught.value.verdict.message) < LONGEST_MESSAGE
