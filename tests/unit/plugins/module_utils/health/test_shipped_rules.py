# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped rules: their examples, a healthy region, and problems with their expected findings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.check import read_rules
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.health_document import failure
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.report import table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rule_examples import (
    failed_examples,
)
from audit_documents import (
    RULES,
    audit_of,
    cluster,
    findings_of,
    health_of,
    healthy,
    instance,
    pool,
    status,
    workload,
)
from example_coverage import missing_examples

PAGE = Path(__file__).parents[5] / "docs" / "rules.md"
GET_POOL = "HttpGetRequestWorkerManager"


def test_every_example_has_its_expected_result(shipped):
    assert failed_examples(shipped) == []


def test_every_rule_has_examples_that_fire_stay_silent_and_are_unknown(shipped):
    assert missing_examples(shipped) == []


def test_every_shipped_file_contains_rules(shipped):
    folder = Path(shipped.rules[0].file).parent
    assert {Path(rule.file).name for rule in shipped.rules} == {path.name for path in folder.iterdir()}


def test_example_rule_of_the_documentation_works(shipped, tmp_path):
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "own.yml").write_text(shown)
    both = read_rules([RULES, str(tmp_path / "own.yml")])
    assert [rule.id for rule in both.rules][len(shipped.rules) :] == ["my_pool_waits"]


def whole(*statuses, **more):
    """Return a cluster whose components are all selected."""
    of = [one["instance"] for one in statuses]
    names = list(dict.fromkeys(one["component"] for one in of))
    loads = [
        workload(name, len(mine), sum(one["ready"] for one in mine))
        for name in names
        for mine in [[one for one in of if one["component"] == name]]
    ]
    return [cluster(**{"components": names, "workloads": loads, **more}), *statuses]


@pytest.mark.parametrize("count", [1, 2])
def test_healthy_region_has_no_findings_and_no_gaps(shipped, count):
    statuses = [healthy(instance(name=f"region-{number}"), count) for number in (1, 2, 3)]
    document = health_of(shipped, *whole(*statuses))
    assert (findings_of(document), document["unknown"], document["problems"]) == ([], [], [])
    assert document["verdict"] == "ok"
    outcomes = {entry["rule"]: entry for entry in document["rules"]}
    looked = [name for name, entry in outcomes.items() if entry["ok"]]
    windowed = {"goroutines_growing", "memory_growing", "worker_queue_growing", "db_pool_waiting"}
    windowed |= {"http_errors", "path_errors", "slow_paths"}
    # What is meant for other components, and with one sample what compares two.
    assert set(outcomes) - set(looked) == ({"scaled_to_zero_optional"} | (windowed if count == 1 else set()))


def change_pool(**figures):
    return lambda sample, _number: pool(sample, GET_POOL, **figures)


def locked_5_seconds(sample, _number):
    pool(sample, GET_POOL, active=8, queue=640)


def locked_a_minute(sample, _number):
    pool(sample, GET_POOL, active=0, queue=0, detached=648)
    sample["db_stats"]["databases"][0].update(in_use=55, open_connections=55, idle=0)
    pool(sample, "CronJobWorkers", active=4, queue=3)


def filling(sample, number):
    if number == 2:
        pool(sample, GET_POOL, active=8, queue=30)
        sample["process_stats"]["goroutines"] += 500


def many_goroutines(sample, number):
    sample["process_stats"]["goroutines"] = 148 if number == 1 else 2000


def heap(sample, number):
    sample["process_stats"]["heap_alloc_bytes"] = 100_000_000 if number == 1 else 900_000_000


def waits(sample, number):
    if number == 2:
        sample["db_stats"]["databases"][0].update(wait_count=60, wait_duration_ns=9_000_000_000)


def requests(**by_path):
    """Add requests between the samples: path -> (2xx, 5xx, mean ms)."""

    def change(sample, number):
        for path, (good, bad, mean) in by_path.items():
            entry = dict.fromkeys(("hits_2xx", "hits_4xx", "hits_5xx"), 0)
            entry.update(dict.fromkeys(("duration_2xx_ms", "duration_4xx_ms", "duration_5xx_ms"), 0))
            if number == 2:
                entry.update(hits_2xx=good, hits_5xx=bad, duration_2xx_ms=mean * (good + bad))
                for key, value in entry.items():
                    sample["stats"][key] += value
            sample["stats"]["paths"].append({"method": "GET", "path": f"/{path}", "name": "list", **entry})

    return change


