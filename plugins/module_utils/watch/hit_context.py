# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few matching lines of each pattern, with the lines around them. Pure; bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Sequence

from ..log_patterns import STACK_LINES, LogPattern
from ..logtext import timestamps
from ..redact.redacted_line import redacted_line
from . import log_line
from .crash_location import CrashLocation
from .episodes import Episode, informativeness
from .pools import Occurrences

MAX_CONTEXTS = 3
MAX_POOLS = 50
MAX_TEXT = 300
MAX_SHORT = 140
BEFORE = 2


@dataclass
class HitContext:
    """A matching line with the lines around it, redacted. wanted: the number of lines after it still to read."""

    moment: float | None
    text: str
    before: list[str]
    wanted: int
    after: list[str] = field(default_factory=list)
    weight: int = 0

    def add_line(self, text: str) -> None:
        """Add the next line after the match."""
        self.wanted -= 1
        self.after.append(redacted_line(text, MAX_TEXT))

    def document(self) -> dict[str, Any]:
        return {"time": timestamps.utc(self.moment), "before": self.before, "line": self.text, "after": self.after}


@dataclass
class PatternCount:
    """Matches of one pattern: in all, and in its last episode."""

    pattern: LogPattern
    seen: Occurrences = field(default_factory=Occurrences)
    pools: dict[str, int] = field(default_factory=dict)
    contexts: list[HitContext] = field(default_factory=list)
    episode: Episode = field(init=False)
    crash: CrashLocation | None = None

    def __post_init__(self) -> None:
        self.episode = Episode(self.pattern)

    def add(self, found: log_line.LineMatch, pool: str, data: bytes, timestamped: bool) -> HitContext | None:
        """Count a match; return its context if it is kept, None otherwise."""
        self.seen.add(found.moment)
        if pool and (pool in self.pools or len(self.pools) < MAX_POOLS):
            self.pools[pool] = self.pools.get(pool, 0) + 1
        if not self._make_room(found, self.episode.add(found)):
            return None
        before = [_shown(line, timestamped) for line in log_line.lines_before(data, found.start, BEFORE)]
        text = _shown(data[found.start : found.end], timestamped, self.pattern.texts)
        context = HitContext(found.moment, text, before, self.pattern.after, weight=informativeness(found))
        self.contexts.append(context)
        return context

    def _make_room(self, found: log_line.LineMatch, better: bool) -> bool:
        """Return whether to keep a line's context: the first of all is kept, the others are of the last episode."""
        if len(self.contexts) < MAX_CONTEXTS:
            return True
        if self.episode.count == 1 and better:
            del self.contexts[1:]
            return True
        if better and informativeness(found) > min(context.weight for context in self.contexts[1:]):
            del self.contexts[-1]
            return True
        return False

    def begin_crash(self) -> CrashLocation | None:
        """Return the reader of the stack trace after the newest match; None if no stack trace follows this pattern."""
        if self.pattern.after < STACK_LINES:
            return None
        if self.crash is not None:
            self.crash.wanted = 0
        self.crash = CrashLocation()
        return self.crash

    @property
    def text(self) -> str:
        """The most informative line of the last episode, with the location of the crash if it is known."""
        where = f" {self.crash.text}" if self.crash is not None and self.crash.text else ""
        return self.episode.line() + where

    @property
    def short_text(self) -> str:
        """The most informative line of the last episode, short enough for a table."""
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
            "samples": [context.document() for context in self.contexts],
        }


class ContextCollector:
    """Passes the lines after a match to the contexts and crash locations that want them, across blocks."""

    def __init__(self, timestamped: bool) -> None:
        self._timestamped = timestamped
        self._open: list[HitContext | CrashLocation] = []

    def add(self, reader: HitContext | CrashLocation, data: bytes, at: int) -> None:
        """Add a reader of the lines that begin at data[at]."""
        if self._fill(reader, data, at):
            self._open.append(reader)

    def begin(self, data: bytes, start: int) -> None:
        """Pass the lines of a new block, data[start:], to the open readers."""
        self._open = [reader for reader in self._open if self._fill(reader, data, start)]

    def _fill(self, reader: HitContext | CrashLocation, data: bytes, at: int) -> bool:
        """Pass lines to a reader; return whether it wants more."""
        while reader.wanted and at < len(data):
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            reader.add_line(log_line.text_of(data[at:end], self._timestamped))
            at = end + 1
        return reader.wanted > 0


def _shown(line: bytes, timestamped: bool, around: Sequence[str] = ()) -> str:
    return redacted_line(log_line.text_of(line, timestamped), MAX_TEXT, around)
