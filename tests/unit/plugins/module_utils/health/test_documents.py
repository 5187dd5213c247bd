# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents from elsewhere: what rules see of them, and what is there of what a rule needs."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.documents import (
    cluster_status,
    compact_document,
    instance_status,
    seconds_between,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rule_inputs import (
    GAP,
    NOT_ASKED,
    READY,
    availability,
    cluster_availability,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.schema_checks import SchemaError, loads
from clouds import cluster, healthy, instance, status

PING = {"answered": True}
POOL = {"name": "P", "active": 1, "max": 8, "detached": 0, "queue": 5, "queue_capacity": 640}
DATABASE = {"name": "", "max_open_connections": 55, "in_use": 5}
PROCESS = {"goroutines": 148, "heap_alloc_bytes": 41079336}


def seen(**more):
    return instance_status(status(**{"log": None, **more}), "c/region/region-1/status.json")


def pools(*queues, **more):
    return [{"worker_stats": {"workers": [dict(POOL, queue=queue, **more)]}} for queue in queues]


def test_the_newest_sample_that_has_it_is_the_latest():
    latest = seen(samples=[{"ping": PING, "process_stats": PROCESS}, {"ping": {"answered": False}}]).document["latest"]
    assert latest["ping"]["answered"] is False
    assert latest["process_stats"]["goroutines"] == 148
    assert latest["version"] is None


def test_pools_and_databases_say_what_they_were_at_least():
    workers = seen(samples=pools(5, 0, 9)).document["latest"]["worker_stats"]["workers"]
    assert [(one["queue"], one["queue_min"], one["active_min"]) for one in workers] == [(9, 0, 1)]
    samples = [{"db_stats": {"databases": [dict(DATABASE, in_use=used)]}} for used in (55, 3)]
    assert seen(samples=samples).document["latest"]["db_stats"]["databases"][0]["in_use_min"] == 3


def test_pools_of_one_name_are_not_mixed_up():
    two = [{"worker_stats": {"workers": [dict(POOL, queue=7), dict(POOL, queue=1)]}}] * 2
    workers = seen(samples=json.loads(json.dumps(two))).document["latest"]["worker_stats"]["workers"]
    assert [one["queue_min"] for one in workers] == [7, 1]


def test_idle_pools_are_counted_and_left_out():
    worker_stats = instance_status(healthy(), "p").document["latest"]["worker_stats"]
    assert worker_stats["pools"] == 32
    assert [one["name"] for one in worker_stats["workers"]] == ["InternalHttpRequestWorkerManager"]


def test_ages_come_from_when_it_was_looked_at():
    of = instance(last_ended="2026-01-02T03:00:00Z", started="2026-01-02T03:00:10Z")
    found = seen(of=of, samples=[{"at": "2026-01-02T03:30:00.500Z"}]).instance
    assert (found["last_ended_seconds"], found["started_seconds"]) == (1800.5, 1790.5)
    assert seen(of=of).instance["last_ended_seconds"] is None
    known = instance_status(status(of, collected="2026-01-02T03:00:07Z"), "p", now="2026-02-01T00:00:00Z")
    assert known.instance["last_ended_seconds"] == 7
    assert instance_status(status(of), "p", now="2026-01-02T04:00:00.000Z").instance["last_ended_seconds"] == 3600


@pytest.mark.parametrize("moment", ["", "yesterday", "2026-13-01T00:00:00Z", "9" * 400])
def test_what_is_no_moment_has_no_age(moment):
    assert seconds_between(moment, "2026-01-02T03:00:00Z") is None


def test_log_patterns_have_their_weight_and_busy_pools_what_they_do_now():
    log = {
        "seconds": 600,
        "patterns": [{"id": "queue_full", "count": 1}, {"id": "news", "count": 1}, {"id": "user_agent", "count": 1}],
        "busy": [
            {"name": "P", "cycles_first": 1, "cycles_last": 2, "cycles_max": 2},
            {"name": "Q", "cycles_first": 1, "cycles_last": 2, "cycles_max": 2},
        ],
    }
    found = seen(log=log, samples=pools(5)).document["log"]
    assert [one["weight"] for one in found["patterns"]] == ["critical", "warning", "info"]
    assert [(one["queue"], one["active"]) for one in found["busy"]] == [(5, 1), (None, None)]


@pytest.mark.parametrize(
    ("section", "value", "what"),
    [
        ("window", {"seconds": "ten", "reset": False}, "window.seconds is not a number"),
        ("window", [], "window is not an object"),
        ("window", {"seconds": 1, "reset": 0}, "window.reset is neither true nor false"),
        ("certificate", {"not_after": "x"}, "certificate lacks days_left"),
        ("certificate", {"not_after": "x", "days_left": True}, "certificate.days_left is not a number"),
        ("certificate", {"not_after": "x", "days_left": 1e300}, "certificate.days_left is out of any sensible range"),
        ("log", {"seconds": 1, "patterns": [{"id": "a", "count": None}]}, "log.patterns[].count is not a number"),
        ("log", {"seconds": 1, "patterns": {}}, "log.patterns is not a list"),
        ("log", {"seconds": 1, "patterns": [None] * 20001}, "log.patterns has more than 20000 elements"),
    ],
)
def test_a_malformed_section_is_not_there_and_says_why(section, value, what):
    found = seen(**{section: value})
    assert found.document[section] is None
    assert found.broken == {section: what}
    assert availability(found, [section]).state == GAP


def test_an_endpoint_that_is_malformed_once_is_not_judged_by_the_other_sample():
    found = seen(samples=[*pools(5), {"worker_stats": {"workers": [{"name": "P"}]}}], expected=["worker_stats"])
    assert found.document["latest"]["worker_stats"] is None
    assert found.broken == {"worker_stats": "worker_stats.workers[] lacks active"}
    assert availability(found, ["worker_stats"]).state == GAP


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 2},
        {"instance": None},
        {"instance": {"cluster": "c", "component": "region"}},
        {"instance": dict(instance(), component="")},
        {"instance": dict(instance(), state="asleep")},
        {"instance": dict(instance(), restarts="3")},
        {"expected": "ping"},
        {"expected": None},
        {"missing": [{"endpoint": "ping"}]},
        {"missing": None},
        {"samples": None},
        {"samples": [3]},
        {"transport": 3},
    ],
)
def test_what_is_no_status_document_is_refused(change):
    with pytest.raises(SchemaError):
        seen(**{"of": None, **change}) if "instance" not in change else instance_status({**status(), **change}, "p")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b'{"a": Infinity}', b"9" * 5000])