# Problem -> its findings.
OF_ONE_REGION = [
    ("its database is locked, 5 seconds", locked_5_seconds, [("critical", "worker_pool_nearly_full")]),
    (
        "its database is locked, a minute",
        locked_a_minute,
        [("critical", "db_pool_exhausted"), ("critical", "worker_pool_detached")],
    ),
    ("workers are stuck, some tasks wait", change_pool(active=8, queue=12), [("warning", "worker_pool_saturated")]),
    ("workers are stuck, many tasks wait", change_pool(active=8, queue=80), [("critical", "worker_pool_saturated")]),
    ("workers are busy, nothing waits", change_pool(active=8, queue=0), []),
    ("a queue fills up", filling, [("warning", "worker_queue_growing")]),
    ("some requests never end", change_pool(detached=5), [("warning", "worker_pool_detached")]),
    ("goroutines leak", many_goroutines, [("warning", "goroutines_growing")]),
    ("the heap grows", heap, [("warning", "memory_growing")]),
    ("connections are too few", waits, [("warning", "db_pool_waiting")]),
    ("much fails", requests(servers=(70, 30, 10.0)), [("critical", "http_errors")]),
    ("one path of many fails", requests(servers=(960, 0, 10.0), disks=(20, 20, 1.0)), [("warning", "path_errors")]),
    ("one path is slow", requests(servers=(10, 0, 5000.0), disks=(50, 0, 10.0)), [("warning", "slow_paths")]),
    ("one request fails", requests(servers=(0, 1, 10.0)), []),
]


@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in OF_ONE_REGION], ids=[c[0] for c in OF_ONE_REGION]
)
def test_problem_of_a_region_gives_exactly_its_findings(shipped, change, expected):
    document = health_of(shipped, *whole(healthy(change=change)))
    assert findings_of(document) == expected
    assert document["unknown"] == []
    assert all(entry["component"] == "region" and entry["artifact"] for entry in document["findings"])


def with_log(**log):
    base = healthy()
    base["log"].update(log)
    return base


HUNG = status(
    expected=["ping", "worker_stats"],
    missing=[{"endpoint": name, "sample": 1, "reason": "no_answer"} for name in ("ping", "worker_stats")],
)
QUEUE_FULL = {"id": "queue_full", "count": 112, "pools": [{"name": GET_POOL, "count": 112}]}
# Problem -> the documents, and (severity, rule, component) of the findings.
OF_A_CLUSTER = [
    ("it hangs and is ready", lambda: whole(HUNG), [("critical", "not_answering", "region")]),
    (
        "a replica is not ready",
        lambda: whole(healthy(), healthy(instance(name="region-2", ready=False))),
        [("warning", "instance_not_ready", "region")],
    ),
    (
        "no replica is ready",
        lambda: whole(healthy(instance(ready=False))),
        [("critical", "component_down", "region")],
    ),
    (
        "it crashes again and again",
        lambda: whole(status(instance(state="crash_loop", ready=False, restarts=9, last_end="Error"))),
        [("critical", "instance_crash_loop", "region")],
    ),
    (
        "it was killed for its memory",
        lambda: whole(
            healthy(instance(restarts=1, last_end="OOMKilled, exit code 137", last_ended="2026-01-02T03:58:00Z"))
        ),
        [("critical", "instance_oom_killed", "region")],
    ),
    (
        "it restarted",
        lambda: whole(healthy(instance(restarts=1, last_end="Error", last_ended="2026-01-02T03:58:00Z"))),
        [("warning", "instance_restarted", "region")],
    ),
    (
        "a pod is pending",
        lambda: whole(healthy(), status(instance(name="region-2", state="pending", ready=False))),
        [("warning", "instance_not_running", "region")],
    ),
    (
        "pods are not made",
        lambda: whole(healthy(), workloads=[workload(desired=3, ready=1)]),
        [("warning", "replicas_missing", "region")],
    ),
    (
        "scaled to zero",
        lambda: [cluster(workloads=[workload(desired=0, ready=0)])],
        [("critical", "scaled_to_zero", "region")],
    ),
    (
        "not there",
        lambda: whole(healthy(), components=["region", "keystone", "notify"]),
        [("critical", "component_missing", "keystone")],
    ),
    (
        "named and not there",
        lambda: whole(healthy(), components=["region", "notify"], named=True),
        [("warning", "named_component_missing", "notify")],
    ),
    (
        "the log tells of dropped tasks, of a pool that is idle by now",
        lambda: whole(with_log(patterns=[QUEUE_FULL, {"id": "stucking", "count": 3}, {"id": "busy", "count": 90}])),
        [("critical", "log_tasks_dropped", "region")],
    ),
    (
        "long tasks keep a pool busy",
        lambda: whole(with_log(busy=[{"name": GET_POOL, "cycles_first": 2, "cycles_last": 900, "cycles_max": 900}])),
        [],
    ),
    (
        "one replica has many goroutines",
        lambda: whole(
            healthy(),
            healthy(
                instance(name="region-2"), change=lambda sample, _n: sample["process_stats"].update(goroutines=1400)
            ),
        ),
        [("warning", "goroutines_outlier", "region")],
    ),
    (
        "one replica has another version",
        lambda: whole(
            healthy(),
            healthy(
                instance(name="region-2"),
                change=lambda sample, _n: sample["version"].update(text="release/4.0(a)", branch="release/4.0"),
            ),
        ),
        [("warning", "versions_of_replicas", "region")],
    ),
    (
        "a certificate ends",
        lambda: whole({**healthy(), "certificate": {"subject": "CN=r", "not_after": "x", "days_left": 3.5}}),
        [("critical", "certificate_ends", "region")],
    ),
]


