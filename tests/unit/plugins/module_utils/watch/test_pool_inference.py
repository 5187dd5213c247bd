# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool that lines without a pool name are about."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from service_lines import POOL, busy_for, detached, waiting
from watch_helpers import SHIPPED, evidence

UNIT = Path(__file__).parents[3]


CRON = "CronJobWorkers"


def test_infers_the_pool_in_a_real_log():
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
def test_infers_a_pool_only_without_doubt(around, pool):
    lines = sorted([*around, *(detached(63, number) for number in range(9))])
    (text,) = [each for each in evidence(*lines, at=64) if "workers detached" in each]
    assert text.startswith(f"{pool} (inferred from the lines around): " if pool else "no pool named: ")
