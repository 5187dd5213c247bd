# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Known words in a service's log: which, how often, of which worker pool, from when to when. Pure.

A service in trouble writes thousands of lines a minute, so nothing is split into lines before a text is found: each
text is looked for in the whole window at once, and only the lines around the finds are taken apart.

A line is "[<level> <date> <time> <function>(<file>:<line>)] <message>" (yunion.io/x/log): the level is one letter, with
colours around, on a terminal; the date is 2026-01-02, or 260102 in releases up to 3.8 and before the options are read.
The MySQL driver writes "[mysql] 2026/01/02 03:04:05 …". No zone is in it: UTC, unless the service was told otherwise.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import Any, Iterator, Sequence

from ..log_patterns import LOG_PATTERNS, LogPattern
from .values import clean

MAX_LINE = 4096
MAX_SAMPLES = 3
MAX_SAMPLE = 240
MAX_POOLS = 50

_ANSI = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
_HEADER = re.compile(rb"\[(?:[a-zA-Z]{1,8} [^\n]*?:\d+\)\]|mysql\]) ?")
_DATE = re.compile(r"(\d\d(?:\d\d)?)[-/]?(\d\d)[-/]?(\d\d) (\d\d:\d\d:\d\d)")
# What follows such a word may be a secret: tasks print their parameters.
_SECRET = re.compile(r"(?i)(passw|secret|token|credential|private_?key|sqlstr|sql_connection)([^:=]{0,12}[:=]).*")


@dataclass(frozen=True)
class Hit:
    """One line that says a pattern's text. time: as "2026-01-02T03:04:05", "" where the line tells none."""

    pattern: LogPattern
    time: str
    message: str
    pool: str = ""
    cycles: int = 0


def find(data: bytes, patterns: Sequence[LogPattern] = LOG_PATTERNS) -> Iterator[Hit]:
    """The hits in a window of log, in the order in which they stand there; a line counts once for each pattern."""
    places: dict[tuple[int, int], int] = {}
    for number, pattern in enumerate(patterns):
        for text in pattern.texts:
            needle = text.encode()
            at = data.find(needle)
            while at >= 0:
                start = data.rfind(b"\n", max(0, at - MAX_LINE), at) + 1 or max(0, at - MAX_LINE)
                places.setdefault((start, number), at)
                at = data.find(needle, at + len(needle))
    for (start, number), at in sorted(places.items()):
        end = data.find(b"\n", at, start + MAX_LINE)
        hit = _hit(patterns[number], data[start : end if end >= 0 else start + MAX_LINE])
        if hit is not None:
            yield hit


def _hit(pattern: LogPattern, line: bytes) -> Hit | None:
    """What a line says; None when its message does not say it after all."""
    if b"\x1b" in line:
        line = _ANSI.sub(b"", line)
    header = _HEADER.search(line)
    message = (line[header.end() :] if header else line).decode("utf-8", "replace").rstrip()
    if not any(text in message for text in pattern.texts):
        return None
    groups: dict[str, Any] = {}
    if pattern.form:
        match = _form(pattern.form).match(message)
        if match is None:
            return None
        groups = match.groupdict()
    pool, cycles = clean(groups.get("pool") or "", 100), int(groups.get("cycles") or 0)
    # The MySQL driver's time stands behind its header.
    return Hit(pattern, _time_in(line[header.start() : header.end() + 20] if header else b""), message, pool, cycles)


@functools.lru_cache(maxsize=None)
def _form(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


def _time_in(header: bytes) -> str:
    match = _DATE.search(header.decode("ascii", "replace"))
    if match is None:
        return ""
    year, month, day, time = match.groups()
    return f"{year if len(year) == 4 else '20' + year}-{month}-{day}T{time}"


def shown(message: str) -> str:
    """A message for people: one printable line, without what may be a secret."""
    return clean(_SECRET.sub(r"\1\2***", message), MAX_SAMPLE)


@dataclass
class Words:
    """The finds of one window or, with add() called again, of several that follow one another."""

    counts: dict[str, int] = field(default_factory=dict)
    _times: dict[str, list[str]] = field(default_factory=dict)
    _pools: dict[str, dict[str, int]] = field(default_factory=dict)
    _samples: dict[str, list[str]] = field(default_factory=dict)
    _busy: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, hit: Hit) -> None:
        name = hit.pattern.id
        self.counts[name] = self.counts.get(name, 0) + 1
        if hit.time:
            times = self._times.setdefault(name, [hit.time, hit.time])
            times[0], times[1] = min(times[0], hit.time), max(times[1], hit.time)
        pools = self._pools.setdefault(name, {})
        if hit.pool and (hit.pool in pools or len(pools) < MAX_POOLS):
            pools[hit.pool] = pools.get(hit.pool, 0) + 1
        samples = self._samples.setdefault(name, [])
        if len(samples) < MAX_SAMPLES:
            line = shown(hit.message)
            if line not in samples:
                samples.append(line)
        if hit.cycles and (hit.pool in self._busy or len(self._busy) < MAX_POOLS):
            self._add_busy(hit)

    def _add_busy(self, hit: Hit) -> None:
        first = {"name": hit.pool, "cycles_first": hit.cycles, "cycles_max": 0}
        entry = self._busy.setdefault(hit.pool, first)
        entry["cycles_last"], entry["last"] = hit.cycles, hit.time
        entry["cycles_max"] = max(entry["cycles_max"], hit.cycles)

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
    for hit in find(data):
        words.add(hit)
    return {"seconds": seconds, "bytes": len(data), "truncated": truncated, **words.as_dict()}
