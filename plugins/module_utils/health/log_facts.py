# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts that rules need of a log besides its counts: meaning of patterns, and whether a problem has ended. Pure.

The watchdog of a service writes a line every 30 s while a pool is busy (cloudpods pkg/appsrv/workers_watchdog.go). A
problem has ended if its lines are missing for five rounds while the log goes on or the service answers.
"""

from __future__ import annotations

from typing import Any

from ..log_patterns import LOG_PATTERNS
from .elapsed import seconds_between

PAUSE_SECONDS = 150.0
CYCLE_SECONDS = 30.0
# Starts within this time are one crash loop: the kubelet resets its back-off after 10 minutes.
LOOP_SECONDS = 600.0
# A service with several ports logs one start more than once.
SAME_START_SECONDS = 10.0
# If a service has another time zone, the timestamps of its log are off by quarters of an hour.
_ZONE_STEP_SECONDS = 840.0

_PATTERNS = {pattern.id: pattern for pattern in LOG_PATTERNS}


def add_log_facts(log: dict[str, Any], workers: dict[str, Any] | None, answered_at: str) -> None:
    """Complete the document of a log.

    Patterns get `weight`, `meaning` and `episode`; busy pools get `seconds` and their current figures (null if not
    known). Both get `over_seconds`. The log gets the number of recent starts of the service.

    workers: the newest worker_stats. answered_at: a time soon after the log was read at which the service answered, or
    "" if it did not.
    """
    end = log["last"]
    for pattern in log["patterns"]:
        known = _PATTERNS.get(pattern["id"])
        pattern["weight"], pattern["meaning"] = (known.severity, known.meaning) if known else ("warning", pattern["id"])
        episode = pattern["episode"] or _all_lines(pattern)
        episode["over_seconds"] = _over_seconds(episode["last"], end, answered_at)
        episode["when"] = _when(episode)
        # Pools are counted over all lines, not by episode.
        whole = episode["count"] == pattern["count"]
        episode["pools"] = [pool["name"] for pool in pattern["pools"] if pool["name"]] if whole else []
        pattern["episode"] = episode
    now = {} if workers is None else {pool["name"]: pool for pool in workers["workers"]}
    for busy in log["busy"]:
        if busy["seconds"] is None:
            busy["seconds"] = CYCLE_SECONDS * busy["cycles_last"]
        busy["over_seconds"] = _over_seconds(busy["last"], end, answered_at)
        pool = now.get(busy["name"])
        for figure in ("active", "queue", "detached", "max"):
            busy[figure] = pool[figure] if pool else None
    log["starts_close"] = _starts_close(log["starts"])


def _all_lines(pattern: dict[str, Any]) -> dict[str, Any]:
    """Return an episode of all lines, for a document of an older release without episodes."""
    # The sample is one of the first lines. It must not be shown with the time of the last one.
    line = pattern["samples"][0] if pattern["samples"] else ""
    return {"count": pattern["count"], "first": pattern["first"], "last": pattern["last"], "line": line}


def _over_seconds(last: str, end: str, answered_at: str) -> float | None:
    """Return how many seconds ago a problem in the log ended, or None if it lasts or this is not known.

    A log that ends with the problem proves nothing, since the process may be frozen. An answer after that does.
    """
    passed = [seconds_between(last, end)] if end else []
    silent = seconds_between(end or last, answered_at) if answered_at else None
    if silent is not None and 0 <= silent < _ZONE_STEP_SECONDS:
        passed.append(seconds_between(last, answered_at))
    gap = max((one for one in passed if one is not None), default=0.0)
    return gap if gap > PAUSE_SECONDS else None


def _when(episode: dict[str, Any]) -> str:
    """Return the time of an episode for display, or "" if it is not known."""
    first, last = episode["first"], episode["last"]
    if not last:
        return ""
    if not first or first == last:
        return f"at {last}"
    date, _t, time = last.partition("T")
    return f"from {first} to {time if time and first.startswith(date + 'T') else last}"


def _starts_close(starts: list[str]) -> int:
    """Return the number of starts within LOOP_SECONDS before the last start, including it."""
    counted: list[str] = []
    for start in starts:
        if not counted or (seconds_between(counted[-1], start) or 0.0) >= SAME_START_SECONDS:
            counted.append(start)
    return sum(1 for start in counted if (seconds_between(start, counted[-1]) or 0.0) <= LOOP_SECONDS)