@pytest.mark.parametrize(("make", "expected"), [case[1:] for case in OF_A_CLUSTER], ids=[c[0] for c in OF_A_CLUSTER])
def test_problem_of_a_cluster_gives_exactly_its_findings(shipped, make, expected):
    document = health_of(shipped, *make())
    assert [(one["severity"], one["rule"], one["component"]) for one in document["findings"]] == expected


def test_log_lines_about_a_full_pool_are_covered_by_the_finding_of_the_pool(shipped):
    base = healthy(change=locked_5_seconds)
    base["log"].update(patterns=[QUEUE_FULL, {"id": "stucking", "count": 400}])
    document = health_of(shipped, *whole(base))
    assert findings_of(document) == [("critical", "worker_pool_nearly_full")]
    covered = {(entry["rule"], entry["covered_by"]) for entry in document["covered"]}
    assert ("log_tasks_dropped", "worker_pool_nearly_full") in covered
    assert ("log_stuck", "worker_pool_nearly_full") in covered


def versions(branch, component="region", name="c"):
    text = f"{branch}(2de295222d26082106)"

    def change(sample, _number):
        sample["version"].update(text=text, branch=branch)

    return healthy(instance(component, f"{component}-1", name), change=change)


def test_reports_versions_that_differ(shipped):
    mixed = [versions("release/4.0"), versions("release/4.0", "notify"), versions("release/3.11", "logger")]
    document = health_of(shipped, *whole(*mixed))
    assert findings_of(document) == [("warning", "versions_of_components")]
    assert "from release/3.11 are logger" in document["findings"][0]["message"]
    two = [versions("release/4.0", name="c"), versions("release/3.11", name="d")]
    loads = [workload()]
    document = health_of(shipped, cluster("c", workloads=loads), cluster("d", workloads=loads), *two)
    assert findings_of(document) == [("warning", "versions_of_clusters")]
    assert document["findings"][0]["cluster"] == ""
    assert [entry["verdict"] for entry in document["clusters"]] == ["ok", "ok"]
    assert document["verdict"] == "warning"


def test_evaluates_components_without_status_endpoints_by_their_data(shipped):
    document = health_of(shipped, *whole(status(instance("host-deployer", "host-deployer-1"))))
    assert (findings_of(document), document["verdict"]) == ([], "ok")


def test_thresholds_change_the_findings(shipped):
    base = whole(healthy(change=change_pool(active=8, queue=12)))
    assert findings_of(health_of(shipped, *base, pool_queue_warning=13)) == []
    assert findings_of(health_of(shipped, *base, pool_queue_critical=12)) == [("critical", "worker_pool_saturated")]


def test_shipped_rules_cover_only_rules_of_the_same_problem(shipped):
    """A saturated pool does not hide another pool, and no pool hides the database."""

    def change(sample, _number):
        pool(sample, GET_POOL, active=8, queue=640)
        pool(sample, "HttpRequestWorkerManager", active=8, queue=20)
        sample["db_stats"]["databases"][0].update(in_use=55)

    audit = audit_of(shipped, *whole(healthy(change=change)))
    found = {(one.rule, one.subject) for one in audit.findings}
    assert ("worker_pool_saturated", GET_POOL) in found
    document = health_of(shipped, *whole(healthy(change=change)))
    assert {(one["rule"], one["subject"]) for one in document["findings"]} == {
        ("worker_pool_nearly_full", GET_POOL),
        ("worker_pool_saturated", "HttpRequestWorkerManager"),
        ("db_pool_exhausted", ""),
    }


