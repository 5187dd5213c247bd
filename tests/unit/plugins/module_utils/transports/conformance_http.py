# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conformance tests of HTTP for every transport and its fakes. They use the World of conformance.py.

Also for transports that reach nothing but HTTP.
"""

from __future__ import annotations

import json
import threading
import time

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import PATHS, component_of, endpoint_path
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import (
    KINDS,
    SYMBOL_PATH,
    profile_path,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpTarget
from conformance import in_time, started

from patience import patience

PLENTY = 1 << 20


def target(component="region", endpoint="ping", database=""):
    """Return the catalog's endpoint of a component."""
    offered = component_of(component).http
    return HttpTarget(offered.scheme, offered.port, endpoint_path(endpoint, database))


def ask(world, instance, wanted=None, seconds=0.0, max_bytes=PLENTY):
    return world.transport.http_get(instance, wanted or target(), world.deadline(seconds), max_bytes)


def reason_of(act):
    with pytest.raises(CaptureError) as failed:
        act()
    return failed.value.verdict.reason


def outcome_of(act):
    """Return why an answer is incomplete ("" if it is not), or the reason for none."""
    try:
        return act().truncated_by
    except CaptureError as error:
        return error.verdict.reason


def test_service_answers(world):
    _service, instance = started(world)
    answer = ask(world, instance)
    assert (answer.status, answer.body, answer.is_complete, answer.truncated_by) == (200, b"pong", True, "")
    assert all(name == name.lower() for name in answer.headers)


@pytest.mark.parametrize("component", ["region", "cloudmon", "monitor", "scheduler", "mcp-server"])
def test_component_answers_all_catalog_paths(world, component):
    _service, instance = started(world, component)
    for endpoint in component_of(component).http.endpoints:
        answer = ask(world, instance, target(component, endpoint))
        assert (endpoint, answer.status, answer.is_complete) == (endpoint, 200, True)
        if endpoint not in ("ping", "version"):
            assert isinstance(json.loads(answer.body), dict)


def test_each_instance_answers_itself(world):
    services = [started(world, behaviour=f"version_branch=release/{number}") for number in range(3)]
    answers = [ask(world, instance, target(endpoint="version")).body for _service, instance in services]
    assert [answer.partition(b"(")[0] for answer in answers] == [b"release/0", b"release/1", b"release/2"]


UNSAFE = [
    "/switch",
    "/",
    "",
    "ping",
    "//ping",
    "/ping/",
    "/ping\n",
    "/PING",
    "/stats?help",
    "/stats#x",
    "/stats/../switch",
    "/db_stats/",
    "/db_stats/a/b",
    "/db_stats/..",
    "/db_stats/a?b",
    "/db_stats/a b",
    "/db_stats/" + "a" * 65,
    "/db_stats/a\n",
    "/ping HTTP/1.1\r\nX: y",
    "/debug/pprof",
    "/debug/pprof/goroutine?debug=3",
    "/debug/pprof/heap?seconds=601",
    "/debug/pprof/profile",
    "/debug/pprof/../../switch",
    "/app-options",
]


def test_requests_catalog_paths_only(world):
    _service, instance = started(world, "scheduler")
    usual = target("scheduler")
    for path in UNSAFE:
        with pytest.raises(ValueError, match="may be requested"):
            world.transport.http_get(instance, HttpTarget(usual.scheme, usual.port, path), world.deadline(), PLENTY)


def test_posts_addresses_only(world):
    _service, instance = started(world)
    for path, body in [("/ping", b"0x1"), ("/debug/pprof/symbol", b""), ("/debug/pprof/symbol", b"0x1+x")]:
        wanted = HttpTarget("https", 30888, path, body)
        with pytest.raises(ValueError, match="nothing but addresses"):
            world.transport.http_post(instance, wanted, world.deadline(), PLENTY)
    with pytest.raises(ValueError, match="may be requested"):
        ask(world, instance, HttpTarget("https", 30888, "/debug/pprof/symbol", b"0x1"))


def test_sink_receives_successful_body_up_to_limit(world):
    _service, instance = started(world)
    whole = ask(world, instance, target(endpoint="version")).body
    for limit, truncated_by in ((PLENTY, ""), (len(whole), ""), (5, "size")):
        taken = bytearray()
        answer = world.transport.http_get(instance, target(endpoint="version"), world.deadline(), limit, taken.extend)
        assert (answer.status, answer.body, answer.truncated_by) == (200, b"", truncated_by)
        assert taken == whole[:limit]


def test_sink_receives_no_error_body(world):
    _service, instance = started(world)
    taken = []
    wanted = HttpTarget("https", 30888, profile_path("goroutine"))
    answer = world.transport.http_get(instance, wanted, world.deadline(), PLENTY, taken.append)
    assert (answer.status, taken) == (404, [])
    assert b"not found" in answer.body.lower()


