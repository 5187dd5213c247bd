# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few of the lines that were found, with the lines around them, for people. Pure; bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..log_patterns import LogPattern
from . import lines, times
from .pools import Seen
from .redact import shown

MAX_SAMPLES = 3
MAX_POOLS = 50
MAX_TEXT = 300
BEFORE = 2


@dataclass
class Sample:
    """One line with those before and after it, as they may be shown. wanted: how many after it are still to come."""

    moment: float | None
    text: str
    before: list[str]
    wanted: int
    after: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {"time": times.utc(self.moment), "before": self.before, "line": self.text, "after": self.after}


@dataclass
class Counted:
    """What was seen of one pattern."""

    pattern: LogPattern
    seen: Seen = field(default_factory=Seen)
    pools: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def add(self, found: lines.Found, pool: str, data: bytes, stamped: bool) -> Sample | None:
        """Count it; the sample that is taken of it, where one is."""
        self.seen.add(found.moment)
        if pool and (pool in self.pools or len(self.pools) < MAX_POOLS):
            self.pools[pool] = self.pools.get(pool, 0) + 1
        if len(self.samples) >= MAX_SAMPLES:
            return None
        before = [_shown(line, stamped) for line in lines.lines_before(data, found.start, BEFORE)]
        text = _shown(data[found.start : found.end], stamped)
        sample = Sample(found.moment, text, before, self.pattern.after)
        self.samples.append(sample)
        return sample

    def document(self) -> dict[str, Any]:
        return {
            "id": self.pattern.id,
            "severity": self.pattern.severity,
            "meaning": self.pattern.meaning,
            **self.seen.document(),
            "pools": dict(sorted(self.pools.items(), key=lambda item: (-item[1], item[0]))),
            "samples": [sample.document() for sample in self.samples],
        }


class Contexts:
    """Gives samples the lines that come after them, also in later blocks."""

    def __init__(self, stamped: bool) -> None:
        self._stamped = stamped
        self._open: list[Sample] = []

    def add(self, sample: Sample, data: bytes, at: int) -> None:
        """The lines after it begin at data[at]."""
        if self._fill(sample, data, at):
            self._open.append(sample)

    def begin(self, data: bytes, start: int) -> None:
        """A new block of whole lines is data[start:]."""
        self._open = [sample for sample in self._open if self._fill(sample, data, start)]

    def _fill(self, sample: Sample, data: bytes, at: int) -> bool:
        """Take what there is; whether more is wanted."""
        while sample.wanted and at < len(data):
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            sample.after.append(_shown(data[at:end], self._stamped))
            sample.wanted -= 1
            at = end + 1
        return sample.wanted > 0


def _shown(line: bytes, stamped: bool) -> str:
    return shown(lines.text_of(line, stamped), MAX_TEXT)
