# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents that rules see, made from collected documents."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.documents import (
    cluster_status,
    compact_document,
    instance_status,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rule_inputs import GAP, availability
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.schema_checks import SchemaError
from audit_documents import cluster, healthy, instance, status

PING = {"answered": True}
POOL = {"name": "P", "active": 1, "max": 8, "detached": 0, "queue": 5, "queue_capacity": 640}
DATABASE = {"name": "", "max_open_connections": 55, "in_use": 5}
PROCESS = {"goroutines": 148, "heap_alloc_bytes": 41079336}


def seen(**more):
    return instance_status(status(**{"log": None, **more}), "c/region/region-1/status.json")


def pools(*queues, **more):
    return [{"worker_stats": {"workers": [dict(POOL, queue=queue, **more)]}} for queue in queues]


def test_latest_is_the_newest_sample_with_the_endpoint():
    latest = seen(samples=[{"ping": PING, "process_stats": PROCESS}, {"ping": {"answered": False}}]).document["latest"]
    assert latest["ping"]["answered"] is False
    assert latest["process_stats"]["goroutines"] == 148
    assert latest["version"] is None


def test_adds_the_minimum_over_all_samples():
    workers = seen(samples=pools(5, 0, 9)).document["latest"]["worker_stats"]["workers"]
    assert [(one["queue"], one["queue_min"], one["active_min"]) for one in workers] == [(9, 0, 1)]
    samples = [{"db_stats": {"databases": [dict(DATABASE, in_use=used)]}} for used in (55, 3)]
    assert seen(samples=samples).document["latest"]["db_stats"]["databases"][0]["in_use_min"] == 3


def test_keeps_pools_of_the_same_name_apart():
    two = [{"worker_stats": {"workers": [dict(POOL, queue=7), dict(POOL, queue=1)]}}] * 2
    workers = seen(samples=json.loads(json.dumps(two))).document["latest"]["worker_stats"]["workers"]
    assert [one["queue_min"] for one in workers] == [7, 1]


def test_counts_idle_pools_and_leaves_them_out():
    worker_stats = instance_status(healthy(), "p").document["latest"]["worker_stats"]
    assert worker_stats["pools"] == 32
    assert [one["name"] for one in worker_stats["workers"]] == ["InternalHttpRequestWorkerManager"]


def test_computes_ages_from_the_time_of_collection():
    of = instance(last_ended="2026-01-02T03:00:00Z", started="2026-01-02T03:00:10Z")
    found = seen(of=of, samples=[{"at": "2026-01-02T03:30:00.500Z"}]).instance
    assert (found["last_ended_seconds"], found["started_seconds"]) == (1800.5, 1790.5)
    assert seen(of=of).instance["last_ended_seconds"] is None
    known = instance_status(status(of, collected="2026-01-02T03:00:07Z"), "p", now="2026-02-01T00:00:00Z")
    assert known.instance["last_ended_seconds"] == 7
    assert instance_status(status(of), "p", now="2026-01-02T04:00:00.000Z").instance["last_ended_seconds"] == 3600


def test_adds_severity_of_patterns_and_current_figures_of_busy_pools():
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
        ("certificate", {"not_after": "x", "days_left": 1e300}, "certificate.days_left is out of range"),
        ("log", {"seconds": 1, "patterns": [{"id": "a", "count": None}]}, "log.patterns[].count is not a number"),
        ("log", {"seconds": 1, "patterns": {}}, "log.patterns is not a list"),
        ("log", {"seconds": 1, "patterns": [None] * 20001}, "log.patterns has more than 20000 elements"),
    ],
)
def test_drops_a_malformed_section_with_its_reason(section, value, what):
    found = seen(**{section: value})
    assert found.document[section] is None
    assert found.broken == {section: what}
    assert availability(found, [section]).state == GAP


def test_drops_an_endpoint_that_is_malformed_in_one_sample():
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
def test_refuses_malformed_status_documents(change):
    with pytest.raises(SchemaError):
        seen(**{"of": None, **change}) if "instance" not in change else instance_status({**status(), **change}, "p")


def test_replaces_lone_surrogates():
    found = seen(of=instance(node="a\ud800b"))
    assert found.instance["node"] == "a?b"


@pytest.mark.parametrize("change", [{"format": "x"}, {"named": "yes"}, {"workloads": [{"name": "w"}]}, {"cluster": ""}])
def test_refuses_malformed_cluster_documents(change):
    with pytest.raises(SchemaError):
        cluster_status({**cluster(), **change})


def test_ignores_not_deployed_as_a_discovery_problem():
    found = cluster_status(
        cluster(problems=[{"place": "p", "reason": "not_deployed"}, {"place": "p", "reason": "gone"}])
    )
    assert [one["reason"] for one in found["problems"]] == ["gone"]


WINDOW = {"seconds": 10, "reset": False, "workers": [], "databases": [], "paths": [], "requests": 0}


def test_compact_document_of_a_real_region_is_small():
    document = instance_status(healthy(), "c/region/region-1/status.json").document
    assert len(json.dumps(compact_document(document))) < 1500
    assert compact_document(document)["window"]["goroutines_last"] == 148


def test_compact_document_drops_a_window_with_a_restart():
    document = instance_status({**healthy(), "window": {**WINDOW, "reset": True, "goroutines_first": 1}}, "p").document
    assert compact_document(document)["window"] is None
