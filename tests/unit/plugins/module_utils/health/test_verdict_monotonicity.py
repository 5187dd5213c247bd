# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts are never better than the observations allow, and messages have no unfilled fields."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.check import read_rules
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.evaluate import VERDICTS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.health_document import failure
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.report import table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.log_patterns import LOG_PATTERNS
from audit_documents import ENDPOINTS, RULES, cluster, health_of, healthy, instance, pool, status, workload
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import examples

SHIPPED = read_rules([RULES])
GET_POOL = "HttpGetRequestWorkerManager"
# Enough of a region's paths and pools to be quick.
BASE = healthy(instance(started="2026-01-01T00:00:00Z"))
BASE["log"].update(last="2026-01-02T03:59:00", lines=9)
for _sample in BASE["samples"]:
    _sample["stats"]["paths"] = []
    _pools = _sample["worker_stats"]["workers"]
    _sample["worker_stats"]["workers"] = [one for one in _pools if one["name"] in (GET_POOL, "CronJobWorkers")]
LAST = "2026-01-02T03:58:50"


@dataclass(frozen=True)
class Seen:
    """A bad observation: what it changes in the status of a healthy region, and the best verdict that it allows.

    on: the endpoint or section that shows it, "" for the instance itself.
    """

    name: str
    on: str
    best: str
    change: Callable[[dict[str, Any]], None]


def unanswered(endpoint: str, reason: str, message: str = "") -> Callable[[dict[str, Any]], None]:
    """Remove it from all samples."""

    def change(one):
        for number, sample in enumerate(one["samples"], 1):
            sample.pop(endpoint, None)
            one["missing"].append({"endpoint": endpoint, "sample": number, "reason": reason, "message": message})

    return change


