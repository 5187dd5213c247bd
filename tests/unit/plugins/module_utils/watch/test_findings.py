# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What findings say: of which lines, in which order, and of which pool."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch import pool_rules
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.crash_location import CrashLocation
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.instance_rules import OTHER_RULES
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.liveness import Liveness
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.report import verdict_table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.verdicts import ORDER, component_verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from hypothesis import given
from hypothesis import strategies as st
from said import POOL, access, busy_for, detached, dropped, line, stucking, waiting

SHIPPED = load_patterns()
START = 1795392000.0  # 2026-11-23T00:00:00Z
UNIT = Path(__file__).parents[3]
ANSWERS = Liveness(ping=True, ready=True)
CRON = "CronJobWorkers"


def watch(*parts: bytes) -> LogWatcher:
    watcher = LogWatcher(SHIPPED)
    watcher.opened(START)
    watcher.feed(b"".join(parts))
    return watcher


def evidence(*parts: bytes, at: float, liveness: Liveness = ANSWERS) -> tuple[str, ...]:
    return watch(*parts).verdict(START + at, liveness=liveness).evidence


def test_every_rule_has_its_place():
    assert {rule.id for rule in pool_rules.RULES} | set(OTHER_RULES) | {"warning"} == set(ORDER)
    assert len(set(ORDER)) == len(ORDER)


# Sentences of one time


def test_count_times_and_text_are_of_the_same_lines():
    """A trouble of minutes ago, with a text of its own, and one of now."""
    old = [line(second, f" exec sql: Error 1040: Too many connections, try {second}", "error") for second in (1, 2, 3)]
    (text,) = evidence(*old, line(600, " driver: bad connection", "error"), at=601)
    assert text.startswith("db_connection: driver: bad connection (1 line, at 2026-11-23T00:10:00Z; ")


def test_the_oldest_task_of_minutes_ago_is_not_told_with_the_lines_of_now():
    old = [stucking(70 + number, 5, "GET /old") for number in range(9)]
    texts = evidence(*old, stucking(600, 590, "GET /new"), at=601)
    assert not any("/old" in text for text in texts)
    assert any("(1 line), the oldest: GET /new" in text for text in texts)


def test_lost_tasks_of_now_are_told_and_those_before_are_counted():
    first = evidence(*(dropped(second) for second in (1, 2, 3)), dropped(600), at=601)[0]
    assert first == f"{POOL}: 1 task lost, at 2026-11-23T00:10:00Z (4 since 2026-11-23T00:00:01Z)"


def test_what_has_ended_is_left_out_of_a_sentence_about_what_goes_on():
    texts = evidence(waiting(1, 30), *(busy_for(30 * number, number) for number in range(15, 19)), at=545)
    assert not any("tasks waited" in text for text in texts)


def test_what_is_over_is_said_to_be_over():
    texts = evidence(waiting(1, 30), busy_for(61, 2), access(300), at=301)
    said = "no free worker of 8, up to 30 tasks waited; busy for 2 cycles (60 s)"
    assert texts == (f"{POOL}: {said}; over since 2026-11-23T00:01:01Z",)


# The present before history


def test_a_frozen_etcd_reaches_the_table_before_a_pool_that_is_over():
    parts = (*(busy_for(30 * number, number) for number in range(2, 12)), line(590, " etcd keepalive failed"))
    found = watch(*parts).verdict(START + 600, "region-1", ANSWERS)
    assert (found.verdict, found.rule, found.over) == ("busy", "trouble", False)
    table = verdict_table([component_verdict([found], "region")])
    assert "etcd_lease: etcd keepalive failed" in table[-1]
    assert "busy (over)" not in table[-1]


def test_a_warning_of_now_stands_before_what_is_over():
    texts = evidence(waiting(1, 30), line(590, "etcd: GetServiceURL fail x, retry after 3 seconds"), at=600)
    assert texts[0].startswith("etcd_watch: ")
    assert "over since" in texts[1]


