# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of one instance, fed in any pieces: hits, verdict, document, bounded memory."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch import log_line
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.liveness import Liveness
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import OTHERS, LogWatcher, WatchLimits
from hypothesis import given, settings
from hypothesis import strategies as st
from service_lines import MESSAGES, POOL, access, busy_for, detached, dropped, growing, line, stucking, waiting
from watch_helpers import SHIPPED, START, peak_memory, the_pool, watch

from fuzzing import examples


def test_hits_have_pattern_pool_time_and_number():
    data = dropped(1.5) + busy_for(2, 7) + waiting(3, 44) + line(4, " hello")
    hits = LogWatcher(SHIPPED).feed(data)
    told = [(hit.pattern_id, hit.severity, hit.pool, hit.moment, hit.number) for hit in hits]
    assert told == [
        ("queue_full", "critical", POOL, START + 1.5, 0),
        ("busy_cycles", "info", POOL, START + 2, 7),
        ("busy", "warning", POOL, START + 3, 44),
    ]
    assert hits[0].text == f"{POOL}: queue full, task dropped"


def test_matches_the_last_line_on_flush():
    watcher = LogWatcher(SHIPPED)
    assert watcher.feed(dropped(1)[:-1]) == []
    assert [hit.pattern_id for hit in watcher.flush()] == ["queue_full"]
    assert watcher.flush() == []
    assert (watcher.lines, watcher.hits) == (1, 1)


def test_counts_lines_bytes_and_minutes():
    data = b"".join(access(second) for second in range(30, 150)) + dropped(151) + b"no stamp\n"
    document = watch(data).document()
    assert (document["lines"], document["bytes"], document["hits"]) == (122, len(data), 1)
    rows = [(row["minute"][-5:], row["lines"], row["critical"]) for row in document["minutes"]]
    assert rows == [("00:00", 30, 0), ("00:01", 60, 0), ("00:02", 32, 1)]
    assert (document["first"], document["last"]) == ("2026-11-23T00:00:30Z", "2026-11-23T00:02:31Z")