def logged(name, count, last, component="region", number=1, **more):
    """Return a healthy instance whose log had these lines and went on."""
    base = healthy(instance(component, f"{component}-{number}"), **more)
    episode = {"count": count, "first": last, "last": last, "line": "bad connection"}
    base["log"].update(
        last="2026-01-02T03:59:10", lines=99, patterns=[{"id": name, "count": count, "episode": episode}]
    )
    return base


def hung(of, **more):
    """Return an instance without any answer whose log was read."""
    missing = [{"endpoint": "ping", "sample": number, "reason": "no_answer"} for number in (1, 2)]
    missing += [{"endpoint": "stats", "sample": number, "reason": "not_asked"} for number in (1, 2)]
    log = {"seconds": 600, "bytes": 10, "lines": 1, "last": "2026-01-02T03:52:00", "patterns": [], "busy": []}
    return status(of, expected=["ping", "stats"], samples=[{}, {}], missing=missing, log=log, **more)


OLD, NOW = "2026-01-02T03:50:00", "2026-01-02T03:59:00"
FROZEN = instance(name="region-2", ready=False)
STARTED = instance(started="2026-01-02T03:56:00Z")


def ends_soon(component):
    one = healthy(instance(component, f"{component}-1"))
    return {**one, "certificate": {"subject": "CN=a", "not_after": "2026-01-07T00:00:00Z", "days_left": 5}}


def draining(sample, number):
    pool(sample, "CronJobWorkers", active=4, queue=80 - 20 * number)


# Trouble -> the documents, and (severity, rule, instance) of the headline.
HEADLINES = [
    (
        "one of two replicas is frozen, and the other one's log has an old trouble",
        lambda: whole(logged("db_connection", 90, OLD), hung(FROZEN)),
        ("critical", "not_answering", "region-2"),
    ),
    (
        "the only replica is frozen, and not ready any more",
        lambda: whole(hung(instance(ready=False))),
        ("critical", "not_answering", "region-1"),
    ),
    (
        "the database is slow, and minutes ago its connections broke",
        lambda: whole(logged("db_connection", 90, OLD, change=requests(servers=(20, 0, 9000.0)))),
        ("warning", "slow_paths", "region-1"),
    ),
    (
        "connections break just now",
        lambda: whole(logged("db_connection", 90, NOW, change=requests(servers=(20, 0, 9000.0)))),
        ("critical", "log_serious", "region-1"),
    ),
    (
        "a certificate ends in five days, and all database connections are in use",
        lambda: whole(ends_soon("ansibleserver"), healthy(change=locked_a_minute)),
        ("critical", "db_pool_exhausted", "region-1"),
    ),
    (
        "keystone hangs, and so does what is before it in the alphabet",
        lambda: whole(*(hung(instance(name, f"{name}-1")) for name in ("apigateway", "glance", "keystone"))),
        ("critical", "not_answering", "keystone-1"),
    ),
    (
        "the queues of a service drain that has just started",
        lambda: whole(healthy(STARTED, change=draining)),
        ("warning", "worker_pool_starting", "region-1"),
    ),
    (
        "the queues of a service drain that started long ago",
        lambda: whole(healthy(instance(started="2026-01-01T00:00:00Z"), change=draining)),
        ("warning", "worker_pool_saturated", "region-1"),
    ),
]


@pytest.mark.parametrize(("make", "expected"), [case[1:] for case in HEADLINES], ids=[case[0] for case in HEADLINES])
def test_first_finding_is_the_current_problem_that_holds_up_most(shipped, make, expected):
    document = health_of(shipped, *make())
    first = document["findings"][0]
    assert (first["severity"], first["rule"], first["instance"]) == expected
    assert document["verdict"] == expected[0]
    assert first["message"].split()[0] in table(document)[1]
    assert f"{first['component']}/{first['instance']}: " in failure(document, "warning")


def test_log_of_a_frozen_service_counts_and_unread_data_is_unknown(shipped):
    document = health_of(shipped, *whole(hung(FROZEN)))
    unread = {rule.id for rule in shipped.rules if {"ping", "stats", "window"} & set(rule.needs)}
    assert {entry["rule"] for entry in document["unknown"]} <= unread
    said = {entry["rule"]: entry for entry in document["rules"]}
    assert all(said[rule.id]["ok"] == 1 for rule in shipped.rules if rule.needs == ("log",))


def test_rules_are_unknown_if_the_kubelet_cannot_read_the_log(shipped):
    one = healthy()
    one.update(log=None, missing=[{"endpoint": "log", "sample": 1, "reason": "log_unavailable"}])
    document = health_of(shipped, *whole(one))
    assert document["verdict"] == "unknown"
    assert {entry["reason"] for entry in document["unknown"]} == {"log was not read (log_unavailable)"}