def test_lost_tasks_that_are_over_stay_the_verdict_and_are_not_the_headline():
    found = watch(dropped(1), line(590, " etcd keepalive failed")).verdict(START + 600, "r", ANSWERS)
    assert (found.verdict, found.over) == ("dropping", False)
    assert found.evidence[0].startswith("etcd_lease: ")
    assert "; besides: " in verdict_table([component_verdict([found], "region")])[-1]


def test_what_holds_up_more_stands_first_and_not_the_alphabet():
    grows = [busy_for(30 * number, number, "A") for number in range(30)]
    queue = [waiting(800 + number, 900 + number, "Z") for number in range(20)]
    found = watch(*grows, *queue).verdict(START + 875, liveness=ANSWERS)
    assert [text.partition(":")[0] for text in found.evidence[:2]] == ["Z", "A"]
    components = [component_verdict([watch(*parts).verdict(START + 875, name, ANSWERS)], name)
                  for name, parts in (("glance", grows), ("region", queue))]  # fmt: skip
    assert [each.weight for each in components] == [1, 919]


# The decisive words

STATEMENT = "INSERT " + ", ".join(f"`t{number}`.`id`" for number in range(200))


def test_the_decisive_words_reach_the_table():
    found = watch(line(590, f" exec sql {STATEMENT}: Error 1040: Too many connections", "error"))
    table = verdict_table([component_verdict([found.verdict(START + 600, "r", ANSWERS)], "region")])
    assert "Error 1040: Too many connections" in table[-1]


def test_the_sample_that_says_most_is_kept():
    lines = [line(number, f" try {number}: bad connection") for number in range(9)]
    watcher = watch(*lines, line(20, " exec: Error 1040: Too many connections", "error"), line(21, " bad connection"))
    (pattern,) = watcher.document(START + 30)["patterns"]
    assert any("Error 1040" in sample["line"] for sample in pattern["samples"])
    assert len(pattern["samples"]) == 3
    assert pattern["episode"]["line"] == "exec: Error 1040: Too many connections"


# Pools that are not named


def test_detached_workers_of_a_real_region_are_of_the_pool_around_them():
    log = gzip.decompress((UNIT / "fixtures" / "region-table-locked" / "region.log.gz").read_bytes())
    watcher = LogWatcher(SHIPPED, timestamped=False)
    watcher.feed(log)
    found = watcher.verdict()
    (text,) = [each for each in found.evidence if "648 workers detached" in each]
    assert text.startswith(f"{POOL} (inferred from the lines around): ")
    unnamed = watcher.document()["pools"][0]
    assert (unnamed["name"], unnamed["inferred"]) == ("", POOL)


@pytest.mark.parametrize(
    ("around", "pool"),
    [
        ([], ""),
        ([busy_for(60, 2)], POOL),
        ([busy_for(60, 2), busy_for(60, 2, CRON)], POOL),  # cron jobs are no requests
        ([busy_for(60, 2), busy_for(60, 2, "HttpRequestWorkerManager")], ""),
        ([busy_for(60, 2), waiting(62, 20, "HttpRequestWorkerManager")], "HttpRequestWorkerManager"),
        ([waiting(62, 20), waiting(62, 20, "HttpRequestWorkerManager")], ""),
        ([waiting(500, 20)], ""),
    ],
)
def test_a_pool_is_inferred_where_there_is_no_doubt(around, pool):
    lines = sorted([*around, *(detached(63, number) for number in range(9))])
    (text,) = [each for each in evidence(*lines, at=64) if "workers detached" in each]
    assert text.startswith(f"{pool} (inferred from the lines around): " if pool else "no pool named: ")


# Starts


def start(*parts: bytes) -> LogWatcher:
    return watch(line(1, " Start listen on https://0.0.0.0:30888", "info"), *parts)


# All cron jobs begin at once: 20 tasks for four workers, which are busy for ten minutes.
CRON_BURST = [waiting(2 + number / 100, 11 + number, CRON) for number in range(10)]


