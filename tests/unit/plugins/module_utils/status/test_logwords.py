# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.log_patterns import LOG_PATTERNS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.logwords import (
    Words,
    log_document,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.lines import find
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from hypothesis import given
from hypothesis import strategies as st

CALLER = "appsrv.(*SWorkerManager).Run(workers.go:266)"
POOL = "HttpGetRequestWorkerManager"


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
def test_any_bytes_make_a_document(data):
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    found = log_document(raw, 1, False)
    json.dumps(found, ensure_ascii=False).encode()
    for pattern in found["patterns"]:
        assert 0 < pattern["count"] <= raw.count(b"\n") + 1
        assert all(not re.search("[\x00-\x1f]", sample) for sample in pattern["samples"])


SAID = [
    f"{POOL}: queue full, task dropped",
    "CronJobWorkers: queue full, task dropped",
    f" WorkerManager {POOL} has been busy for 1923 cycles...",
    " etcd keepalive failed",
]


@given(st.lists(st.sampled_from(SAID), max_size=12), st.integers(0, 12))
def test_windows_that_follow_one_another_add_up(said, cut):
    lines = [line(second, message).encode() for second, message in enumerate(said)]
    words = Words()
    for part in (lines[:cut], lines[cut:]):
        for hit in find(b"".join(part), load_patterns()):
            words.add(hit)
    whole = log_document(b"".join(lines), 1, False)
    assert {key: whole[key] for key in ("patterns", "busy")} == words.as_dict()
    assert sum(words.counts.values()) == len(said)
