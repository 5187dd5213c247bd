# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles of services in memory: in which order they are taken, what is refused, and a row for each in any case."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import ProfileOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.run import preview
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.profiles.collector import ProfileCollector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import KINDS, SETS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpAnswer
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import State
from capturing import Crowd, everything, give_up, stuck, taken
from fake_transport import JSON, FakeTransport, JumpingClock, healthy, no_answer, raises
from profile_runs import ALL, CPU, TRACE, paths, take
from profiling import exact_only, profiling, workers

from patience import patience


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


def test_takes_every_kind_the_costly_ones_last(transport, tmp_path):
    service = transport.add("region", "r", answer=profiling)
    ran = take(transport, tmp_path, addresses=[0x401000, 0x5])
    assert ran.reasons() == {
        "index": "recorded",
        "cmdline": "recorded",
        "symbol": "recorded",
        "goroutine": "profile_whole",
        "goroutine_debug1": "proven",
        "goroutine_debug2": "profile_whole",
        "threadcreate": "profile_whole",
        "block": "profile_empty",
        "mutex": "profile_empty",
        "heap": "profile_whole",
        "allocs": "profile_whole",
        "cpu": "profile_whole",
        "trace": "profile_cut",
        "names": "recorded",
    }
    folder = tmp_path / "c1" / "region" / service.instance.name
    for kind, row in ran.rows().items():
        assert (tmp_path / row.path).stat().st_size == row.bytes > 0
        if kind in KINDS:
            assert (tmp_path / row.path) == folder / KINDS[kind].file
        assert row.details.get("http_status") == 200
    asked = paths(transport)
    assert asked[:2] == ["/worker_stats", "/debug/pprof/"]
    assert asked[-3:] == ["/worker_stats", CPU, TRACE]
    assert (folder / "names.txt").read_text() == "0x401000 main.work\n"
    assert ran.collector.names == [
        {"cluster": "c1", "component": "region", "instance": "r", "address": "0x401000", "name": "main.work"}
    ]
    assert ran.collector.touched == 1


def test_garbage_collection_counts_as_a_change(transport, tmp_path):
    transport.add("region", "r", answer=profiling)
    assert take(transport, tmp_path / "a", SETS["quick"]).collector.touched == 0
    assert take(transport, tmp_path / "b", ["heap"], gc=True).collector.touched == 1
    assert paths(transport)[-1] == "/debug/pprof/heap?gc=1"


def test_requests_differences_with_their_seconds(transport, tmp_path):
    transport.add("region", "r", answer=profiling)
    rows = take(transport, tmp_path, ["heap", "goroutine_debug2"], delta_seconds=3).rows()
    assert paths(transport)[-2:] == ["/debug/pprof/heap?seconds=3", "/debug/pprof/goroutine?debug=2"]
    assert rows["heap"].details["seconds"] == 3
    assert "seconds" not in rows["goroutine_debug2"].details


# What a service does not have


@pytest.mark.parametrize(
    ("component", "answer"),
    [
        ("region", healthy),
        ("scheduler", lambda _target: HttpAnswer(401, JSON, b'{"error":"Request unauthorized"}')),
        ("monitor", healthy),
    ],
)
def test_one_request_shows_that_profiling_is_off(transport, tmp_path, component, answer):
    transport.add(component, "x", answer=answer)
    ran = take(transport, tmp_path)
    has = [kind for kind in ALL if component == "region" or KINDS[kind].exact]
    assert {kind: reason for kind, reason in ran.reasons().items() if kind in has} == dict.fromkeys(
        has, "profiling_off"
    )
    assert [path for path in paths(transport) if path.startswith("/debug")] == ["/debug/pprof/"]
    assert ("SIGUSR1 makes no dump here" in ran.rows()["index"].message) is (component != "region")
    assert "enable_app_profiling" in ran.rows()["cpu"].message
    assert ran.collector.touched == 0


@pytest.mark.parametrize("component", ["scheduler", "webconsole", "monitor"])
def test_components_with_exact_paths_have_no_named_profiles(transport, tmp_path, component):
    transport.add(component, "x", answer=exact_only)
    reasons = take(transport, tmp_path).reasons()
    assert {kind for kind, reason in reasons.items() if reason == "not_registered"} == {
        name for name, kind in KINDS.items() if not kind.exact
    }
    assert reasons["cpu"] == "profile_whole"
    asked = {path.partition("?")[0] for path in paths(transport)}
    assert asked == {"/debug/pprof/" + kind.path for kind in KINDS.values() if kind.exact}


def test_unknown_component_may_have_only_the_exact_paths(transport, tmp_path):
    transport.add("meter", "x", answer=exact_only)
    reasons = take(transport, tmp_path).reasons()
    assert reasons["heap"] == "not_registered"
    assert (reasons["index"], reasons["cpu"]) == ("recorded", "profile_whole")