def cron_rounds(last: int) -> list[bytes]:
    return [busy_for(30 * number, number, CRON) for number in range(2, last + 1)]


def test_a_start_is_said_to_be_one():
    found = start(*CRON_BURST, *cron_rounds(6)).verdict(START + 181, liveness=ANSWERS)
    assert (found.verdict, found.rule) == ("busy", "starts")
    assert found.evidence[0].startswith(f"{CRON}: started 3 min ago: ")


def test_a_queue_that_drains_after_a_start_is_told():
    found = start(*CRON_BURST, waiting(90, 14, CRON), *cron_rounds(3)).verdict(START + 121, liveness=ANSWERS)
    assert "started 2 min ago; the queue drains (20 -> 14)" in found.evidence[0]


@pytest.mark.parametrize(("rounds", "verdict"), [(12, "busy"), (19, "busy"), (22, "stuck")])
def test_a_start_ends_after_ten_minutes(rounds, verdict):
    found = start(*CRON_BURST, *cron_rounds(rounds)).verdict(START + 30 * rounds, liveness=ANSWERS)
    assert found.verdict == verdict


def test_a_start_is_known_by_the_instance_too():
    watcher = watch(*cron_rounds(12))
    assert watcher.verdict(START + 361, liveness=ANSWERS).verdict == "stuck"
    started = Liveness(ping=True, started=START - 10)
    assert watcher.verdict(START + 361, liveness=started).rule == "starts"


def test_a_start_is_known_by_the_change_of_the_container():
    watcher = watch(access(1))
    watcher.container_changed("containerd://b", 1, START + 2)
    watcher.feed(b"".join(cron_rounds(12)))
    part = next(part for part in watcher.verdict(START + 361, liveness=ANSWERS).parts if part.name == CRON)
    assert (part.verdict, part.rule) == ("busy", "starts")


def test_a_start_excuses_nothing_but_waiting():
    lines = [*cron_rounds(6), *(detached(100, number) for number in range(9)), dropped(101)]
    assert start(*lines).verdict(START + 181, liveness=ANSWERS).verdict == "dropping"
    assert start(*lines[:-1]).verdict(START + 181, liveness=ANSWERS).verdict == "stuck"


# Queues and durations


@pytest.mark.parametrize(
    ("queue", "seconds", "rule"),
    [
        (range(1209, 1269), 20, "queue_grows"),
        (range(11, 51), 0.2, "tasks_wait"),  # a burst
        (range(11, 31), 70, "queue_grows"),
        (range(11, 31), 30, "tasks_wait"),
        ([*range(200, 220), 190, *range(191, 199)], 20, "tasks_wait"),  # it fell
        ([500] * 20, 20, "tasks_wait"),
        (range(500, 505), 20, "tasks_wait"),
    ],
)
def test_a_queue_that_only_grows(queue, seconds, rule):
    step = seconds / len(queue)
    found = watch(*(waiting(1 + number * step, size) for number, size in enumerate(queue)))
    assert found.verdict(START + seconds + 2, liveness=ANSWERS).rule == rule


@pytest.mark.parametrize(
    ("cycles", "says"),
    [
        (19, "busy for 19 cycles (9.5 min)"),
        (20, "busy for 10 min (20 rounds of 30 s)"),
        (11382, "busy for 95 h (11382 rounds of 30 s)"),
    ],
)
def test_rounds_are_told_as_durations(cycles, says):
    assert any(says in text for text in evidence(busy_for(1, cycles), at=2))


# Requests


def request(second: float, milliseconds: float, url: str = "/servers") -> bytes:
    return access(second, url).replace(b" 12.34ms", b" %.2fms" % milliseconds)


def test_slow_requests_are_told():
    """A database that takes 500 ms a query: nothing else in the log tells of it."""
    found = watch(*(request(second, 1500 + 10 * second) for second in range(43)), request(43, 5000, "/hosts"))
    judged = found.verdict(START + 61, "region-1", ANSWERS)
    assert (judged.verdict, judged.rule, judged.over) == ("busy", "requests_slow", False)
    assert judged.evidence[0] == ("requests take 1.7 s (median of 44; slowest 5 s: GET /hosts), at 2026-11-23T00:00Z")