def test_fetches_profile_and_symbols(world):
    _service, instance = started(world, behaviour="release=3.9")
    for kind in KINDS:
        if not KINDS[kind].timed:
            assert ask(world, instance, HttpTarget("https", 30888, profile_path(kind))).status == 200
    begun = time.monotonic()
    assert ask(world, instance, HttpTarget("https", 30888, profile_path("trace", 1))).status == 200
    assert time.monotonic() - begun >= 1.0
    wanted = HttpTarget("https", 30888, SYMBOL_PATH, b"0x1+0x401000")
    answer = world.transport.http_post(instance, wanted, world.deadline(), PLENTY)
    assert (answer.status, answer.body.splitlines()[0]) == (200, b"num_symbols: 1")


def test_applies_size_limit(world):
    _service, instance = started(world)
    size = len(ask(world, instance, target(endpoint="version")).body)
    for limit, complete in ((size + 1, True), (size, True), (size - 1, False), (1, False)):
        answer = ask(world, instance, target(endpoint="version"), max_bytes=limit)
        assert (len(answer.body), answer.is_complete) == (min(size, limit), complete)
        assert answer.truncated_by == ("" if complete else "size")


@pytest.mark.parametrize(("fault", "status"), [("unavailable", 503), ("redirect", 302)])
def test_any_status_is_an_answer(world, fault, status):
    _service, instance = started(world, behaviour=f"http_fault={fault}")
    assert ask(world, instance).status == status


@pytest.mark.parametrize("fault", ["cut", "short"])
def test_truncated_body_is_incomplete(world, fault):
    _service, instance = started(world, behaviour=f"http_fault={fault}")
    # A proxy may withhold the beginning.
    assert outcome_of(lambda: ask(world, instance, target(endpoint="stats"))) in ("end", Reason.CONNECTION_BROKEN)


@pytest.mark.parametrize("fault", ["reset", "close"])
def test_broken_connection_is_no_answer(world, fault):
    _service, instance = started(world, behaviour=f"http_fault={fault}")
    assert reason_of(lambda: ask(world, instance)) is Reason.CONNECTION_BROKEN


def test_silence_ends_with_deadline(world):
    _service, instance = started(world, behaviour="http_fault=hang")
    deadline = world.deadline(world.short)
    with in_time():
        assert reason_of(lambda: world.transport.http_get(instance, target(), deadline, PLENTY)) is Reason.NO_ANSWER
    assert deadline.expired


def test_slow_answer_ends_with_deadline(world):
    _service, instance = started(world, behaviour="http_fault=drip")
    deadline = world.deadline(world.short)
    with in_time():
        outcome = outcome_of(lambda: world.transport.http_get(instance, target(endpoint="stats"), deadline, PLENTY))
    assert outcome in ("time", Reason.NO_ANSWER)
    assert deadline.expired


def test_closed_port_is_refused(world):
    _service, instance = started(world, behaviour="http=off")
    assert reason_of(lambda: ask(world, instance)) is Reason.CONNECTION_REFUSED


def test_tls_request_to_plain_port_fails(world):
    _service, instance = started(world, behaviour="http=plain")
    # A Go service answers in plain HTTP, which is not TLS.
    assert reason_of(lambda: ask(world, instance)) is Reason.TLS_FAILED


def test_sends_nothing_after_the_deadline(world):
    _service, instance = started(world)
    with pytest.raises(DeadlineExceeded):
        world.transport.http_get(instance, target(), Deadline(0.0, "test"), PLENTY)


def test_sends_many_requests_at_once(world):
    instances = [started(world)[1] for _number in range(3)]
    bodies = []

    def ask_one(instance):
        bodies.append(ask(world, instance).body)

    threads = [threading.Thread(target=ask_one, args=(instance,)) for instance in instances * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience())
    assert bodies == [b"pong"] * 15


def test_gone_instance_does_not_answer(world):
    service, instance = started(world)
    world.end(service)
    assert reason_of(lambda: ask(world, instance)) in world.gone


def test_returns_certificate_of_tls_port(world):
    _service, instance = started(world)
    seen = world.transport.certificate(instance, target(), world.deadline())
    # One long sequence, with its length in the two bytes after the first two (DER).
    assert seen[:2] == b"\x30\x82"
    assert len(seen) == 4 + int.from_bytes(seen[2:4], "big")
    _service, plain = started(world, "mcp-server")
    assert world.transport.certificate(plain, target("mcp-server"), world.deadline()) is None


def test_missing_certificate_ends_with_deadline(world):
    _service, instance = started(world, behaviour="http=deaf")
    with in_time():
        assert world.transport.certificate(instance, target(), world.deadline(world.short)) is None


def test_every_possible_path_is_safe(world):
    _service, instance = started(world)
    for endpoint in PATHS:
        assert ask(world, instance, target(endpoint=endpoint)).status == 200
    assert ask(world, instance, target(endpoint="db_stats", database="click_house-1")).status == 200
