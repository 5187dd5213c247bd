# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last episode of each trouble: its count, times and text are of the same lines. Pure; bounded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..log_patterns import LogPattern
from ..logtext import timestamps
from ..redact.redacted_line import MAX_SHOWN, redacted_line
from .log_line import LineMatch
from .pools import EPISODE_SECONDS

# A number says which of many errors it is: "Error 1040: Too many connections" (MySQL), "(errno 111)".
_NUMBERED = re.compile(r"\b[Ee]rr(?:or|no):? \d{2,5}\b")


def telling(found: LineMatch) -> int:
    """Return how much a line says, to choose between those of one pattern: an error, and one with its number."""
    return 2 * (_NUMBERED.search(found.message) is not None) + found.is_error


@dataclass
class Episode:
    """The last run of lines of one pattern with no pause of more than EPISODE_SECONDS between two of them.

    count, first and last (seconds since 1970, None where no line tells its time), the times as the lines tell them, and
    the line are of the same lines. Of several lines that say as much, the newest one is kept.
    """

    pattern: LogPattern
    count: int = 0
    first: float | None = None
    last: float | None = None
    first_text: str = ""
    last_text: str = ""
    weight: int = -1
    _message: str = ""

    def add(self, found: LineMatch) -> bool:
        """Count a line; return whether it is worth more than the lines of its episode before it."""
        moment = found.moment
        if moment is not None and self.last is not None and abs(moment - self.last) > EPISODE_SECONDS:
            if moment < self.last:
                return False  # it is of an episode before this one, and comes late
            self.count, self.first, self.first_text, self.weight = 0, None, "", -1
        self.count += 1
        if moment is not None:
            if self.first is None or moment < self.first:
                self.first, self.first_text = moment, found.time or timestamps.utc(moment)[:-1]
            if self.last is None or moment >= self.last:
                self.last, self.last_text = moment, found.time or timestamps.utc(moment)[:-1]
        weight = telling(found)
        better = weight > self.weight
        if weight >= self.weight:
            self.weight, self._message = weight, found.message
        return better

    def line(self, length: int = MAX_SHOWN) -> str:
        """Return the line that says most, as it may be shown."""
        return redacted_line(self._message, length, self.pattern.texts)

    def document(self) -> dict[str, Any]:
        """For status.json: times as the lines tell them."""
        return {"count": self.count, "first": self.first_text, "last": self.last_text, "line": self.line()}