def test_what_is_no_json_is_refused(data):
    with pytest.raises(SchemaError, match="not JSON"):
        loads(data)


def test_halves_of_characters_become_what_files_can_hold():
    found = seen(of=instance(node="a\ud800b"))
    assert found.instance["node"] == "a?b"


@pytest.mark.parametrize("change", [{"format": "x"}, {"named": "yes"}, {"workloads": [{"name": "w"}]}, {"cluster": ""}])
def test_what_is_no_cluster_document_is_refused(change):
    with pytest.raises(SchemaError):
        cluster_status({**cluster(), **change})


def test_a_component_that_is_not_deployed_is_no_problem_of_discovery():
    found = cluster_status(
        cluster(problems=[{"place": "p", "reason": "not_deployed"}, {"place": "p", "reason": "gone"}])
    )
    assert [one["reason"] for one in found["problems"]] == ["gone"]


WINDOW = {"seconds": 10, "reset": False, "workers": [], "databases": [], "paths": [], "requests": 0}
TWICE = {"samples": [{"db_stats": {"databases": []}, "ping": PING}] * 2, "window": WINDOW}
# What is there -> (needs, state, part of the reason).
NEEDS = [
    ({"samples": [{"ping": PING}]}, ["ping"], READY, ""),
    ({}, ["ping"], NOT_ASKED, ""),
    ({"expected": ["ping"]}, ["ping"], GAP, "ping was not read (running)"),
    ({"missing": [{"endpoint": "ping", "reason": "no_answer"}]}, ["ping"], GAP, "ping was not read (no_answer)"),
    ({"missing": [{"endpoint": "ping", "reason": "not_offered"}]}, ["ping"], NOT_ASKED, ""),
    ({"missing": [{"endpoint": "certificate", "reason": "no_certificate"}]}, ["certificate"], NOT_ASKED, ""),
    ({"missing": [{"endpoint": "log", "reason": "http_only"}]}, ["log"], NOT_ASKED, ""),
    ({"missing": [{"endpoint": "log", "reason": "forbidden"}]}, ["log"], GAP, "log was not read (forbidden)"),
    ({"expected": ["ping"], "of": instance(state="pending")}, ["ping"], GAP, "pending"),
    ({"expected": ["ping"], "of": instance(state="terminating")}, ["ping"], NOT_ASKED, ""),
    ({"expected": ["ping"], "of": instance(state="terminated")}, ["ping"], NOT_ASKED, ""),
    ({"samples": [{"ping": PING}], "expected": ["ping", "stats"]}, ["ping", "stats"], GAP, "stats was not read"),
    ({"samples": [{"ping": PING}]}, ["ping", "stats"], NOT_ASKED, ""),
    ({"expected": ["db_stats/click"]}, ["db_stats"], GAP, "db_stats was not read"),
    (
        {
            "samples": [{"db_stats": {"databases": [DATABASE]}}],
            "missing": [{"endpoint": "db_stats/click", "reason": "no_answer"}],
        },
        ["db_stats"],
        GAP,
        "db_stats/click was not read (no_answer)",
    ),
    (TWICE, ["db_stats", "window"], READY, ""),
    ({**TWICE, "window": {**WINDOW, "reset": True}}, ["db_stats", "window"], GAP, "it restarted"),
    ({**TWICE, "window": None}, ["db_stats", "window"], GAP, "no two samples"),
    ({**TWICE, "window": {**WINDOW, "requests": None}}, ["db_stats", "window"], READY, ""),
    # In the window, an empty list may also mean that it was read once only.
    (
        {"samples": [{}, {"db_stats": {"databases": []}}], "window": WINDOW},
        ["db_stats", "window"],
        GAP,
        "db_stats was not read in both samples",
    ),
    ({"samples": [{"db_stats": {"databases": []}}]}, ["db_stats", "window"], NOT_ASKED, ""),
    (
        {"samples": [{"ping": PING}], "missing": [{"endpoint": "ping", "sample": 2, "reason": "gone"}]},
        ["ping", "window"],
        GAP,
        "no two samples",
    ),
    ({"log": {"seconds": 1, "patterns": []}}, ["log"], READY, ""),
    ({"log": {"seconds": 1, "patterns": [], "truncated": True}}, ["log"], GAP, "only the newest part"),
    ({"certificate": {"not_after": "x", "days_left": 1}}, ["certificate"], READY, ""),
    ({}, [], READY, ""),
]


