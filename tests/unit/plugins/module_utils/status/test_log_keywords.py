# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.log_patterns import LOG_PATTERNS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.log_keywords import (
    LogKeywords,
    log_document,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.log_line import find
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from hypothesis import given
from hypothesis import strategies as st

CALLER = "appsrv.(*SWorkerManager).Run(workers.go:266)"
POOL = "HttpGetRequestWorkerManager"
REPORTS = Path(__file__).parents[3] / "fixtures" / "reports"


def line(second: int, message: str, level: str = "warning") -> str:
    minute, second = divmod(second, 60)
    return f"[{level} 2026-11-23 00:{22 + minute:02d}:{second:02d} {CALLER}]{message}\n"


def told(*lines: str) -> dict:
    return log_document("".join(lines).encode(), 600, False)


def pattern(document: dict, name: str) -> dict:
    (found,) = [each for each in document["patterns"] if each["id"] == name]
    return found


def busy(document: dict, name: str) -> dict:
    (found,) = [each for each in document["busy"] if each["name"] == name]
    return found


def test_counts_by_pattern_and_pool():
    log = "".join(
        [
            *(line(second, f"{POOL}: queue full, task dropped") for second in range(1, 6)),
            line(6, "CronJobWorkers: queue full, task dropped"),
            line(7, f" WorkerManager {POOL} has been busy for 2 cycles..."),
            line(37, f" WorkerManager {POOL} has been busy for 9 cycles..."),
            line(59, f" WorkerManager {POOL} has been busy for 3 cycles..."),
            line(8, " nothing"),
        ]
    )
    found = log_document(log.encode(), 600, False)
    assert (found["seconds"], found["bytes"], found["truncated"]) == (600, len(log), False)
    assert found["patterns"][0] == {
        "id": "queue_full",
        "count": 6,
        "first": "2026-11-23T00:22:01",
        "last": "2026-11-23T00:22:06",
        "pools": [{"name": POOL, "count": 5}, {"name": "CronJobWorkers", "count": 1}],
        "samples": [f"{POOL}: queue full, task dropped", "CronJobWorkers: queue full, task dropped"],
        "episode": {
            "count": 6,
            "first": "2026-11-23T00:22:01",
            "last": "2026-11-23T00:22:06",
            "line": "CronJobWorkers: queue full, task dropped",
        },
    }
    assert found["busy"] == [
        {
            "name": POOL,
            "cycles_first": 2,
            "cycles_last": 3,
            "cycles_max": 9,
            "last": "2026-11-23T00:22:59",
            "seconds": 13,  # its watchdog went from 2 to 9 cycles in 30 s
            "queue_first": 0,
            "queue_last": 0,
            "queue_most": 0,
            "queue_reports": 0,
        }
    ]
    assert (found["lines"], found["last"], found["starts"]) == (10, "2026-11-23T00:22:08", [])


def test_episode_begins_after_the_last_pause():
    old = [line(second, " exec sql error select 1: Error 1040: Too many connections", "error") for second in (1, 2, 3)]
    new = [line(500 + second, " driver: bad connection", "error") for second in (0, 100)]
    found = pattern(told(*old, *new), "db_connection")
    assert (found["count"], found["first"], found["last"]) == (5, "2026-11-23T00:22:01", "2026-11-23T00:32:00")
    assert found["episode"] == {
        "count": 2,
        "first": "2026-11-23T00:30:20",
        "last": "2026-11-23T00:32:00",
        "line": "driver: bad connection",
    }


def test_episode_shows_the_most_informative_line():
    lines = [
        line(1, " driver: bad connection", "error"),
        line(2, " exec sql error: Error 1040: Too many connections", "error"),
        line(3, " retry after invalid connection"),
    ]
    episode = pattern(told(*lines), "db_connection")["episode"]
    assert (episode["count"], episode["line"]) == (3, "exec sql error: Error 1040: Too many connections")


def test_shows_the_end_of_a_long_line():
    statement = " exec sql error " + "SELECT `t1`.`id`, " * 40 + "FROM `servers`: Error 1040: Too many connections"
    found = pattern(told(line(1, statement, "error")), "db_connection")
    for shown in (found["episode"]["line"], *found["samples"]):
        assert len(shown) <= 240
        assert shown.startswith("exec sql error SELECT")
        assert shown.endswith("Error 1040: Too many connections")


def test_queues_count_since_their_last_decrease():
    lines = [line(n, f"{POOL}: BUSY activeWork 4 detachedWork 0 max 4 queue: {queue}")
             for n, queue in enumerate([11, 40, 12, 13, 13, 20])]  # fmt: skip
    found = busy(told(*lines), POOL)
    assert [found[f"queue_{name}"] for name in ("first", "last", "most", "reports")] == [12, 20, 40, 4]
    assert (found["cycles_last"], found["seconds"], found["last"]) == (0, 0, "2026-11-23T00:22:05")


