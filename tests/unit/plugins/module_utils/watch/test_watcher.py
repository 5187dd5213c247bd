# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re
import tracemalloc

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch import log_line
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import OTHERS, LogWatcher, WatchLimits
from hypothesis import given, settings
from hypothesis import strategies as st
from said import CALLER, POOL, SAID, TASK, access, busy_for, detached, dropped, line, stucking, waiting

from fuzzing import examples

SHIPPED = load_patterns()
START = 1795392000.0  # 2026-11-23T00:00:00Z


def watch(*parts: bytes, timestamped: bool = True) -> LogWatcher:
    watcher = LogWatcher(SHIPPED, timestamped)
    watcher.opened(START)
    for part in parts:
        watcher.feed(part)
    return watcher


def the_pool(watcher: LogWatcher, name: str = POOL) -> dict:
    (pool,) = [pool for pool in watcher.document()["pools"] if pool["name"] == name]
    return pool


def test_hits_tell_what_triggers_captures():
    data = dropped(1.5) + busy_for(2, 7) + waiting(3, 44) + line(4, " hello")
    hits = LogWatcher(SHIPPED).feed(data)
    told = [(hit.pattern_id, hit.severity, hit.pool, hit.moment, hit.number) for hit in hits]
    assert told == [
        ("queue_full", "critical", POOL, START + 1.5, 0),
        ("busy_cycles", "info", POOL, START + 2, 7),
        ("busy", "warning", POOL, START + 3, 44),
    ]
    assert hits[0].text == f"{POOL}: queue full, task dropped"


def test_a_line_counts_when_it_is_whole_or_the_log_ends():
    watcher = LogWatcher(SHIPPED)
    assert watcher.feed(dropped(1)[:-1]) == []
    assert [hit.pattern_id for hit in watcher.flush()] == ["queue_full"]
    assert watcher.flush() == []
    assert (watcher.lines, watcher.hits) == (1, 1)


def test_the_document_counts_lines_bytes_and_minutes_exactly():
    data = b"".join(access(second) for second in range(30, 150)) + dropped(151) + b"no stamp\n"
    document = watch(data).document()
    assert (document["lines"], document["bytes"], document["hits"]) == (122, len(data), 1)
    rows = [(row["minute"][-5:], row["lines"], row["critical"]) for row in document["minutes"]]
    assert rows == [("00:00", 30, 0), ("00:01", 60, 0), ("00:02", 32, 1)]
    assert (document["first"], document["last"]) == ("2026-11-23T00:00:30Z", "2026-11-23T00:02:31Z")


def test_minutes_without_stamps_are_those_of_the_headers():
    data = b"before any\n" + b"".join(line(second, " hello\nand more", timestamped=False) for second in (1, 59, 61))
    data += dropped(62)[31:] + b"[mysql] 2026/11/23 00:05:01 packets.go:37: invalid connection\n"
    rows = watch(data, timestamped=False).document()["minutes"]
    assert [(row["minute"], row["lines"], row["critical"]) for row in rows] == [
        ("", 1, 0),
        ("2026-11-23T00:00", 4, 0),
        ("2026-11-23T00:01", 3, 1),
        ("2026-11-23T00:05", 1, 1),
    ]


def test_minutes_are_utc_whatever_the_zone_of_the_stamps():
    data = (
        b"".join(access(second) for second in (1, 61))
        .replace(b"2026-11-23T00", b"2026-11-23T05")
        .replace(b"Z [", b"+05:00 [")
    )
    assert [row["minute"][-5:] for row in watch(data).document()["minutes"]] == ["00:00", "00:01"]


def test_samples_have_the_lines_around_them_and_no_secrets():
    before = [line(1, f" before {number}") for number in range(3)]
    after = [line(3, f" after {number} password=hunter2") for number in range(3)]
    watcher = watch(*before, line(2, " etcd keepalive failed"), *after)
    (pattern,) = watcher.document()["patterns"]
    (sample,) = pattern["samples"]
    head = "[warning 2026-11-23 00:00:0"
    assert [text.rpartition("] ")[2] for text in sample["before"]] == ["before 1", "before 2"]
    assert sample["line"] == f"{head}2 {CALLER}] etcd keepalive failed"
    assert sample["after"] == [f"{head}3 {CALLER}] after {number} password=[redacted:password]" for number in (0, 1)]