def in_last(act: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Set it in all samples, since one busy moment is no problem."""

    def change(one):
        for sample in one["samples"]:
            act(sample)

    return change


def said(name: str, count: int, last: str = LAST) -> Callable[[dict[str, Any]], None]:
    """Add these lines to the log."""

    def change(one):
        episode = {"count": count, "first": last, "last": last, "line": "x"}
        one["log"]["patterns"].append({"id": name, "count": count, "first": last, "last": last, "episode": episode})

    return change


def busy(**figures: Any) -> Callable[[dict[str, Any]], None]:
    return lambda one: one["log"]["busy"].append({"name": "P", "last": LAST, **figures})


BAD = (
    Seen("ping hangs", "ping", "critical", unanswered("ping", "no_answer")),
    Seen("ping is refused with 429", "ping", "critical", unanswered("ping", "queue_full")),
    Seen("nothing listens", "ping", "critical", unanswered("ping", "connection_refused")),
    Seen("ping says 400", "ping", "critical", unanswered("ping", "unexpected_status", "400 not ready")),
    Seen("not ready", "", "warning", lambda one: one["instance"].update(ready=False)),
    Seen("crash loop", "", "critical", lambda one: one["instance"].update(
        restarts=4, last_started="2026-01-02T03:57:00Z", last_ended="2026-01-02T03:58:00Z")),
    Seen("frozen", "", "critical", lambda one: one["instance"].update(process={"pid": 7, "state": "T"})),
    Seen("a full queue", "worker_stats", "critical", in_last(lambda it: pool(it, GET_POOL, active=8, queue=640))),
    Seen("detached workers", "worker_stats", "critical", in_last(lambda it: pool(it, "CronJobWorkers", detached=90))),
    Seen("all connections", "db_stats", "critical", in_last(
        lambda sample: sample["db_stats"]["databases"][0].update(in_use=55))),
    Seen("stats are not answered", "stats", "warning", unanswered("stats", "no_answer")),
    Seen("stats are sent away", "stats", "critical", unanswered("stats", "queue_full")),
    Seen("version was not read", "version", "unknown", unanswered("version", "not_json")),
    Seen("pools were not asked for", "worker_stats", "unknown", unanswered("worker_stats", "not_asked")),
    Seen("a certificate that ended", "certificate", "critical", lambda one: one["certificate"].update(days_left=-1)),
    Seen("a certificate that ends", "certificate", "warning", lambda one: one["certificate"].update(days_left=20)),
    Seen("no certificate", "certificate", "unknown", lambda one: one.update(
        certificate=None, missing=[*one["missing"], {"endpoint": "certificate", "reason": "tls_failed"}])),
    Seen("the service ended itself", "log", "critical", said("service_fatal", 1)),
    Seen("a panic", "log", "critical", said("runtime_panic", 1)),
    Seen("a fatal error of the runtime", "log", "critical", said("runtime_fatal", 1)),
    Seen("dropped tasks", "log", "critical", said("queue_full", 112)),
    Seen("dropped tasks that are over", "log", "warning", said("queue_full", 112, "2026-01-02T03:50:00")),
    Seen("busy for 95 hours", "log", "critical", busy(seconds=341460, cycles_last=11382)),
    Seen("a queue that only grows", "log", "critical", busy(
        queue_first=1209, queue_last=1268, queue_most=1268, queue_reports=60)),
    Seen("it starts again and again", "log", "critical", lambda one: one["log"].update(
        starts=["2026-01-02T03:56:00", "2026-01-02T03:57:00", "2026-01-02T03:58:00"])),
    Seen("a part of the log", "log", "unknown", lambda one: one["log"].update(truncated=True)),
    Seen("no log", "log", "unknown", lambda one: one.update(
        log=None, missing=[*one["missing"], {"endpoint": "log", "reason": "log_unavailable"}])),
    Seen("a broken log", "log", "unknown", lambda one: one.update(log={"seconds": "x"})),
    Seen("a broken window", "window", "unknown", lambda one: one.update(window=[])),
    Seen("no window", "window", "unknown", lambda one: one.update(window=None)),
    Seen("broken pools", "worker_stats", "unknown", in_last(lambda it: it.update(worker_stats={"workers": 7}))),
)  # fmt: skip
BY_NAME = {one.name: one for one in BAD}


def verdict_on(names: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the verdict on a healthy region with these observations."""
    one = copy.deepcopy(BASE)
    for name in names:
        seen = BY_NAME[name]
        try:
            seen.change(one)
        except (KeyError, TypeError):
            # Its place is broken, or not there any more: then that is what was seen.
            continue
    document = health_of(SHIPPED, cluster(workloads=[workload()]), one)
    (region,) = document["clusters"][0]["components"]
    return region["verdict"], document


def best_of(names: list[str]) -> str:
    return max((BY_NAME[name].best for name in names), key=VERDICTS.index, default="ok")


def at_least(verdict: str, other: str) -> bool:
    return VERDICTS.index(verdict) >= VERDICTS.index(other)


def test_region_without_bad_observations_is_ok():
    assert verdict_on([])[0] == "ok"


@pytest.mark.parametrize("name", BY_NAME)
def test_each_bad_observation_has_its_verdict(name):
    verdict, document = verdict_on([name])
    assert verdict == BY_NAME[name].best, [one["message"] for one in document["findings"]]


# One observation of each place: two of one may contradict.
SOME = st.permutations(BAD).map(lambda every: list({one.on or one.name: one.name for one in every}.values()))


@settings(max_examples=examples(60))
@given(SOME.flatmap(lambda names: st.tuples(st.just(names), st.integers(0, len(names)), st.integers(0, len(names)))))
def test_another_bad_observation_never_improves_the_verdict(drawn):
    names, few, more = drawn[0], *sorted(drawn[1:])
    fewer, _document = verdict_on(names[:few])
    verdict, document = verdict_on(names[:more])
    assert at_least(verdict, fewer), names[:more]
    assert at_least(verdict, best_of(names[:more])), names[:more]
    assert document["verdict"] == verdict
    check_sentences(document)


# --- sentences ---

HOLE = re.compile(
    r"\?|\(\s*\)|\bNone\b|\bunknown\b|  |\[\[|\]\]|[{}]|\s[,.;:)]|[,;:]\s*[,;:]|[,;:(]\s*$|\bnan\b|\de[+-]?\d"
)


def check_sentences(document: dict[str, Any]) -> None:
    """Messages have no gap where a value is unknown."""
    for entry in (*document["findings"], *document["covered"]):
        assert not HOLE.search(entry["message"]), entry["message"]
        assert entry["message"] == entry["message"].strip()
    for entry in document["unknown"]:
        assert entry["reason"]
        assert not re.search(r"\(\s*\)|  |\bNone\b", entry["reason"]), entry["reason"]
    assert not re.search(r"\bNone\b|\(\)|: *[.]?$|: [.]", failure(document, "unknown"))
    for line in table(document):
        assert not re.search(r"\bNone\b|\(\)", line)


TEXT = st.sampled_from(["", "x", "Error"])
MOMENT = st.sampled_from(["", "2026-01-02T03:58:00Z", "2026-01-02T03:40:00Z", "2025-12-01T00:00:00Z"])
LOCAL = st.sampled_from(["", "2026-01-02T03:58:00", "2026-01-02T03:40:00", "2026-01-01T23:59:00"])
COUNT = st.sampled_from([0, 1, 30, 700, 10**6, 10**12])
FIGURE = COUNT | st.sampled_from([0.5, 61234.5])
STATES = ["running"] * 5 + ["pending", "crash_loop", "waiting", "node_lost", "terminated", "init"]
INSTANCE = st.fixed_dictionaries(
    {"state": st.sampled_from(STATES), "ready": st.booleans(), "restarts": st.sampled_from([0, 1, 4, 9])},
    optional={
        "node": TEXT, "state_detail": TEXT, "started": MOMENT, "last_started": MOMENT, "last_ended": MOMENT,
        "last_end": st.sampled_from(["", "OOMKilled, exit code 137", "Error, exit code 2"]),
        "process": st.fixed_dictionaries({"state": st.sampled_from(["", "T", "t", "Z", "S"])}),
    },
)  # fmt: skip
EPISODE = st.fixed_dictionaries({"count": COUNT}, optional={"first": LOCAL, "last": LOCAL, "line": TEXT})
PATTERN = st.fixed_dictionaries(
    {"id": st.sampled_from([pattern.id for pattern in LOG_PATTERNS] + ["service_fatal", "other"]), "count": COUNT},
    optional={
        "first": LOCAL, "last": LOCAL, "samples": st.lists(TEXT, max_size=2), "episode": EPISODE,
        "pools": st.lists(st.fixed_dictionaries({"name": TEXT, "count": COUNT}), max_size=2),
    },
)  # fmt: skip
BUSY = st.fixed_dictionaries(
    {"name": st.sampled_from(["P", "Q"])},
    optional={
        **dict.fromkeys(("cycles_last", "seconds", "queue_first", "queue_last", "queue_most", "queue_reports"), COUNT),
        "last": LOCAL,
    },
)
LOG = st.fixed_dictionaries(
    {"seconds": st.just(600), "patterns": st.lists(PATTERN, max_size=4), "busy": st.lists(BUSY, max_size=2)},
    optional={"last": LOCAL, "lines": COUNT, "starts": st.lists(LOCAL, max_size=4), "truncated": st.booleans()},
)
MISSED = st.fixed_dictionaries(
    {
        "endpoint": st.sampled_from([*ENDPOINTS, "log", "certificate"]),
        "sample": st.sampled_from([1, 2]),
        "reason": st.sampled_from(
            ["no_answer", "connection_refused", "unexpected_status", "server_error", "queue_full", "not_asked", "gone"]
        ),
    },
    optional={"message": st.sampled_from(["", "400 not ready", "The answer has an unexpected HTTP status"])},
)
POOL = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["P", "Q"]),
        **dict.fromkeys(("active", "max", "detached", "queue", "queue_capacity"), st.sampled_from([0, 1, 4, 80, 640])),
    }
)
DATABASE = st.fixed_dictionaries(
    {"name": TEXT, "max_open_connections": COUNT, "in_use": COUNT}, optional={"wait_count": COUNT}
)
PROCESS = st.fixed_dictionaries({"goroutines": COUNT, "heap_alloc_bytes": COUNT})
SAMPLE = st.fixed_dictionaries(
    {},
    optional={
        "ping": st.just({"answered": True}),
        "worker_stats": st.fixed_dictionaries({"workers": st.lists(POOL, max_size=3)}),
        "db_stats": st.fixed_dictionaries({"databases": st.lists(DATABASE, max_size=2)}),
        "process_stats": PROCESS,
    },
)
PATH = st.fixed_dictionaries(
    {"method": st.just("GET"), "path": st.sampled_from(["/servers", "/disks"]), "requests": COUNT},
    optional={"errors_5xx": COUNT, "error_ratio": FIGURE, "mean_duration_ms": FIGURE, "name": TEXT},
)
WINDOW = st.none() | st.fixed_dictionaries(
    {"seconds": st.just(10.002), "reset": st.booleans()},
    optional={
        "requests": COUNT, "errors_5xx": COUNT, "error_ratio": FIGURE, "paths": st.lists(PATH, max_size=2),
        "goroutines_first": COUNT, "goroutines_last": COUNT,
        "heap_alloc_bytes_first": COUNT, "heap_alloc_bytes_last": COUNT,
        "databases": st.lists(
            st.fixed_dictionaries({"name": TEXT, "waits": COUNT}, optional={"mean_wait_ms": FIGURE}), max_size=2
        ),
    },
)  # fmt: skip
CERTIFICATE = st.none() | st.fixed_dictionaries(
    {"not_after": st.just("2026-01-08T08:00:00Z"), "days_left": st.sampled_from([-3.5, 0, 5.2, 20, 900])},
    optional={"subject": TEXT},
)
STATUS = st.fixed_dictionaries(
    {
        "of": INSTANCE,
        "log": st.none() | LOG,
        "missing": st.lists(MISSED, max_size=4),
        "samples": st.lists(SAMPLE, max_size=2),
        "window": WINDOW,
        "certificate": CERTIFICATE,
    }
)


@settings(max_examples=examples(150))
@given(st.lists(STATUS, min_size=1, max_size=3), st.sampled_from(["kubernetes", "host", "keystone"]))
def test_messages_have_no_unfilled_fields(drawn, transport):
    statuses = []
    for number, one in enumerate(drawn, 1):
        fields = dict(one.pop("of"))
        process = fields.pop("process", None)
        of = instance(name=f"region-{number}", **fields)
        of["process"] = process
        expected = [entry["endpoint"] for entry in one["missing"] if entry["endpoint"] in ENDPOINTS]
        statuses.append(status(of, expected=expected, **one))
    loads = [workload(desired=len(statuses), ready=sum(one["instance"]["ready"] for one in statuses))]
    document = health_of(SHIPPED, cluster(transport=transport, workloads=loads), *statuses)
    check_sentences(document)
    unpinged = {
        one["instance"]["name"]
        for one in statuses
        for entry in one["missing"]
        if entry["endpoint"] == "ping" and one["instance"]["state"] == "running"
    }
    if unpinged:
        assert document["verdict"] != "ok" or all(any("ping" in s for s in one["samples"]) for one in statuses)