def test_start_resets_the_pools():
    lines = [
        line(1, f" WorkerManager {POOL} has been busy for 90 cycles..."),
        line(120, " Start listen on https://0.0.0.0:30500", "info"),
        line(121, " Start listen on https://0.0.0.0:30357", "info"),  # keystone has two ports
        line(160, " CronJobWorkers: BUSY activeWork 4 detachedWork 0 max 4 queue: 16"),
        line(170, " Start listen on https://0.0.0.0:30500", "info"),
    ]
    found = told(*lines)
    assert found["starts"] == ["2026-11-23T00:24:00", "2026-11-23T00:24:50"]
    assert (busy(found, POOL)["cycles_last"], busy(found, POOL)["cycles_max"]) == (0, 90)
    assert busy(found, "CronJobWorkers")["queue_last"] == 16  # it waits since before the service listens


# (words that the document of a log that users reported has to say)
@pytest.mark.parametrize(
    ("file", "name", "words"),
    [
        ("log-cron-11382-cycles.log", "busy_cycles", ["CronJobWorkers"]),
        ("log-queue-only-grows.log", "busy", ["opslog_write_worker", "1268"]),
        ("log-go-panic.log", "runtime_panic", ["panic", "SIGSEGV", "models.(*SGuest).GetHost (guests.go:1201)"]),
        ("log-fatal-recursive-locks.log", "service_fatal", ["Too many recursive locks", "server-"]),
    ],
)
def test_counts_logs_that_users_reported(file, name, words):
    found = pattern(log_document((REPORTS / file).read_bytes(), 600, False), name)
    assert found["last"]
    assert [word for word in words if word not in found["episode"]["line"]] == []


def test_reads_duration_and_queue_as_numbers():
    cron = busy(log_document((REPORTS / "log-cron-11382-cycles.log").read_bytes(), 600, False), "CronJobWorkers")
    assert cron["seconds"] == 11382 * 30
    queue = busy(log_document((REPORTS / "log-queue-only-grows.log").read_bytes(), 600, False), "opslog_write_worker")
    assert [queue[f"queue_{part}"] for part in ("first", "last", "reports")] == [1209, 1268, 60]


def test_planned_exit_is_not_fatal():
    said = " System is idle, no worker is busy, exitFlag is set, to exit ..."
    assert [each["id"] for each in told(line(1, said, "fatal"))["patterns"]] == ["planned_exit"]


def test_kept_data_is_bounded():
    messages = [f"pool{number}: queue full, task dropped {'y ' * 4500}" for number in range(500)]
    found = log_document("".join(line(1, message) for message in messages).encode(), 60, True)
    (pattern,) = found["patterns"]
    assert pattern["count"] == 500
    assert len(pattern["pools"]) == 50
    assert [len(sample) for sample in pattern["samples"]] == [240] * 3


PIECES = st.sampled_from(
    [text for pattern in LOG_PATTERNS for text in pattern.texts]
    + [
        "\n",
        "[",
        "]",
        ": ",
        "[warning 2026-11-23 00:22:28 a.b(c.go:1)]",
        "\x1b[0m",
        POOL,
        "\x00",
        "é",
        "WorkerManager ",
    ]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join) | st.binary(max_size=300))
def test_accepts_any_bytes(data):
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    found = log_document(raw, 1, False)
    json.dumps(found, ensure_ascii=False).encode()
    assert found["lines"] == len(raw.split(b"\n")) - (not raw or raw.endswith(b"\n"))
    for pattern in found["patterns"]:
        assert 0 < pattern["count"] <= raw.count(b"\n") + 1
        episode = pattern["episode"]
        assert 0 < episode["count"] <= pattern["count"]
        assert episode["first"] <= episode["last"]
        assert all(not re.search("[\x00-\x1f]", text) for text in [*pattern["samples"], episode["line"]])


SAID = [
    f"{POOL}: queue full, task dropped",
    "CronJobWorkers: queue full, task dropped",
    f" WorkerManager {POOL} has been busy for 1923 cycles...",
    " etcd keepalive failed",
]


@given(st.lists(st.sampled_from(SAID), max_size=12), st.integers(0, 12))
def test_consecutive_windows_add_up(said, cut):
    lines = [line(second, message).encode() for second, message in enumerate(said)]
    words = LogKeywords()
    for part in (lines[:cut], lines[cut:]):
        for hit in find(b"".join(part), load_patterns()):
            words.add(hit)
    whole = log_document(b"".join(lines), 1, False)
    assert {key: whole[key] for key in ("patterns", "busy", "starts")} == words.as_dict()
    assert sum(words.counts.values()) == len(said)