def test_a_pool_that_was_idle_counts_anew():
    cycles = the_pool(watch(*growing(2, 7), busy_for(400, 2), busy_for(430, 3)))["cycles"]
    assert (cycles["drained"], cycles["since_idle"], cycles["most"]) == (1, 2, 7)
    assert (cycles["first"]["cycles"], cycles["last"]["cycles"]) == (2, 3)
    assert [point["value"] for point in cycles["series"]["points"]] == [2, 3, 4, 5, 6, 7, 2, 3]


def test_hundreds_of_lines_that_name_one_task_are_one_finding():
    watcher = watch(*(stucking(10 + number / 100, 5) for number in range(300)), stucking(14, 9, "GET /other"))
    tasks = the_pool(watcher, "")["oldest_tasks"]
    assert (tasks["count"], tasks["different"]) == (301, 2)
    first = tasks["tasks"][0]
    assert (first["task"], first["started"], first["count"]) == (TASK, "2026-11-23T00:00:05Z", 300)
    assert first["age"] == pytest.approx(7.99)


def test_the_interval_of_the_watchdog_is_taken_from_its_lines():
    assert watch(busy_for(1, 2)).document()["watchdog_seconds"] == 30
    assert watch(busy_for(1, 2), busy_for(3, 3), busy_for(5, 4)).document()["watchdog_seconds"] == 2


def test_another_container_begins_anew_and_what_was_lost_stays_lost():
    watcher = watch(dropped(1), *(busy_for(30 * number, number) for number in range(9, 12)), stucking(300, 1))
    watcher.container_changed("containerd://b", 1, START + 301)
    watcher.feed(busy_for(360, 2))
    pool = the_pool(watcher)
    assert pool["lost"]["count"] == 1
    assert (pool["cycles"]["since_idle"], pool["cycles"]["drained"]) == (1, 0)
    assert the_pool(watcher, "")["oldest_tasks"]["tasks"] == []
    assert watcher.document()["containers"] == [
        {"id": "containerd://b", "restarts": 1, "since": "2026-11-23T00:05:01Z"}
    ]