@pytest.mark.parametrize(("more", "needs", "state", "reason"), NEEDS)
def test_what_is_there_of_what_a_rule_needs(more, needs, state, reason):
    found = availability(seen(**more), needs)
    assert found.state == state
    assert reason in found.reason


@pytest.mark.parametrize(
    ("known", "needs", "unusable", "reason"),
    [
        (cluster(), ["workloads", "discovery"], 0, ""),
        (None, ["workloads"], 0, "there is no cluster.json"),
        (None, ["ping"], 0, ""),
        (cluster(workloads_known=False), ["workloads"], 0, "could not be listed"),
        (cluster(workloads_known=False), ["discovery"], 0, ""),
        (cluster(problems=[{"place": "p", "reason": "forbidden", "message": ""}]), ["discovery"], 0, "(forbidden)"),
        (cluster(), ["discovery"], 2, "documents that cannot be used: 2"),
    ],
)
def test_what_an_access_point_told(known, needs, unusable, reason):
    found = cluster_availability(known, needs, unusable)
    assert (found.state, found.decisive) == ((GAP, True) if reason else (READY, False))
    assert reason in found.reason


def test_the_compact_document_of_a_real_region_is_small():
    document = instance_status(healthy(), "c/region/region-1/status.json").document
    assert len(json.dumps(compact_document(document))) < 1500
    assert compact_document(document)["window"]["goroutines_last"] == 148


def test_a_window_with_a_restart_in_it_is_not_compared_with_others():
    document = instance_status({**healthy(), "window": {**WINDOW, "reset": True, "goroutines_first": 1}}, "p").document
    assert compact_document(document)["window"] is None
