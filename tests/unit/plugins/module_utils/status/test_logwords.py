# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.log_patterns import LOG_PATTERNS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.logwords import (
    Words,
    find,
    log_document,
    shown,
)
from hypothesis import given
from hypothesis import strategies as st

CALLER = "appsrv.(*SWorkerManager).Run(workers.go:266)"
# What the services print, line by line: the message's leading [X] is pulled out (yunion.io/x/log).
FORMS = {
    "late": "[warning 2026-11-23 00:22:28 {caller}]{message}\n",
    "early": "[warning 261123 00:22:28 {caller}]{message}\n",
    "terminal": "\x1b[0;33m[W 2026-11-23 00:22:28 {caller}]\x1b[0m{message}\n",
    "generics": "[warning 2026-11-23 00:22:28 pkg.(*Type[...]).Run(workers.go:266)]{message}\n",
    "inside a dump": "#\t0x453654[warning 2026-11-23 00:22:28 {caller}]{message}\n",
}
POOL = "HttpGetRequestWorkerManager"
# (pattern, message as it is printed behind the header, pool, cycles)
SAID = [
    ("queue_full", f"{POOL}: queue full, task dropped", POOL, 0),
    ("queue_full", f"\x1b[0;36m{POOL}:\x1b[0m queue full, task dropped", POOL, 0),
    ("queue_full", f" [{POOL}] queue full, task dropped", POOL, 0),
    ("queue_full", "(X)sync_worker: queue full, task dropped", "(X)sync_worker", 0),
    ("busy", f"{POOL}: BUSY activeWork 8 detachedWork 0 max 8 queue: 12", POOL, 0),
    ("stucking", " work [2026-11-23 00:22:28.1 +0000 UTC m=+5.1]GET /servers?limit=1 stucking for a while", "", 0),
    ("busy_cycles", f" WorkerManager {POOL} has been busy for 1923 cycles...", POOL, 1923),
    ("detached", " detach worker 3(1) due to reason timeout after 59.9s", "", 0),
    ("request_queue_full", " Send error Request queue is full", "", 0),
    ("process_timeout", " Send error request process timeout", "", 0),
    ("handler_panic", " WorkerManager exec callback error: runtime error", "", 0),
    ("queue_hook", " queueEmptyHook fail x", "", 0),
    ("task_panic", " Task GuestCreateTask PANIC on stage on_init: nil ", "", 0),
    ("task_stage_lost", " model server 1(2) not found??? ...", "", 0),
    ("local_task", " LocalTaskRun error: x", "", 0),
    ("delayed_task", " DelayTask panic: x", "", 0),
    ("cron_panic", " CronJob task Sync run error: x", "", 0),
    ("schema_not_in_sync", " database schema not in sync!", "", 0),
    ("db_connection", " exec sql error select 1: Error 1040: Too many connections", "", 0),
    ("db_lock", " Error 1213: Deadlock found when trying to get lock; try restarting transaction", "", 0),
    ("etcd_lease", " etcd keepalive failed", "", 0),
    ("etcd_watch", "etcd: GetServiceURL fail x, retry after 3 seconds", "", 0),
    ("lock_misuse", "!!!WARNING!!!: lock context of Background!", "", 0),
    ("cancel_queue_full", " ReloadCancelQueue is full, dropping task: resType=x", "", 0),
    ("host_init", " Host instance init error: x, wait 3 minutes to retry", "", 0),
    ("host_ping", " host ping failed x", "", 0),
    ("esxi_disks", " Waiting for esxi disks 3 disconnect !!!", "", 0),
    ("cannot_listen", " ListAndServer fail: x (cert= key=)", "", 0),
    ("planned_exit", " System is idle, no worker is busy, exitFlag is set, to exit ...", "", 0),
    ("user_agent", " Forbidden default handler request: /ping allow: x", "", 0),
]


def test_there_is_a_case_for_every_pattern():
    assert {case[0] for case in SAID} | {"runtime_fatal"} == {pattern.id for pattern in LOG_PATTERNS}
    assert len({pattern.id for pattern in LOG_PATTERNS}) == len(LOG_PATTERNS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("pattern", "message", "pool", "cycles"), SAID)
