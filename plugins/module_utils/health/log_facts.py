# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rules see of a log besides its counts: what a pattern means, whether a trouble is over, and for how long. Pure.

A service's watchdog writes every 30 s while a pool is busy, so a trouble of which nothing came for five rounds has
ended, if the log went on or the service answered meanwhile (cloudpods pkg/appsrv/workers_watchdog.go).
"""

from __future__ import annotations

from typing import Any

from ..log_patterns import LOG_PATTERNS
from .elapsed import seconds_between

PAUSE_SECONDS = 150.0
CYCLE_SECONDS = 30.0
# Starts of a service count as one loop within so many seconds: for so long the kubelet remembers a crash.
LOOP_SECONDS = 600.0
# A service with several ports says more than once that it listens.
SAME_START_SECONDS = 10.0
# Clocks of logs are off by whole quarters of an hour where the service has another time zone.
_ZONE_STEP_SECONDS = 840.0

_PATTERNS = {pattern.id: pattern for pattern in LOG_PATTERNS}


def add_log_facts(log: dict[str, Any], workers: dict[str, Any] | None, answered_at: str) -> None:
    """Complete the document of a log.

    Its patterns get `weight`, `meaning` and `episode`, its busy pools `seconds` and what they do now (null where that
    is not known), both whether they are over, and the log how often the service began anew.

    workers: the newest worker_stats. answered_at: a moment at which the service answered, soon after the log was read;
    "" where it did not.
    """
    end = log["last"]
    for pattern in log["patterns"]:
        known = _PATTERNS.get(pattern["id"])
        pattern["weight"], pattern["meaning"] = (known.severity, known.meaning) if known else ("warning", pattern["id"])
        episode = pattern["episode"] or _whole(pattern)
        episode["over_seconds"] = _over_seconds(episode["last"], end, answered_at)
        episode["when"] = _when(episode)
        # Pools are counted over all lines.
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


def _whole(pattern: dict[str, Any]) -> dict[str, Any]:
    """The episode of a document that has none: all lines, as far as is known of them."""
    # A sample is of the first lines: with the time of the last one it would be a sentence made of two truths.
    line = pattern["samples"][0] if pattern["samples"] else ""
    return {"count": pattern["count"], "first": pattern["first"], "last": pattern["last"], "line": line}


def _over_seconds(last: str, end: str, answered_at: str) -> float | None:
    """How many seconds ago a trouble of the log ended; null while it lasts, or where that is not known.

    A log that ends with the trouble proves nothing: the process may be frozen. Unless it answered after that.
    """
    passed = [seconds_between(last, end)] if end else []
    silent = seconds_between(end or last, answered_at) if answered_at else None
    if silent is not None and 0 <= silent < _ZONE_STEP_SECONDS:
        passed.append(seconds_between(last, answered_at))
    gap = max((one for one in passed if one is not None), default=0.0)
    return gap if gap > PAUSE_SECONDS else None


def _when(episode: dict[str, Any]) -> str:
    """The time of an episode, for people; "" where it is not known."""
    first, last = episode["first"], episode["last"]
    if not last:
        return ""
    if not first or first == last:
        return f"at {last}"
    date, _t, time = last.partition("T")
    return f"from {first} to {time if time and first.startswith(date + 'T') else last}"


def _starts_close(starts: list[str]) -> int:
    """How often the service began within LOOP_SECONDS before its last start."""
    counted: list[str] = []
    for start in starts:
        if not counted or (seconds_between(counted[-1], start) or 0.0) >= SAME_START_SECONDS:
            counted.append(start)
    return sum(1 for start in counted if (seconds_between(start, counted[-1]) or 0.0) <= LOOP_SECONDS)
