# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last episode of a pattern: count, times and text of the same lines. Pure; bounded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..log_patterns import LogPattern
from ..logtext import timestamps
from ..redact.redacted_line import MAX_SHOWN, redacted_line
from .log_line import LineMatch
from .pools import EPISODE_SECONDS

# An error number identifies the error: "Error 1040: Too many connections" (MySQL), "(errno 111)".
_NUMBERED = re.compile(r"\b[Ee]rr(?:or|no):? \d{2,5}\b")


def informativeness(found: LineMatch) -> int:
    """Rate a line among those of its pattern: an error number counts most, then the level error or worse."""
    return 2 * (_NUMBERED.search(found.message) is not None) + found.is_error


@dataclass
class Episode:
    """The last lines of one pattern without a pause of more than EPISODE_SECONDS between two of them.

    first, last: seconds since 1970, None if no line has a time. first_text, last_text: the times as the lines have
    them. The most informative line is kept; of equal ones, the newest.
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
        """Count a line; return whether it is more informative than the earlier lines of its episode."""
        moment = found.moment
        if moment is not None and self.last is not None and abs(moment - self.last) > EPISODE_SECONDS:
            if moment < self.last:
                return False  # a late line of an earlier episode
            self.count, self.first, self.first_text, self.weight = 0, None, "", -1
        self.count += 1
        if moment is not None:
            if self.first is None or moment < self.first:
                self.first, self.first_text = moment, found.time or timestamps.utc(moment)[:-1]
            if self.last is None or moment >= self.last:
                self.last, self.last_text = moment, found.time or timestamps.utc(moment)[:-1]
        weight = informativeness(found)
        better = weight > self.weight
        if weight >= self.weight:
            self.weight, self._message = weight, found.message
        return better

    def line(self, length: int = MAX_SHOWN) -> str:
        """Return the most informative line, redacted."""
        return redacted_line(self._message, length, self.pattern.texts)

    def document(self) -> dict[str, Any]:
        """Return the entry of status.json, with the times as the lines have them."""
        return {"count": self.count, "first": self.first_text, "last": self.last_text, "line": self.line()}
