# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the lines of a log that match known patterns: how many, in which worker pools, from when to when. Pure.

watch/log_line.py matches the lines. This module counts them in one time window, for the rules of an audit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..redact.redacted_line import redacted_line
from ..sanitize import clean
from ..watch.hit_context import ContextCollector, PatternCount
from ..watch.log_line import LineMatch, find, last_time
from ..watch.patterns import load_patterns
from ..watch.pools import WATCHDOG_SECONDS, Pool

MAX_SAMPLES = 3
MAX_POOLS = 50
# Services that listen on two ports log two start lines for one start.
START_SECONDS = 10.0
MAX_STARTS = 50
STARTED = "started"
# Pattern -> method of Pool that takes its lines into the part "busy".
_BUSY = {"busy": Pool.busy, "busy_cycles": Pool.busy_cycles}


@dataclass
class _Pattern:
    """Totals of one pattern, and its last episode."""

    counted: PatternCount
    first: str = ""
    last: str = ""
    pools: dict[str, int] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)

    def add(self, hit: LineMatch, pool: str) -> None:
        self.counted.seen.add(hit.moment)
        self.counted.episode.add(hit)
        if hit.time:
            self.first = min(self.first or hit.time, hit.time)
            self.last = max(self.last, hit.time)
        if pool and (pool in self.pools or len(self.pools) < MAX_POOLS):
            self.pools[pool] = self.pools.get(pool, 0) + 1
        if len(self.samples) < MAX_SAMPLES:
            line = redacted_line(hit.message, around=hit.pattern.texts)
            if line not in self.samples:
                self.samples.append(line)

    def document(self) -> dict[str, Any]:
        pools = sorted(self.pools.items(), key=lambda item: (-item[1], item[0]))
        return {
            "id": self.counted.pattern.id,
            "count": self.counted.seen.count,
            "first": self.first,
            "last": self.last,
            "pools": [{"name": pool, "count": number} for pool, number in pools],
            "samples": self.samples,
            "episode": {**self.counted.episode.document(), "line": self.counted.text},
        }


@dataclass
class LogKeywords:
    """Matches in one window. Call add() again for windows that follow one another."""

    starts: list[str] = field(default_factory=list)
    _patterns: dict[str, _Pattern] = field(default_factory=dict)
    _pools: dict[str, Pool] = field(default_factory=dict)
    _last: dict[str, str] = field(default_factory=dict)
    _started: float | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of lines of each pattern, by its id."""
        return {name: each.counted.seen.count for name, each in self._patterns.items()}

    def add(self, hit: LineMatch) -> PatternCount:
        """Count a matching line."""
        pool = clean(hit.groups.get("pool", ""), 100)
        pattern = self._patterns.setdefault(hit.pattern.id, _Pattern(PatternCount(hit.pattern)))
        pattern.add(hit, pool)
        if hit.pattern.id == STARTED:
            self._start(hit)
        elif hit.pattern.id in _BUSY and (pool in self._pools or len(self._pools) < MAX_POOLS):
            _BUSY[hit.pattern.id](self._pools.setdefault(pool, Pool(pool)), hit.moment, hit.groups)
            self._last[pool] = hit.time or self._last.get(pool, "")
        return pattern.counted

    def _start(self, hit: LineMatch) -> None:
        known, moment = self._started, hit.moment
        self._started = moment
        if known is not None and moment is not None and abs(moment - known) <= START_SECONDS:
            return
        if len(self.starts) < MAX_STARTS:
            self.starts.append(hit.time)
        for pool in self._pools.values():
            pool.service_started(moment)

    def as_dict(self) -> dict[str, Any]:
        """Return the parts "patterns", "busy" and "starts" of the document `log` of status.json."""
        patterns = sorted(self._patterns.items(), key=lambda item: (-item[1].counted.seen.count, item[0]))
        busy = [_busy(self._pools[name], self._last[name]) for name in sorted(self._pools)]
        return {"patterns": [each.document() for _name, each in patterns], "busy": busy, "starts": self.starts}


def _busy(pool: Pool, last: str) -> dict[str, Any]:
    """Return the figures that watchdog lines and BUSY lines report about a pool; 0 without such lines."""
    cycles, queue = pool.cycles, pool.queue
    interval = WATCHDOG_SECONDS if cycles.interval is None else cycles.interval
    return {
        "name": pool.name,
        "cycles_first": cycles.opening,
        "cycles_last": cycles.last[1],
        "cycles_max": cycles.most,
        "last": last,
        "seconds": round(cycles.last[1] * interval),
        "queue_first": queue.first[1],
        "queue_last": queue.last[1],
        "queue_most": queue.series.most,
        "queue_reports": queue.reports,
    }


def log_document(data: bytes, seconds: int, truncated: bool) -> dict[str, Any]:
    """Return the document `log` of status.json for one window."""
    words, contexts = LogKeywords(), ContextCollector(timestamped=False)
    text = b"\n" + data  # the window begins with a whole line
    for hit in find(text, load_patterns(), 1):
        place = words.add(hit).begin_crash()
        if place is not None:
            contexts.add(place, text, hit.end + 1)
    lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    made = {"seconds": seconds, "bytes": len(data), "truncated": truncated, "lines": lines, "last": last_time(data)}
    return {**made, **words.as_dict()}
