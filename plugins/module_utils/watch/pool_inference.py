# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inference of the pool that lines without a pool name are about. Pure.

"detach worker", "stucking for a while" and "Request queue is full" name no pool. The lines around them do: a pool is
logged as BUSY before more than 50 tasks wait, a full queue is named, and the watchdog names each pool that is not idle.
"""

from __future__ import annotations

from typing import Iterable

from .pools import WATCHDOG_SECONDS, Occurrences, Pool

# A request is detached one minute (the default timeout) after it arrived. The watchdog logs every 30 s.
BEFORE_SECONDS = 60.0 + WATCHDOG_SECONDS
AFTER_SECONDS = 2.5 * WATCHDOG_SECONDS
# Pools that run no requests, so no request in them can time out or be refused.
NO_REQUESTS = (
    "CronJobWorkers",
    "InformerWorkerManager",
    "LocalTaskWorkerManager",
    "LogClientWorkerManager",
    "TaskWorkerManager",
    "opslog_write_worker",
)


def infer(unnamed: Pool, pools: Iterable[Pool]) -> Pool | None:
    """Return the only pool that lines without a name can be about; None if there is none, or more than one."""
    parts = (unnamed.tasks.seen, unnamed.detached, unnamed.refused)
    spans = [(part.began, part.last) for part in parts if part.began is not None and part.last is not None]
    if not spans:
        return None
    begin = min(first for first, _last in spans) - BEFORE_SECONDS
    end = max(last for _first, last in spans) + AFTER_SECONDS
    requests = unnamed.detached.count or unnamed.refused.count
    named = [pool for pool in pools if pool.name and not (requests and pool.name in NO_REQUESTS)]
    # Waiting tasks are stronger evidence than a busy pool.
    waiting = [pool for pool in named if _within(pool.waiting, begin, end) or _within(pool.lost, begin, end)]
    found = waiting or [pool for pool in named if _within(pool.cycles.seen, begin, end)]
    return found[0] if len(found) == 1 else None


def _within(seen: Occurrences, begin: float, end: float) -> bool:
    return seen.began is not None and seen.last is not None and seen.began <= end and seen.last >= begin
