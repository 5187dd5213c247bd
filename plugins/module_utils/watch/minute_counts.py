# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts of lines and hits by minute. Pure.

For speed, lines are not parsed one by one. In a timestamped log, one count shows whether all lines of a block belong to
the last minute of the previous block. The counts are exact nevertheless.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from ..log_patterns import CRITICAL, INFO, WARNING
from ..logtext import timestamps

MAX_MINUTES = 3000
_STAMPS = re.compile(rf"\n(?:({timestamps.MINUTE})(?::\d\d(?:\.\d{{1,9}})?({timestamps.ZONE}))?)?".encode())
_HEADERS = re.compile(
    rb"\n(?:(?:\x1b\[[0-9;]*m)?\[[a-zA-Z]{1,8}\]? "
    rb"(\d\d(?:\d\d)?[-/]?\d\d[-/]?\d\d \d\d:\d\d):\d\d(?: (Z|[+-]\d\d:?\d\d))?)?"
)
_COLUMNS = ("lines", INFO, WARNING, CRITICAL)


class MinuteCounts:
    """Counts by minute (UTC). After MAX_MINUTES different minutes, further ones are only counted in left_out."""

    def __init__(self, timestamped: bool) -> None:
        self._expression = _STAMPS if timestamped else _HEADERS
        self._current = b""  # the current minute as in the log
        self._names: dict[bytes, str] = {b"": ""}  # minute as in the log -> minute in UTC
        self._counts: dict[str, list[int]] = {}
        self.left_out = 0

    def add_lines(self, data: bytes, start: int, end: int, lines: int) -> str | None:
        """Count the lines data[start:end], which are whole; data[start - 1] is a newline.

        lines: their number. Return the minute if all lines are known to be of one ("" if it is unknown), else None.
        """
        if self._current and data.count(b"\n" + self._current, start - 1, end - 1) == lines:
            minute = self._names.get(self._current)
            self._add(minute, 0, lines)
            return minute or ""
        dates = self._expression.findall(data, start - 1, end - 1)
        counts = Counter(dates)
        if (b"", b"") in counts:  # an undated line belongs to the minute of the line before it
            for written, zone in dates:
                self._count(written, zone, 1)
        else:
            for (written, zone), number in counts.items():
                self._count(written, zone, number)
            self._current = dates[-1][0]
        return None

    def _count(self, written: bytes, zone: bytes, number: int) -> None:
        if written:
            self._begin(written, zone)
        self._add(self._names.get(self._current), 0, number)

    def _begin(self, written: bytes, zone: bytes) -> None:
        self._current = written
        if written not in self._names and len(self._names) <= MAX_MINUTES:
            moment = timestamps.find_date(written.decode() + ":00" + (zone.decode() or "Z"))[1]
            self._names[written] = timestamps.utc_minute(moment)

    def add_hit(self, moment: float | None, severity: str) -> None:
        """Count a hit in its minute, or in minute "" if it has no time."""
        self._add(timestamps.utc_minute(moment), _COLUMNS.index(severity), 1)

    def _add(self, minute: str | None, column: int, number: int) -> None:
        counts = self._counts.get(minute or "")
        if minute is None or counts is None:
            if minute is None or len(self._counts) >= MAX_MINUTES:
                self.left_out += number
                return
            counts = self._counts[minute] = [0] * len(_COLUMNS)
        counts[column] += number

    def document(self) -> list[dict[str, Any]]:
        """Return {minute: "2026-11-23T00:22", lines, info, warning, critical} by time; "" holds undated lines."""
        return [{"minute": minute, **dict(zip(_COLUMNS, self._counts[minute]))} for minute in sorted(self._counts)]
