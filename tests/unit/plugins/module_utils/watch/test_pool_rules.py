# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules on worker pools: evidence, starts, growing queues."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.liveness import Liveness
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from service_lines import POOL, access, busy_for, detached, dropped, line, stucking, waiting
from watch_helpers import ANSWERS, START, evidence, watch

CRON = "CronJobWorkers"


def test_evidence_leaves_out_the_oldest_task_of_an_earlier_episode():
    old = [stucking(70 + number, 5, "GET /old") for number in range(9)]
    texts = evidence(*old, stucking(600, 590, "GET /new"), at=601)
    assert not any("/old" in text for text in texts)
    assert any("(1 line), the oldest: GET /new" in text for text in texts)


def test_evidence_has_recent_and_total_lost_tasks():
    first = evidence(*(dropped(second) for second in (1, 2, 3)), dropped(600), at=601)[0]
    assert first == f"{POOL}: 1 task lost, at 2026-11-23T00:10:00Z (4 since 2026-11-23T00:00:01Z)"


def test_evidence_of_present_trouble_leaves_out_ended_trouble():
    texts = evidence(waiting(1, 30), *(busy_for(30 * number, number) for number in range(15, 19)), at=545)
    assert not any("tasks waited" in text for text in texts)


def test_evidence_marks_ended_trouble():
    texts = evidence(waiting(1, 30), busy_for(61, 2), access(300), at=301)
    said = "no free worker of 8, up to 30 tasks waited; busy for 2 cycles (60 s)"
    assert texts == (f"{POOL}: {said}; over since 2026-11-23T00:01:01Z",)


def start(*parts: bytes) -> LogWatcher:
    return watch(line(1, " Start listen on https://0.0.0.0:30888", "info"), *parts)


# All cron jobs begin at once: 20 tasks for four workers, which are busy for ten minutes.
CRON_BURST = [waiting(2 + number / 100, 11 + number, CRON) for number in range(10)]


def cron_rounds(last: int) -> list[bytes]:
    return [busy_for(30 * number, number, CRON) for number in range(2, last + 1)]


def test_recognizes_a_start_by_its_log_line():
    found = start(*CRON_BURST, *cron_rounds(6)).verdict(START + 181, liveness=ANSWERS)
    assert (found.verdict, found.rule) == ("busy", "starts")
    assert found.evidence[0].startswith(f"{CRON}: started 3 min ago: ")


def test_start_evidence_has_the_draining_queue():
    found = start(*CRON_BURST, waiting(90, 14, CRON), *cron_rounds(3)).verdict(START + 121, liveness=ANSWERS)
    assert "started 2 min ago; the queue drains (20 -> 14)" in found.evidence[0]


@pytest.mark.parametrize(("rounds", "verdict"), [(12, "busy"), (19, "busy"), (22, "stuck")])
def test_start_ends_after_ten_minutes(rounds, verdict):
    found = start(*CRON_BURST, *cron_rounds(rounds)).verdict(START + 30 * rounds, liveness=ANSWERS)
    assert found.verdict == verdict


def test_recognizes_a_start_by_the_process_start_time():
    watcher = watch(*cron_rounds(12))
    assert watcher.verdict(START + 361, liveness=ANSWERS).verdict == "stuck"
    started = Liveness(ping=True, started=START - 10)
    assert watcher.verdict(START + 361, liveness=started).rule == "starts"


def test_recognizes_a_start_by_a_container_change():
    watcher = watch(access(1))
    watcher.container_changed("containerd://b", 1, START + 2)
    watcher.feed(b"".join(cron_rounds(12)))
    part = next(part for part in watcher.verdict(START + 361, liveness=ANSWERS).parts if part.name == CRON)
    assert (part.verdict, part.rule) == ("busy", "starts")


def test_start_excuses_only_waiting():
    lines = [*cron_rounds(6), *(detached(100, number) for number in range(9)), dropped(101)]
    assert start(*lines).verdict(START + 181, liveness=ANSWERS).verdict == "dropping"
    assert start(*lines[:-1]).verdict(START + 181, liveness=ANSWERS).verdict == "stuck"


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
def test_growing_queue_is_stuck(queue, seconds, rule):
    step = seconds / len(queue)
    found = watch(*(waiting(1 + number * step, size) for number, size in enumerate(queue)))
    assert found.verdict(START + seconds + 2, liveness=ANSWERS).rule == rule