@pytest.mark.parametrize(
    ("fast", "slow", "holds"), [(0, 5, True), (0, 4, False), (15, 5, True), (16, 5, False), (500, 0, False)]
)
def test_some_slow_requests_are_no_trouble(fast, slow, holds):
    lines = [request(1, 499.99)] * fast + [request(1, 500)] * slow + [access(59)] * (fast == 0)
    found = watch(*sorted(lines)).verdict(START + 60, liveness=ANSWERS)
    assert (found.rule == "requests_slow") == holds


def test_slow_requests_that_are_over_are_said_to_be():
    found = watch(*(request(second, 900) for second in range(9)), access(400)).verdict(START + 401, liveness=ANSWERS)
    assert (found.verdict, found.over) == ("busy", True)
    assert found.evidence[0].endswith("; over since 2026-11-23T00:01:00Z")


def test_images_are_streamed_as_long_as_it_takes():
    lines = [request(second, 60_000, "/v1/images/8a2f") for second in range(50)]
    assert watch(*lines).verdict(START + 60, liveness=ANSWERS).verdict == "healthy"


def test_a_request_that_only_quotes_a_duration_is_not_slow():
    lines = [line(second, " sync took 9999.00ms", "info") for second in range(50)]
    assert watch(*lines).verdict(START + 60, liveness=ANSWERS).verdict == "healthy"


@pytest.mark.parametrize("cut", [1, 57, 300, 4000, 100_000])
def test_requests_are_counted_the_same_however_they_come(cut):
    data = b"".join(request(second / 10, 400 + second) for second in range(1500))
    parts = [data[start : start + cut] for start in range(0, len(data), cut)]
    watcher = LogWatcher(SHIPPED)
    for part in parts:
        watcher.feed(part)
    assert watcher.document()["slow_requests"] == watch(data).document()["slow_requests"]
    assert sum(row["requests"] for row in watcher.document()["slow_requests"]) == 1500


# Places of crashes

CORPUS = UNIT / "plugins" / "module_utils" / "stacks" / "corpus"


@pytest.mark.parametrize("version", ["go1.19", "go1.23", "go1.27"])
def test_the_place_of_a_real_panic(version):
    watcher = LogWatcher(SHIPPED, timestamped=False)
    watcher.feed((CORPUS / version / "panic.txt").read_bytes())
    (pattern,) = [each for each in watcher.document()["patterns"] if each["id"] == "runtime_panic"]
    assert " in main." in pattern["episode"]["line"]
    assert ".go:" in pattern["episode"]["line"]


def test_frames_above_a_panic_are_its_handling():
    place = CrashLocation()
    for text in [
        "goroutine 7 [running]:",
        "runtime/debug.Stack()",
        "\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e",
        "yunion.io/x/onecloud/pkg/appsrv.recovered(0x1)",
        "\t/root/go/src/appsrv/workers.go:291 +0x5",
        "panic({0x1, 0x2})",
        "\t/usr/local/go/src/runtime/panic.go:785 +0x132",
        "yunion.io/x/onecloud/pkg/compute/models.(*SGuest).GetHost(0x0)",
        "\t/root/guests.go:1201 +0x25",
        "",
    ]:
        place.add_line(text)  # fmt: skip
    assert place.text == "in models.(*SGuest).GetHost (guests.go:1201)"


@given(st.lists(st.text(max_size=80) | st.sampled_from(["goroutine 1 [running]:", "a.b()", "\t/x/y.go:1 +0x1", ""])))
def test_any_lines_after_a_crash_are_bounded(texts):
    place = CrashLocation()
    for text in texts:
        if place.wanted:
            place.add_line(text)
    assert place.wanted >= 0
    assert len(place.frames) <= 2
    assert place.text.isprintable() or not place.text