@pytest.mark.parametrize("component", ["mcp-server", "host-deployer", "climc"])
def test_component_without_pprof_is_not_asked(transport, tmp_path, component):
    transport.add(component, "x")
    assert set(take(transport, tmp_path).reasons().values()) == {"not_offered"}
    assert transport.asked == []


def test_instance_that_does_not_run_is_not_asked(transport, tmp_path):
    transport.add("region", "x", state=State.CRASH_LOOP)
    assert set(take(transport, tmp_path).reasons().values()) == {"crash_loop"}
    assert transport.asked == []


# The cost guard


@pytest.mark.parametrize(
    ("pool", "snapshots", "timed"),
    [
        ({}, True, True),
        ({"active": 6}, True, True),
        ({"active": 7}, True, False),
        ({"active": 8}, False, False),
        ({"queue": 1}, False, False),
        ({"detached": 7}, True, True),
        ({"detached": 8}, False, False),
        ({"most": 1}, True, False),
        ({"most": 0}, False, False),
    ],
)
def test_busy_service_is_not_asked(transport, tmp_path, pool, snapshots, timed):
    def answer(target):
        return HttpAnswer(200, JSON, workers(**pool)) if target.path == "/worker_stats" else profiling(target)

    transport.add("region", "r", answer=answer)
    reasons = take(transport, tmp_path / "a").reasons()
    assert (reasons["heap"] == "profile_whole", reasons["cpu"] == "profile_whole") == (snapshots, timed)
    assert reasons["cpu"] in ("profile_whole", "pool_saturated")
    forced = take(transport, tmp_path / "b", force=True).reasons()
    assert (forced["heap"], forced["cpu"]) == ("profile_whole", "profile_whole")


def test_refusal_shows_the_worker_counts(transport, tmp_path):
    def answer(target):
        return HttpAnswer(200, JSON, workers(8, 640)) if target.path == "/worker_stats" else profiling(target)

    transport.add("region", "r", answer=answer)
    rows = take(transport, tmp_path).rows()
    assert "8 of 8 are busy, 640 requests wait" in rows["cpu"].message
    assert paths(transport) == ["/worker_stats"]


@pytest.mark.parametrize("body", [b"", b'{"workers":[]}', b'{"workers":[{"name":"HttpGetRequestWorkerManager"}]}'])
def test_takes_only_snapshots_if_the_load_is_unknown(transport, tmp_path, body):
    def answer(target):
        return HttpAnswer(200, JSON, body) if target.path == "/worker_stats" else profiling(target)

    transport.add("region", "r", answer=answer)
    ran = take(transport, tmp_path / "a")
    assert (ran.reasons()["heap"], ran.reasons()["cpu"]) == ("profile_whole", "pool_unknown")
    assert ran.collector.touched == 0
    assert take(transport, tmp_path / "b", force=True).reasons()["cpu"] == "profile_whole"


def test_looks_at_the_worker_pool_again_before_timed_kinds(transport, tmp_path):
    def answer(target):
        if target.path == "/worker_stats":
            busy = 8 if paths(transport).count("/worker_stats") > 1 else 0
            return HttpAnswer(200, JSON, workers(busy))
        return profiling(target)

    transport.add("region", "r", answer=answer)
    reasons = take(transport, tmp_path).reasons()
    assert (reasons["heap"], reasons["cpu"]) == ("profile_whole", "pool_saturated")


# Who is asked when


@pytest.mark.parametrize("at_once", [1, 2])
def test_limits_timed_profiles_to_some_replicas_of_a_component(transport, tmp_path, at_once):
    busy, together = Crowd(at_once), Crowd(at_once + 1)
    for component in ("region", "keystone"):
        for _replica in range(4):
            service = transport.add(component, answer=profiling)
            service.faults[CPU] = busy.visit(component)
            service.faults["/debug/pprof/heap"] = together.visit("all")
    take(transport, tmp_path, ["cpu", "heap"], max_replicas_at_once=at_once)
    assert busy.most == {"region": at_once, "keystone": at_once}
    assert together.most["all"] > at_once


def test_first_replicas_come_before_second_ones(transport, tmp_path):
    for component in ("region", "keystone"):
        for _replica in range(3):
            transport.add(component, answer=profiling)
    take(transport, tmp_path, ["cpu"], concurrency=1)
    order = [name.partition("-")[0] for name, path in transport.asked if path == CPU]
    assert order[0::2] == order[:1] * 3
    assert order[1::2] == order[1:2] * 3
    assert set(order) == {"region", "keystone"}


