# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow requests in the request log of a service. Pure; bounded.

A line is "<host id> <status> <request id> <method> <url> (<address>) <n>ms", with two decimals (pkg/appsrv/appsrv.go,
ServeHTTP). /ping, /stats and the like are not logged. A healthy log costs one search for the end of slow lines.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field
from typing import Any

from ..logtext import timestamps
from ..redact.redacted_line import redacted_line
from ..text import duration

SLOW_MS = 500
# Requests are slow if at least MIN_SLOW of them, and this share, took SLOW_MS or longer within WINDOW_MINUTES.
WINDOW_MINUTES, MIN_SLOW, MIN_SHARE = 3, 5, 0.25
# A window is current until this many seconds after its last minute.
PRESENT_SECONDS = 60.0
MAX_MINUTES = 60
MAX_DURATIONS = 300
# The caller in the header marks a line of the request log.
CALLER = b".ServeHTTP(appsrv.go:"
_SLOW = re.compile(rb"ms\n(?:(?<=[5-9]\d\d\.\d\dms\n)|(?<=\d\d\d\d\.\d\dms\n))")
_REQUEST = re.compile(rb"\] ?\S{1,100} \d{3} \S{1,100} ([A-Z]{3,8} \S{1,8000}) \([^)]{0,200}\) (\d{1,12}\.\d\d)ms$")
# Image contents are streamed, so their duration depends on the client.
_STREAMS = re.compile(rb" /v\d/images/")


@dataclass(frozen=True)
class SlowRequests:
    """A finding on slow requests. count: the number of slow ones. over: it has ended."""

    text: str
    count: int
    over: bool


@dataclass
class _Minute:
    total: int = 0
    slow: int = 0
    durations: list[float] = field(default_factory=list)
    slowest: float = 0.0
    request: str = ""


class RequestCounts:
    """Counts of requests and slow requests by minute. The last MAX_MINUTES minutes are kept."""

    def __init__(self) -> None:
        self._minutes: dict[int, _Minute] = {}

    def add_minute(self, moment: float, total: int) -> None:
        """Add a number of requests to the minute of a moment."""
        self._minute(moment).total += total

    def add_slow(self, moment: float, line: bytes) -> None:
        """Add a line that slow_lines() found. It is already counted among the requests."""
        match = _REQUEST.search(line)
        if match is None or _STREAMS.search(match.group(1)):
            return
        minute, milliseconds = self._minute(moment), float(match.group(2))
        minute.slow += 1
        if len(minute.durations) < MAX_DURATIONS:
            minute.durations.append(milliseconds)
        if milliseconds > minute.slowest:
            minute.slowest, minute.request = milliseconds, match.group(1).decode("utf-8", "replace")

    def _minute(self, moment: float) -> _Minute:
        number = int(moment // 60)
        if number not in self._minutes:
            self._minutes[number] = _Minute()
            if len(self._minutes) > MAX_MINUTES:
                del self._minutes[min(self._minutes)]
        return self._minutes.get(number) or _Minute()

    def slow(self, alive: float | None) -> SlowRequests | None:
        """Return the finding on the last minutes with slow requests, None if there are none.

        alive: the last sign of life of the service.
        """
        for last in sorted(self._minutes, reverse=True):
            window = range(last - WINDOW_MINUTES + 1, last + 1)
            parts = [self._minutes[each] for each in window if each in self._minutes]
            slow, total = sum(part.slow for part in parts), sum(part.total for part in parts)
            if self._minutes[last].slow and slow >= MIN_SLOW and slow >= MIN_SHARE * total:
                end = (last + 1) * 60.0
                over = alive is not None and alive - end > PRESENT_SECONDS
                return SlowRequests(_text(parts, slow, max(total, slow), last, over), slow, over)
        return None

    def document(self) -> list[dict[str, Any]]:
        """Return the entry of log.json: the minutes with slow requests."""
        return [
            {
                "minute": timestamps.utc_minute(number * 60.0),
                "requests": minute.total,
                "slow": minute.slow,
                "slowest_ms": minute.slowest,
                "slowest": redacted_line(minute.request),
            }
            for number, minute in sorted(self._minutes.items())
            if minute.slow
        ]


def slow_lines(data: bytes, start: int) -> list[int]:
    """Return the ends of the lines of slow requests in data[start:]."""
    return [match.start() + 2 for match in _SLOW.finditer(data, start)]


def _text(parts: list[_Minute], slow: int, total: int, last: int, over: bool) -> str:
    slowest = max(parts, key=lambda part: part.slowest)
    named = f"slowest {duration(slowest.slowest / 1000)}: {redacted_line(slowest.request, 120)}"
    durations = sorted(each for part in parts for each in part.durations)
    at = f"at {timestamps.utc_minute(last * 60.0)}Z"
    if slow * 2 > total:
        # More than half are slow, so the median of all requests is the duration of a slow one.
        median = statistics.median([0.0] * round(len(durations) * (total - slow) / slow) + durations)
        text = f"requests take {duration(median / 1000)} (median of {total}; {named}), {at}"
    else:
        text = f"{slow} of {total} requests took {SLOW_MS} ms or longer ({named}), {at}"
    return f"{text}; over since {timestamps.utc((last + 1) * 60.0)}" if over else text
