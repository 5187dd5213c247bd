# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few of the lines that were found, with the lines around them, for people. Pure; bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Sequence

from ..log_patterns import STACK_LINES, LogPattern
from ..logtext import timestamps
from ..redact.redacted_line import redacted_line
from . import log_line
from .crash_location import CrashLocation
from .episodes import Episode, telling
from .pools import Occurrences

MAX_SAMPLES = 3
MAX_POOLS = 50
MAX_TEXT = 300
MAX_SHORT = 140
BEFORE = 2


@dataclass
class HitContext:
    """One line with those before and after it, as they may be shown. wanted: how many after it are still to come."""

    moment: float | None
    text: str
    before: list[str]
    wanted: int
    after: list[str] = field(default_factory=list)
    weight: int = 0

    def take(self, text: str) -> None:
        """Add the next line after it."""
        self.wanted -= 1
        self.after.append(redacted_line(text, MAX_TEXT))

    def document(self) -> dict[str, Any]:
        return {"time": timestamps.utc(self.moment), "before": self.before, "line": self.text, "after": self.after}


@dataclass
class PatternCount:
    """What was seen of one pattern: in all, and in its last episode."""

    pattern: LogPattern
    seen: Occurrences = field(default_factory=Occurrences)
    pools: dict[str, int] = field(default_factory=dict)
    samples: list[HitContext] = field(default_factory=list)
    episode: Episode = field(init=False)
    place: CrashLocation | None = None

    def __post_init__(self) -> None:
        self.episode = Episode(self.pattern)

    def add(self, found: log_line.LineMatch, pool: str, data: bytes, stamped: bool) -> HitContext | None:
        """Count it; the sample that is taken of it, where one is."""
        self.seen.add(found.moment)
        if pool and (pool in self.pools or len(self.pools) < MAX_POOLS):
            self.pools[pool] = self.pools.get(pool, 0) + 1
        if not self._makes_room(found, self.episode.add(found)):
            return None
        before = [_shown(line, stamped) for line in log_line.lines_before(data, found.start, BEFORE)]
        text = _shown(data[found.start : found.end], stamped, self.pattern.texts)
        sample = HitContext(found.moment, text, before, self.pattern.after, weight=telling(found))
        self.samples.append(sample)
        return sample

    def _makes_room(self, found: log_line.LineMatch, better: bool) -> bool:
        """Whether a sample is to be taken of this line. The first of all is kept, then those of the last episode."""
        if len(self.samples) < MAX_SAMPLES:
            return True
        if self.episode.count == 1 and better:
            del self.samples[1:]
            return True
        if better and telling(found) > min(sample.weight for sample in self.samples[1:]):
            del self.samples[-1]
            return True
        return False

    def opens_place(self) -> CrashLocation | None:
        """Return what reads the place of the crash out of the lines after the newest one, where a stack follows it."""
        if self.pattern.after < STACK_LINES:
            return None
        if self.place is not None:
            self.place.wanted = 0
        self.place = CrashLocation()
        return self.place

    @property
    def text(self) -> str:
        """The line of the last episode that says most, with the place of the code where it tells one."""
        where = f" {self.place.text}" if self.place is not None and self.place.text else ""
        return self.episode.line() + where

    @property
    def short_text(self) -> str:
        """The same line, short enough for a table."""
        return self.episode.line(MAX_SHORT)

    def document(self) -> dict[str, Any]:
        return {
            "id": self.pattern.id,
            "severity": self.pattern.severity,
            "meaning": self.pattern.meaning,
            **self.seen.document(),
            "episode": {
                "count": self.episode.count,
                "first": timestamps.utc(self.episode.first),
                "last": timestamps.utc(self.episode.last),
                "line": self.text,
            },
            "pools": dict(sorted(self.pools.items(), key=lambda item: (-item[1], item[0]))),
            "samples": [sample.document() for sample in self.samples],
        }


class ContextCollector:
    """Gives samples and places of crashes the lines that come after them, also in later blocks."""

    def __init__(self, stamped: bool) -> None:
        self._stamped = stamped
        self._open: list[HitContext | CrashLocation] = []

    def add(self, reader: HitContext | CrashLocation, data: bytes, at: int) -> None:
        """The lines after it begin at data[at]."""
        if self._fill(reader, data, at):
            self._open.append(reader)

    def begin(self, data: bytes, start: int) -> None:
        """A new block of whole lines is data[start:]."""
        self._open = [reader for reader in self._open if self._fill(reader, data, start)]

    def _fill(self, reader: HitContext | CrashLocation, data: bytes, at: int) -> bool:
        """Take what there is; whether more is wanted."""
        while reader.wanted and at < len(data):
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            reader.take(log_line.text_of(data[at:end], self._stamped))
            at = end + 1
        return reader.wanted > 0


def _shown(line: bytes, stamped: bool, around: Sequence[str] = ()) -> str:
    return redacted_line(log_line.text_of(line, stamped), MAX_TEXT, around)