def first_timestamped(data: bytes) -> int:
    match = re.search(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", data, re.MULTILINE)
    return match.start() if match else len(data)


def dump(*entries: bytes) -> bytes:
    """A goroutine dump of some hundred KB into which log lines are written, cell by cell; no cell says a text."""
    parts = [b"2026-11-23T00:00:01.000000001Z goroutine profile: total 3000\n"]
    rows = (b"1 @ 0x43a 0x43b\n", b"#", b"\t", b"0x453654", b"\tmain.(*T).wait+0x1a", b"\t\t/x/y.go:12\n", b"\n")
    for number in range(3000):
        for place, row in enumerate(rows):
            if number % 100 == 50 and place == number // 100 % len(rows):
                parts += [entries[number // 100 % len(entries)]]
            parts.append(row)
    return b"".join(parts)


def test_a_dump_is_no_hit_and_hides_none():
    entry = dropped(2)[31:]
    labels = (
        b'# labels: {"a":"bad connection", "b":"X: queue full, task dropped"}\n#\t0x1\tbad connection+0x1\t/x.go:1\n'
    )
    data = labels + dump(entry) + labels
    assert len(data) > 100_000
    watcher = watch(data)
    assert {each["id"]: each["count"] for each in watcher.document()["patterns"]} == {"queue_full": 30}


# Facts J: a region whose table is write-locked while 760 requests come, then released. Seconds after its start.
J_BUSY = [waiting(3 + number / 1000, 11 + number) for number in range(40)]
J_STUCKING = [stucking(3.1 + number / 1000, 3) for number in range(590)]
J_DROPS = [dropped(3.7 + number / 1000) for number in range(112)]
J_WATCHDOG = [busy_for(65, 2)]
J_DETACHED = [detached(63 + number / 1000, number) for number in range(648)]


def test_the_sequence_of_a_real_region_in_real_trouble():
    watcher = watch(*(access(number / 10) for number in range(20)))
    assert watcher.verdict(START + 2).rule == "too_short"
    watcher.feed(b"".join(J_BUSY + J_STUCKING))
    assert watcher.verdict(START + 4).verdict == "busy"
    assert not watcher.is_certain(START + 4)
    # The drops come long before the watchdog speaks.
    watcher.feed(b"".join(J_DROPS))
    found = watcher.verdict(START + 5)
    assert (found.verdict, found.rule) == ("dropping", "tasks_lost")
    assert watcher.is_certain(START + 5)
    assert "112 tasks lost" in found.evidence[0]
    assert sum("oldest" in text for text in found.evidence) == 1
    watcher.feed(b"".join(J_DETACHED + J_WATCHDOG))
    pools = {part.name: part for part in watcher.verdict(START + 70).parts}
    assert {name: part.verdict for name, part in pools.items()} == {POOL: "dropping", "": "stuck"}
    assert pools[""].rule == "workers_detached"
    assert the_pool(watcher, "")["detached"] == {
        "count": 648,
        "first": "2026-11-23T00:01:03Z",
        "last": "2026-11-23T00:01:03Z",
        "reasons": {"timeout": 648},
        "longest": 60.01,
    }
    # Released: the watchdog has nothing to say any more. What was lost stays lost.
    watcher.feed(access(299))
    released = watcher.verdict(START + 300)
    assert (released.verdict, released.over) == ("dropping", True)
    assert {part.name: (part.verdict, part.over) for part in released.parts}[""] == ("busy", True)


def growing(first: int, last: int, step: float = 30) -> list[bytes]:
    return [busy_for(step * (number - first), number) for number in range(first, last + 1)]


# (what is fed, the second at which is asked, verdict, rule, over)
VERDICTS = {
    "nothing bad": ([access(1), access(100)], 120, "healthy", "quiet", False),
    "silent": ([], 60, "unknown", "no_sign_of_life", False),
    "silent after a line": ([access(1), access(59)], 120, "unknown", "no_sign_of_life", False),
    "too short": ([access(1)], 59, "unknown", "too_short", False),
    "a trouble that is over": ([line(1, " etcd keepalive failed"), access(299)], 300, "busy", "trouble", True),
    "only information": ([line(1, " exitFlag is set, to exit", "info"), access(80)], 90, "healthy", "quiet", False),
    "a warning": ([line(1, " Waiting for esxi disks 3"), access(80)], 90, "healthy", "quiet", False),
    "a trouble that is not about a pool": ([line(1, " etcd keepalive failed")], 90, "busy", "trouble", False),
    "one task lost": ([dropped(1)], 3, "dropping", "tasks_lost", False),
    "one task lost long ago": ([dropped(1), access(299)], 300, "dropping", "tasks_lost", True),
    "a client sent away": ([line(1, " Send error Request queue is full")], 2, "dropping", "requests_refused", False),
    "the scheduler drops": ([line(1, " ReloadCancelQueue is full, dropping task")], 2, "dropping", "tasks_lost", False),
    "waited, and silent since": ([waiting(1, 12)], 100, "busy", "tasks_wait", False),
    "waiting": ([waiting(1, 12)], 2, "busy", "tasks_wait", False),
    "waited": ([waiting(1, 12), access(99)], 100, "busy", "tasks_wait", True),
    "grows to nine": (growing(2, 9), 215, "busy", "tasks_wait", False),
    "grows to ten": (growing(2, 10), 245, "stuck", "cycles_grow", False),
    "grew to ten, then idle": ([*growing(2, 10), access(329)], 330, "busy", "cycles_grow", True),
    "one report of 59 minutes": ([busy_for(1, 118)], 5, "busy", "tasks_wait", False),
    "one report of an hour": ([busy_for(1, 120)], 5, "stuck", "busy_for_hours", False),
    "one report of an hour, then idle": ([busy_for(1, 120), access(99)], 100, "busy", "busy_for_hours", True),
    "grew, idle, grows again": ([*growing(2, 12), busy_for(400, 2)], 402, "busy", "tasks_wait", False),
    "a high number, idle, a high number": ([busy_for(1, 15), busy_for(400, 11)], 401, "busy", "tasks_wait", False),
    "grows fast where the watchdog is fast": (growing(2, 10, 1), 9, "stuck", "cycles_grow", False),
    "idle soon where the watchdog is fast": ([*growing(2, 10, 1), access(12)], 12, "busy", "cycles_grow", True),
    "silent for as long as a line may be on its way": (
        [*growing(2, 10, 0.2), access(3.5)], 4, "stuck", "cycles_grow", False,
    ),
    "the oldest task for 59 s": ([stucking(64, 5)], 65, "busy", "tasks_wait", False),
    "the oldest task for 60 s": ([stucking(65, 5)], 66, "stuck", "oldest_task", False),
    "named for 60 s": ([stucking(5, 5), stucking(65, 5)], 66, "stuck", "oldest_task", False),
    "another is the oldest by now": ([stucking(65, 5), stucking(80, 79, "B")], 81, "busy", "tasks_wait", False),
    "the oldest task, not any more": ([stucking(65, 5), access(199)], 200, "busy", "oldest_task", True),
    "the oldest task, and the watchdog goes on": (
        [stucking(65, 5), busy_for(170, 5)], 200, "stuck", "oldest_task", False,
    ),
    "a task lost, and the watchdog goes on": ([dropped(1), busy_for(90, 3)], 110, "dropping", "tasks_lost", False),
    "the oldest task, and the pool is busy anew": (
        [stucking(65, 5), busy_for(300, 2)], 310, "busy", "tasks_wait", False,
    ),
    "seven detached": ([detached(1, number) for number in range(7)], 2, "busy", "tasks_wait", False),
    "eight detached": ([detached(1, number) for number in range(8)], 2, "stuck", "workers_detached", False),
}  # fmt: skip


@pytest.mark.parametrize("case", VERDICTS)
def test_verdicts(case):
    parts, second, verdict, rule, over = VERDICTS[case]
    found = watch(*parts).verdict(START + second)
    assert (found.verdict, found.rule, found.over) == (verdict, rule, over)
    assert found.evidence


@pytest.mark.parametrize("case", VERDICTS)
def test_a_gap_makes_nothing_healthy_and_takes_nothing_back(case):
    parts, second, verdict, _rule, _over = VERDICTS[case]
    watcher = watch(*parts)
    watcher.gap("stream_lost", "the stream ended", START, START + 1)
    found = watcher.verdict(START + second)
    assert found.verdict == ("unknown" if verdict == "healthy" else verdict)
    assert "not seen: the stream ended (stream_lost)" in found.evidence


OVER = [case for case in VERDICTS if VERDICTS[case][4]]


@pytest.mark.parametrize("until", [0, None])
@pytest.mark.parametrize("case", OVER)
def test_what_was_not_seen_was_not_silent(case, until):
    parts, second, _verdict, _rule, _over = VERDICTS[case]
    watcher = watch(*parts)
    before = watch(*parts[:-1]).verdict()  # the last line only shows that the service lives
    watcher.gap("stream_lost", "the stream ended", START + second - 1, None if until is None else START + second)
    found = watcher.verdict(START + second)
    assert (found.verdict, found.rule, found.over) == (before.verdict, before.rule, False)
    # Once it is seen again, silence counts from there.
    watcher.feed(access(second + 159))
    assert watcher.verdict(START + second + 160).over == (until is not None)


@pytest.mark.parametrize("case", VERDICTS)
def test_only_what_more_watching_cannot_better_is_certain(case):
    parts, second, verdict, _rule, over = VERDICTS[case]
    certain = watch(*parts).is_certain(START + second)
    assert certain == (verdict == "dropping" or (verdict == "stuck" and not over))


def test_nothing_read_is_unknown():
    assert LogWatcher(SHIPPED).verdict(START).rule == "not_read"
    empty = LogWatcher(SHIPPED)
    empty.opened(START, is_empty=True)
    assert (empty.verdict(START + 600).verdict, empty.verdict(START + 600).rule) == ("unknown", "nothing_written")
    empty.feed(access(599))
    assert empty.verdict(START + 600).rule == "quiet"
    watcher = LogWatcher(SHIPPED)
    watcher.gap("not_readable", "the container has no log\x1b[2J")
    found = watcher.verdict(START + 1000)
    assert (found.verdict, found.rule) == ("unknown", "not_read")
    assert found.evidence[-1] == "not seen: the container has no log?[2J (not_readable)"
    with pytest.raises(ValueError, match="'lunch' is not a kind of gap"):
        watcher.gap("lunch", "")


def test_the_evidence_names_pools_and_other_troubles():
    watcher = watch(waiting(1, 20, "A"), dropped(2, "B"), line(3, " etcd keepalive failed"))
    assert watcher.verdict(START + 4).evidence == (
        "B: 1 task lost, at 2026-11-23T00:00:02Z",
        "A: no free worker of 8, up to 20 tasks waited",
        "etcd_lease: etcd keepalive failed (1 line, at 2026-11-23T00:00:03Z; the session with etcd broke)",
    )


EVERYTHING = [line(number, message) for number, (_id, message, _groups) in enumerate(SAID)]
EVERYTHING += growing(2, 4) + J_BUSY[:3] + J_STUCKING[:3] + J_DETACHED[:2]
EVERYTHING += [access(7), b"no stamp\n", b"\n", b"fatal error: x\n", b"2026-11-23T01:01:01Z\n", b"# labels: x\n"]
EVERYTHING += [line(61, " work [2026-11-23 00:00:05 +0000 UTC]Task {\n  x\n} stucking for a while")]
EVERYTHING += [
    line(62, " x" * (log_line.LONGEST // 2 + 7) + " Too many connections"),
    b"x" * (log_line.LONGEST + 1) + b"\n",
]
EVERYTHING += [line(63, " Too many connections " + "y" * size) for size in (log_line.LONGEST - 110, log_line.LONGEST)]
EVERYTHING += [dump(dropped(2)[31:])[:3000]]


@settings(max_examples=examples(200))
@given(
    st.lists(st.sampled_from(EVERYTHING) | st.binary(max_size=30), max_size=30).map(b"".join),
    st.booleans(),
    st.lists(st.integers(0, 10**6), max_size=20),
)
def test_how_the_bytes_are_cut_changes_nothing(data, timestamped, cuts):
    whole, parts = LogWatcher(SHIPPED, timestamped), LogWatcher(SHIPPED, timestamped)
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    expected = whole.feed(data)
    got = [
        hit
        for begin, end in zip([0, *places], [*places, len(data)], strict=False)
        for hit in parts.feed(data[begin:end])
    ]
    assert got == expected
    assert parts.document() == whole.document()
    assert parts.flush() == whole.flush()
    assert parts.document() == whole.document()
    log = data[first_timestamped(data) :] if timestamped else data  # what comes before any stamp is no log
    assert whole.lines == log.count(b"\n") + (not log.endswith(b"\n") and bool(log))
    assert sum(row["lines"] for row in whole.document()["minutes"]) == whole.lines
    assert (
        sum(row[name] for row in whole.document()["minutes"] for name in ("info", "warning", "critical")) == whole.hits
    )


@given(st.lists(st.sampled_from(EVERYTHING) | st.binary(max_size=100), max_size=20).map(b"".join), st.booleans())
def test_any_bytes_make_a_printable_document(data, timestamped):
    watcher = LogWatcher(SHIPPED, timestamped)
    watcher.feed(data)
    watcher.flush()
    text = json.dumps(watcher.document(), ensure_ascii=False, allow_nan=False)
    text.encode()
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u202e]", text)


@pytest.mark.parametrize("longer", [-2, -1, 0, 1, 2, 40, log_line.LONGEST])
def test_a_long_line_is_the_same_in_one_piece_and_in_many(longer):
    begin = line(1, " Too many connections ")[:-1]
    rest = "".join(f"{number}," for number in range(log_line.LONGEST)).encode()
    data = begin + rest[: log_line.LONGEST + longer - len(begin)] + b"\n"
    whole, parts = LogWatcher(SHIPPED), LogWatcher(SHIPPED)
    (hit,) = whole.feed(data)
    assert (len(data) - 1 <= log_line.LONGEST) == (log_line.MIDDLE.decode() not in hit.message)
    assert [each for start in range(0, len(data), 999) for each in parts.feed(data[start : start + 999])] == [hit]
    assert parts.document() == whole.document()


def memory(watcher: LogWatcher, feeds) -> int:
    """The most bytes that the watcher took while it was fed."""
    tracemalloc.start()
    try:
        for data in feeds:
            watcher.feed(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_line_without_end_is_bounded():
    watcher, chunk = LogWatcher(SHIPPED), b"x" * (1 << 20)
    assert memory(watcher, (chunk for _number in range(200))) < 8 << 20
    assert watcher.document()["unfinished_line_bytes"] == 200 << 20
    assert watcher.feed(b"\n" + dropped(1))[0].pattern_id == "queue_full"
    assert watcher.lines == 1  # the other one has no stamp


def test_pools_tasks_and_minutes_without_end_are_bounded():
    watcher = LogWatcher(SHIPPED, limits=WatchLimits(pools=10))
    data = [
        dropped(number % 3600, f"pool{number}")
        + stucking(1, number % 3600, f"GET /{number}")
        + waiting(1, 12, f"q{number}")
        for number in range(2000)
    ]
    assert memory(watcher, data) < 4 << 20
    document = watcher.document()
    assert len(document["pools"]) == 11
    assert sum(pool.get("lost", {"count": 0})["count"] for pool in document["pools"]) == 2000
    assert OTHERS in {pool["name"] for pool in document["pools"]}
    assert the_pool(watcher, OTHERS)["waiting"]["count"] > 1980
    oldest = the_pool(watcher, "")["oldest_tasks"]
    assert (oldest["count"], oldest["different"], len(oldest["tasks"])) == (2000, 2000, 20)
    assert watcher.verdict().verdict == "dropping"
    assert len(json.dumps(document)) < 1 << 20


def test_minutes_without_end_are_counted_and_not_kept():
    watcher = LogWatcher(SHIPPED)
    days = [
        f"{year}-{month:02d}-{day:02d}T00"
        for year in range(1000, 1003)
        for month in range(1, 13)
        for day in range(1, 29)
    ]
    feeds = ["".join(f"{day}:{minute:02d}:00Z x\n" for minute in range(20)).encode() for day in days]
    assert memory(watcher, feeds) < 2 << 20
    document = watcher.document()
    assert len(document["minutes"]) == 3000
    assert document["left_out"]["minutes"] == len(days) * 20 - 3000


def test_a_pool_that_is_waiting_for_hours_is_thinned_out():
    watcher = watch(*(waiting(number / 10, 10 + number % 40) for number in range(5000)))
    queue = the_pool(watcher)["waiting"]["queue"]
    assert queue["most"] == 49
    assert 60 <= len(queue["points"]) <= 120
    assert queue["stride"] == 64


@pytest.mark.parametrize("broken", [b"2026-11-23T00:01", b"2026-11-23T00:01:99Z x", b"2026-11-23T00:01:0", b"x", b""])
def test_minutes_of_broken_stamps_do_not_depend_on_the_cuts(broken):
    data = access(59) + broken + b"\n" + access(61) + access(62)
    for cut in range(len(data)):
        assert watch(data[:cut], data[cut:]).document()["minutes"] == watch(data).document()["minutes"]
