# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Known words in a service's log: which, how often, of which worker pool, from when to when. Pure.

What a line says is told by watch/lines.py; here the lines of one window are counted, for the rules of an audit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..text import clean
from ..watch.lines import Found, find
from ..watch.patterns import load_patterns
from ..watch.redact import shown

MAX_SAMPLES = 3
MAX_POOLS = 50


@dataclass
class Words:
    """The finds of one window or, with add() called again, of several that follow one another."""

    counts: dict[str, int] = field(default_factory=dict)
    _times: dict[str, list[str]] = field(default_factory=dict)
    _pools: dict[str, dict[str, int]] = field(default_factory=dict)
    _samples: dict[str, list[str]] = field(default_factory=dict)
    _busy: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, hit: Found) -> None:
        name, pool = hit.pattern.id, clean(hit.groups.get("pool", ""), 100)
        self.counts[name] = self.counts.get(name, 0) + 1
        if hit.time:
            times = self._times.setdefault(name, [hit.time, hit.time])
            times[0], times[1] = min(times[0], hit.time), max(times[1], hit.time)
        pools = self._pools.setdefault(name, {})
        if pool and (pool in pools or len(pools) < MAX_POOLS):
            pools[pool] = pools.get(pool, 0) + 1
        samples = self._samples.setdefault(name, [])
        if len(samples) < MAX_SAMPLES:
            line = shown(hit.message)
            if line not in samples:
                samples.append(line)
        cycles = int(hit.groups.get("cycles", 0))
        if cycles and (pool in self._busy or len(self._busy) < MAX_POOLS):
            entry = self._busy.setdefault(pool, {"name": pool, "cycles_first": cycles, "cycles_max": 0})
            entry["cycles_last"], entry["last"] = cycles, hit.time
            entry["cycles_max"] = max(entry["cycles_max"], cycles)

    def as_dict(self) -> dict[str, Any]:
        """The parts "patterns" and "busy" of the document log of status.json."""
        patterns = []
        for name, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0])):
            times = self._times.get(name, ["", ""])
            pools = sorted(self._pools[name].items(), key=lambda item: (-item[1], item[0]))
            patterns.append(
                {
                    "id": name,
                    "count": count,
                    "first": times[0],
                    "last": times[1],
                    "pools": [{"name": pool, "count": number} for pool, number in pools],
                    "samples": self._samples[name],
                }
            )
        return {"patterns": patterns, "busy": [self._busy[pool] for pool in sorted(self._busy)]}


def log_document(data: bytes, seconds: int, truncated: bool) -> dict[str, Any]:
    """The document log of status.json for one window."""
    words = Words()
    for hit in find(data, load_patterns()):
        words.add(hit)
    return {"seconds": seconds, "bytes": len(data), "truncated": truncated, **words.as_dict()}
