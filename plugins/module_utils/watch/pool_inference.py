# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool that lines without a pool's name are about, where the lines around them leave no doubt. Pure.

"detach worker", "stucking for a while" and "Request queue is full" name no pool. Before more than 50 tasks wait, a pool
is said to be BUSY by its name; a queue that is full is named; and the watchdog names each pool that is not idle.
"""

from __future__ import annotations

from typing import Iterable

from .pools import WATCHDOG_SECONDS, Occurrences, Pool

# A request is detached a minute after it came (the default timeout), and the watchdog speaks every 30 s.
BEFORE_SECONDS = 60.0 + WATCHDOG_SECONDS
AFTER_SECONDS = 2.5 * WATCHDOG_SECONDS
# Pools that run no requests, so that no request of theirs can time out or be refused.
NO_REQUESTS = (
    "CronJobWorkers",
    "InformerWorkerManager",
    "LocalTaskWorkerManager",
    "LogClientWorkerManager",
    "TaskWorkerManager",
    "opslog_write_worker",
)


def infer(unnamed: Pool, pools: Iterable[Pool]) -> Pool | None:
    """Return the one pool that the lines without a name can be about; None where there is none, or more than one."""
    parts = (unnamed.tasks.seen, unnamed.detached, unnamed.refused)
    told = [(part.began, part.last) for part in parts if part.began is not None and part.last is not None]
    if not told:
        return None
    begin = min(first for first, _last in told) - BEFORE_SECONDS
    end = max(last for _first, last in told) + AFTER_SECONDS
    requests = unnamed.detached.count or unnamed.refused.count
    named = [pool for pool in pools if pool.name and not (requests and pool.name in NO_REQUESTS)]
    # That tasks wait says more than that something runs.
    waiting = [pool for pool in named if _within(pool.waiting, begin, end) or _within(pool.lost, begin, end)]
    found = waiting or [pool for pool in named if _within(pool.cycles.seen, begin, end)]
    return found[0] if len(found) == 1 else None


def _within(seen: Occurrences, begin: float, end: float) -> bool:
    return seen.began is not None and seen.last is not None and seen.began <= end and seen.last >= begin
