# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State of a worker pool, from its log lines."""

from __future__ import annotations

import pytest
from service_lines import TASK, busy_for, growing, stucking, waiting
from watch_helpers import the_pool, watch


def test_counts_cycles_anew_after_idle():
    cycles = the_pool(watch(*growing(2, 7), busy_for(400, 2), busy_for(430, 3)))["cycles"]
    assert (cycles["drained"], cycles["since_idle"], cycles["most"]) == (1, 2, 7)
    assert (cycles["first"]["cycles"], cycles["last"]["cycles"]) == (2, 3)
    assert [point["value"] for point in cycles["series"]["points"]] == [2, 3, 4, 5, 6, 7, 2, 3]


def test_merges_lines_about_one_task():
    watcher = watch(*(stucking(10 + number / 100, 5) for number in range(300)), stucking(14, 9, "GET /other"))
    tasks = the_pool(watcher, "")["oldest_tasks"]
    assert (tasks["count"], tasks["different"]) == (301, 2)
    first = tasks["tasks"][0]
    assert (first["task"], first["started"], first["count"]) == (TASK, "2026-11-23T00:00:05Z", 300)
    assert first["age"] == pytest.approx(7.99)


def test_derives_watchdog_interval_from_lines():
    assert watch(busy_for(1, 2)).document()["watchdog_seconds"] == 30
    assert watch(busy_for(1, 2), busy_for(3, 3), busy_for(5, 4)).document()["watchdog_seconds"] == 2


def test_thins_out_long_series():
    watcher = watch(*(waiting(number / 10, 10 + number % 40) for number in range(5000)))
    queue = the_pool(watcher)["waiting"]["queue"]
    assert queue["most"] == 49
    assert 60 <= len(queue["points"]) <= 120
    assert queue["stride"] == 64
