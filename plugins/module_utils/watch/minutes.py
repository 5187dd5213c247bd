# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many lines were written in each minute, and how many of them tell of trouble. Pure.

Lines are not taken apart for it: with stamps, two counts over the whole block tell whether all its lines are of the
minute before, and only where one begins is each line looked at. What is counted is exact all the same.
"""

from __future__ import annotations

import re
from typing import Any

from ..log_patterns import CRITICAL, INFO, WARNING
from . import times

MAX_MINUTES = 3000
_STAMPS = re.compile(rb"\n(?:(\d{4}-\d\d-\d\dT\d\d:\d\d):\d\d(?:\.\d{1,9})?(Z|[+-]\d\d:\d\d))?")
_HEADERS = re.compile(
    rb"\n(?:(?:\x1b\[[0-9;]*m)?\[[a-zA-Z]{1,8}\]? "
    rb"(\d\d(?:\d\d)?[-/]?\d\d[-/]?\d\d \d\d:\d\d):\d\d(?: (Z|[+-]\d\d:?\d\d))?)?"
)
_COLUMNS = ("lines", INFO, WARNING, CRITICAL)


class Minutes:
    """Counts by minute (UTC). What comes after MAX_MINUTES different ones is counted, but not by minute."""

    def __init__(self, stamped: bool) -> None:
        self._stamped = stamped
        self._expression = _STAMPS if stamped else _HEADERS
        self._current = b""  # as it stands in the log
        self._minute = ""
        self._counts: dict[str, list[int]] = {}
        self.left_out = 0

    def add_lines(self, data: bytes, start: int, end: int, lines: int) -> None:
        """Count the whole lines data[start:end], so many of them; data[start - 1] is a newline."""
        if self._stamped and self._current and data.count(b"\n" + self._current, start - 1, end) == lines:
            self._add(0, lines)
            return
        count = 0
        for written, zone in self._expression.findall(data, start - 1, end - 1):
            if written and written != self._current:
                if count:
                    self._add(0, count)
                self._current, count = written, 0
                moment = times.date_in(written.decode() + ":00" + (zone.decode() or "Z"))[1]
                self._minute = times.utc(moment)[:16]
            count += 1
        self._add(0, count)

    def add_hit(self, moment: float | None, severity: str) -> None:
        """Count a hit in its own minute, or in that of the lines around it where it tells none."""
        self._add(_COLUMNS.index(severity), 1, times.utc(moment)[:16])

    def _add(self, column: int, number: int, minute: str = "") -> None:
        minute = minute or self._minute
        counts = self._counts.get(minute)
        if counts is None:
            if len(self._counts) >= MAX_MINUTES:
                self.left_out += number
                return
            counts = self._counts[minute] = [0] * len(_COLUMNS)
        counts[column] += number

    def document(self) -> list[dict[str, Any]]:
        """By time: {minute: "2026-11-23T00:22", lines, info, warning, critical}; minute "" for what came before any."""
        return [{"minute": minute, **dict(zip(_COLUMNS, self._counts[minute]))} for minute in sorted(self._counts)]