def test_restart_resets_pools_but_keeps_lost_tasks():
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
    """Return a goroutine dump of some hundred KB with log lines between its cells; no cell has a text of a pattern."""
    parts = [b"2026-11-23T00:00:01.000000001Z goroutine profile: total 3000\n"]
    rows = (b"1 @ 0x43a 0x43b\n", b"#", b"\t", b"0x453654", b"\tmain.(*T).wait+0x1a", b"\t\t/x/y.go:12\n", b"\n")
    for number in range(3000):
        for place, row in enumerate(rows):
            if number % 100 == 50 and place == number // 100 % len(rows):
                parts += [entries[number // 100 % len(entries)]]
            parts.append(row)
    return b"".join(parts)


def test_finds_lines_inside_a_dump_but_not_its_text():
    entry = dropped(2)[31:]
    labels = (
        b'# labels: {"a":"bad connection", "b":"X: queue full, task dropped"}\n#\t0x1\tbad connection+0x1\t/x.go:1\n'
    )
    data = labels + dump(entry) + labels
    assert len(data) > 100_000
    watcher = watch(data)
    assert {each["id"]: each["count"] for each in watcher.document()["patterns"]} == {"queue_full": 30}


# Measured on a region whose table was write-locked while 760 requests came, and then released.
J_BUSY = [waiting(3 + number / 1000, 11 + number) for number in range(40)]


J_STUCKING = [stucking(3.1 + number / 1000, 3) for number in range(590)]


J_DROPS = [dropped(3.7 + number / 1000) for number in range(112)]


J_WATCHDOG = [busy_for(65, 2)]


J_DETACHED = [detached(63 + number / 1000, number) for number in range(648)]


def test_verdicts_during_a_real_incident():
    watcher = watch(*(access(number / 10) for number in range(20)))
    assert watcher.verdict(START + 2).rule == "too_short"
    watcher.feed(b"".join(J_BUSY + J_STUCKING))
    assert watcher.verdict(START + 4).verdict == "busy"
    assert not watcher.is_certain(START + 4)
    # Tasks are dropped long before the first line of the watchdog.
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
    # After the release the watchdog is silent. Lost tasks stay lost.
    watcher.feed(access(299))
    released = watcher.verdict(START + 300)
    assert (released.verdict, released.over) == ("dropping", True)
    assert {part.name: (part.verdict, part.over) for part in released.parts}[""] == ("busy", True)


# Case -> (lines, second of the verdict, verdict, rule, over).
CASES = {
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


@pytest.mark.parametrize("case", CASES)
def test_verdict_rule_and_end_of_each_case(case):
    parts, second, verdict, rule, over = CASES[case]
    found = watch(*parts).verdict(START + second)
    assert (found.verdict, found.rule, found.over) == (verdict, rule, over)
    assert found.evidence


@pytest.mark.parametrize("case", CASES)
def test_gap_prevents_healthy_and_keeps_other_verdicts(case):
    parts, second, verdict, _rule, _over = CASES[case]
    watcher = watch(*parts)
    watcher.gap("stream_lost", "the stream ended", START, START + 1)
    found = watcher.verdict(START + second)
    assert found.verdict == ("unknown" if verdict == "healthy" else verdict)
    assert "not seen: the stream ended (stream_lost)" in found.evidence


OVER = [case for case in CASES if CASES[case][4]]


@pytest.mark.parametrize("until", [0, None])
@pytest.mark.parametrize("case", OVER)
def test_gap_does_not_count_as_silence(case, until):
    parts, second, _verdict, _rule, _over = CASES[case]
    watcher = watch(*parts)
    before = watch(*parts[:-1]).verdict()  # the last line is only a sign of life
    watcher.gap("stream_lost", "the stream ended", START + second - 1, None if until is None else START + second)
    found = watcher.verdict(START + second)
    assert (found.verdict, found.rule, found.over) == (before.verdict, before.rule, False)
    # After the gap, silence counts again.
    watcher.feed(access(second + 159))
    assert watcher.verdict(START + second + 160).over == (until is not None)


@pytest.mark.parametrize("case", CASES)
def test_only_final_verdicts_are_certain(case):
    parts, second, verdict, _rule, over = CASES[case]
    certain = watch(*parts).is_certain(START + second)
    assert certain == (verdict == "dropping" or (verdict == "stuck" and not over))


def test_unread_log_is_unknown():
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


def test_evidence_names_pools_and_patterns():
    watcher = watch(waiting(1, 20, "A"), dropped(2, "B"), line(3, " etcd keepalive failed"))
    assert watcher.verdict(START + 4).evidence == (
        "B: 1 task lost, at 2026-11-23T00:00:02Z",
        "A: no free worker of 8, up to 20 tasks waited",
        "etcd_lease: etcd keepalive failed (1 line, at 2026-11-23T00:00:03Z; the session with etcd broke)",
    )


EVERYTHING = [line(number, message) for number, (_id, message, _groups) in enumerate(MESSAGES)]


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
def test_result_does_not_depend_on_how_bytes_are_split(data, timestamped, cuts):
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
    log = (
        data[first_timestamped(data) :] if timestamped else data
    )  # text before the first timestamp is not part of the log
    assert whole.lines == log.count(b"\n") + (not log.endswith(b"\n") and bool(log))
    assert sum(row["lines"] for row in whole.document()["minutes"]) == whole.lines
    assert (
        sum(row[name] for row in whole.document()["minutes"] for name in ("info", "warning", "critical")) == whole.hits
    )


@given(st.lists(st.sampled_from(EVERYTHING) | st.binary(max_size=100), max_size=20).map(b"".join), st.booleans())
def test_any_bytes_give_a_printable_document(data, timestamped):
    watcher = LogWatcher(SHIPPED, timestamped)
    watcher.feed(data)
    watcher.flush()
    text = json.dumps(watcher.document(), ensure_ascii=False, allow_nan=False)
    text.encode()
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u202e]", text)


@pytest.mark.parametrize("longer", [-2, -1, 0, 1, 2, 40, log_line.LONGEST])
def test_shortens_long_lines_the_same_in_any_split(longer):
    begin = line(1, " Too many connections ")[:-1]
    rest = "".join(f"{number}," for number in range(log_line.LONGEST)).encode()
    data = begin + rest[: log_line.LONGEST + longer - len(begin)] + b"\n"
    whole, parts = LogWatcher(SHIPPED), LogWatcher(SHIPPED)
    (hit,) = whole.feed(data)
    assert (len(data) - 1 <= log_line.LONGEST) == (log_line.MIDDLE.decode() not in hit.message)
    assert [each for start in range(0, len(data), 999) for each in parts.feed(data[start : start + 999])] == [hit]
    assert parts.document() == whole.document()


def test_bounds_memory_of_an_endless_line():
    watcher, chunk = LogWatcher(SHIPPED), b"x" * (1 << 20)
    assert peak_memory(watcher, (chunk for _number in range(200))) < 8 << 20
    assert watcher.document()["unfinished_line_bytes"] == 200 << 20
    assert watcher.feed(b"\n" + dropped(1))[0].pattern_id == "queue_full"
    assert watcher.lines == 1  # the other line has no timestamp


def test_bounds_memory_of_endless_pools_and_tasks():
    watcher = LogWatcher(SHIPPED, limits=WatchLimits(pools=10))
    data = [
        dropped(number % 3600, f"pool{number}")
        + stucking(1, number % 3600, f"GET /{number}")
        + waiting(1, 12, f"q{number}")
        for number in range(2000)
    ]
    assert peak_memory(watcher, data) < 4 << 20
    document = watcher.document()
    assert len(document["pools"]) == 11
    assert sum(pool.get("lost", {"count": 0})["count"] for pool in document["pools"]) == 2000
    assert OTHERS in {pool["name"] for pool in document["pools"]}
    assert the_pool(watcher, OTHERS)["waiting"]["count"] > 1980
    oldest = the_pool(watcher, "")["oldest_tasks"]
    assert (oldest["count"], oldest["different"], len(oldest["tasks"])) == (2000, 2000, 20)
    assert watcher.verdict().verdict == "dropping"
    assert len(json.dumps(document)) < 1 << 20


# Answer of a kubelet, with status 200, if it cannot read a log (yunionio/cloudpods#16520).
NO_LOG = (
    b'failed to try resolving symlinks in path "/var/log/pods/onecloud_default-region_1f0e29fa/region/0.log": '
    b"lstat /var/log/pods/onecloud_default-region_1f0e29fa: no such file or directory"
)


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_text_without_timestamps_is_a_gap(ending):
    watcher = LogWatcher(load_patterns())
    watcher.opened(START)
    watcher.feed(NO_LOG + ending)
    watcher.flush()
    found = watcher.verdict(START + 123, liveness=Liveness(ping=True, ready=True))
    assert (found.verdict, found.rule) == ("unknown", "gap")
    assert "failed to try resolving symlinks" in found.evidence[0]
    assert found.evidence[0].endswith("(not_readable)")
    assert (watcher.lines, watcher.gaps) == (0, 1)
    assert "no such file or directory" in watcher.foreign


def test_reads_the_log_after_such_a_text():
    watcher = LogWatcher(load_patterns())
    watcher.opened(START)
    watcher.feed(NO_LOG + b"\n2025-11-29T01:00:01.000000000Z panic: x\n")
    assert (watcher.lines, watcher.hits, watcher.foreign) == (1, 1, "")