def test_each_pattern_is_found_as_it_is_really_printed(form, pattern, message, pool, cycles):
    line = FORMS[form].format(caller=CALLER, message=message)
    for data in (line, "before\n" + line + "after\n", line.rstrip("\n")):
        (hit,) = find(data.encode())
        assert (hit.pattern.id, hit.pool, hit.cycles) == (pattern, pool, cycles)
        assert hit.time == "2026-11-23T00:22:28"


def test_the_driver_and_the_runtime_have_lines_of_their_own():
    data = b"[mysql] 2026/11/22 16:08:10 packets.go:37: invalid connection\nfatal error: all goroutines are asleep!\n"
    assert [(hit.pattern.id, hit.time) for hit in find(data)] == [
        ("db_connection", "2026-11-22T16:08:10"),
        ("runtime_fatal", ""),
    ]


@pytest.mark.parametrize(
    "message",
    [
        " Send error bad name 'BUSY activeWork 1'",
        " user said: WorkerManager x has been busy for 9 cycles",
        " the road has been busy for hours",
        " CronJob task Sync done",
        " detach worker asked for",
        " a fatal error: or so",
    ],
)
def test_words_that_only_are_quoted_do_not_count(message):
    assert list(find(FORMS["late"].format(caller=CALLER, message=message).encode())) == []


def test_a_text_in_the_header_does_not_count():
    assert list(find(b"[warning 2026-11-23 00:22:28 a.Too many connections(x.go:1)] hello\n")) == []


def test_an_unknown_date_is_no_date_and_the_rest_is_read():
    data = FORMS["late"].replace("2026-11-23 00:22:28", "23.Nov 2026").format(caller=CALLER, message=SAID[0][1])
    (hit,) = find(data.encode())
    assert (hit.time, hit.pool) == ("", POOL)


def line(second: int, message: str) -> str:
    return f"[warning 2026-11-23 00:22:{second:02d} {CALLER}]{message}\n"


def test_the_document_counts_by_pattern_and_pool():
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
    }
    assert found["busy"] == [
        {"name": POOL, "cycles_first": 2, "cycles_last": 3, "cycles_max": 9, "last": "2026-11-23T00:22:59"}
    ]


def test_everything_kept_is_bounded():
    messages = [f"pool{number}: queue full, task dropped {'y' * 9000}" for number in range(500)]
    found = log_document("".join(line(1, message) for message in messages).encode(), 60, True)
    (pattern,) = found["patterns"]
    assert pattern["count"] == 500
    assert len(pattern["pools"]) == 50
    assert [len(sample) for sample in pattern["samples"]] == [240] * 3


@pytest.mark.parametrize(
    "said",
    ["x password=hunter2 y", 'params: {"password":"hunter2"}', "admin_Password: hunter2", "token = hunter2",
     "database dialect: mysql sqlStr: u:hunter2@tcp(1.2.3.4)", "secret_key:hunter2"],
)  # fmt: skip
def test_samples_hold_no_secrets(said):
    assert "hunter2" not in shown(said)
    assert "***" in shown(said)


def test_samples_are_printable():
    assert shown("a\x1b[2J\x00\u2028b") == "a?[2J??b"


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
def test_any_bytes_make_a_document(data):
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    found = log_document(raw, 1, False)
    json.dumps(found, ensure_ascii=False).encode()
    for pattern in found["patterns"]:
        assert 0 < pattern["count"] <= raw.count(b"\n") + 1
        assert all(not re.search("[\x00-\x1f]", sample) for sample in pattern["samples"])


@given(st.lists(st.sampled_from(SAID), max_size=12), st.integers(0, 12))
def test_windows_that_follow_one_another_add_up(said, cut):
    lines = [FORMS["late"].format(caller=CALLER, message=case[1]).encode() for case in said]
    words = Words()
    for part in (lines[:cut], lines[cut:]):
        for hit in find(b"".join(part)):
            words.add(hit)
    whole = log_document(b"".join(lines), 1, False)
    assert {key: whole[key] for key in ("patterns", "busy")} == words.as_dict()
    assert sum(words.counts.values()) == len(said)