def test_instance_that_hangs_is_asked_no_more(transport, tmp_path):
    hung = transport.add("region", "hung", answer=profiling)
    hung.faults["/debug/pprof/mutex"] = no_answer
    good = [f"good-{number}" for number in range(3)]
    for name in good:
        transport.add("keystone", name, answer=profiling)
    # Its time does not begin to pass before the others have come to their end.
    clock = JumpingClock(taken(*good, capture="profile:trace"))
    ran = take(transport, tmp_path, clock=clock, concurrency=3)
    assert clock.jumps == [1.0]
    assert ran.reasons("hung")["mutex"] == ran.reasons("hung")["trace"] == ran.reasons("hung")["cpu"] == "no_answer"
    assert paths(transport, "hung")[-1] == "/debug/pprof/mutex"
    assert ran.reasons("hung")["block"] == "profile_empty"
    assert "nothing more after it" in ran.rows("hung")["cpu"].message
    for number in range(3):
        assert ran.reasons(f"good-{number}")["cpu"] == "profile_whole"


# What goes wrong


def test_begins_no_profile_that_cannot_end_in_time(transport, tmp_path):
    transport.add("region", "r", answer=profiling)
    ran = take(transport, tmp_path, deadline=3.0, cpu_seconds=30)
    assert (ran.reasons()["heap"], ran.reasons()["cpu"]) == ("profile_whole", "run_deadline")
    assert not [path for path in paths(transport) if path.startswith("/debug/pprof/profile")]
    assert ran.collector.touched == 0


def test_abandons_a_request_at_the_run_deadline(transport, tmp_path):
    with stuck() as fault:
        service = transport.add("region", "r", answer=profiling)
        service.faults["/debug/pprof/mutex"] = fault
        clock = JumpingClock(lambda _rows: fault.entered.is_set())
        ran = take(transport, tmp_path, clock=clock, concurrency=1, fan_out=give_up)
        assert ran.reasons()["block"] == "profile_empty"
        assert (ran.reasons()["mutex"], ran.reasons()["cpu"]) == ("no_answer", "run_deadline")
        before = sorted(path.name for path in tmp_path.rglob("*.*"))
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == before


def test_pod_that_disappears_is_gone(transport, tmp_path):
    service = transport.add("region", "r", answer=profiling)
    service.faults["/debug/pprof/block"] = raises(CaptureError(Reason.GONE))
    reasons = take(transport, tmp_path).reasons()
    assert (reasons["goroutine"], reasons["block"], reasons["mutex"], reasons["trace"]) == (
        "profile_whole", "gone", "gone", "gone",
    )  # fmt: skip


# The plan


def test_estimate_lists_kinds_and_seconds_of_each_component(transport):
    for _replica in range(3):
        transport.add("region", answer=profiling)
    transport.add("scheduler", answer=profiling)
    transport.add("climc")
    selection = everything(transport)
    found = discover(transport, selection, Deadline(patience()))
    options = ProfileOptions(ALL, cpu_seconds=10, trace_seconds=2, max_replicas_at_once=2)
    collector = ProfileCollector(transport, options)
    rows = preview([collector], found, selection, "c1", Deadline(patience()), 1.0)
    plan = collector.estimate(found, 300.0)
    assert transport.asked == []
    assert plan.seconds == 24
    assert any(line.startswith("region: 3 instances: index, cmdline") and "about 24 s" in line for line in plan.lines)
    assert any(line.startswith("scheduler: 1 instance: ") and "about 12 s" in line for line in plan.lines)
    assert not any("climc" in line for line in plan.lines)
    reasons = {row.component: set() for row in rows}
    for row in rows:
        reasons[row.component].add(row.reason)
    assert reasons == {
        "region": {"check_mode"}, "scheduler": {"check_mode", "not_registered"}, "climc": {"not_offered"},
    }  # fmt: skip


def test_estimate_without_instances(transport):
    transport.add("climc")
    selection = everything(transport)
    found = discover(transport, selection, Deadline(patience()))
    plan = ProfileCollector(transport, ProfileOptions(ALL)).estimate(found, 300.0)
    assert (plan.seconds, plan.lines) == (0, ["Nothing is asked of any instance."])


def test_estimate_warns_of_a_short_deadline(transport):
    for _replica in range(4):
        transport.add("region", answer=profiling)
    selection = everything(transport)
    found = discover(transport, selection, Deadline(patience()))
    options = ProfileOptions(["cpu"], cpu_seconds=10)
    assert "cloudpods_deadline" in ProfileCollector(transport, options).estimate(found, 39.0).lines[-1]
    assert "cloudpods_deadline" not in ProfileCollector(transport, options).estimate(found, 40.0).lines[-1]
