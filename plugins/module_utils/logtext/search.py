# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find a time in the lines of a log that was read whole. Pure."""

from __future__ import annotations

import re
from typing import Callable, Optional, Sequence

from .timestamps import PREFIX_BYTES, find_date, timestamp_of

# Clocks of time zones differ by multiples of a quarter of an hour.
_ZONE_STEP = 900

# Return when a line was written, in seconds since 1970, or None if it does not say.
TimeOf = Callable[[bytes], Optional[float]]

_DOCKER_TIME = b'"time":"'
_HEADER = re.compile(rb"\[[a-z]+ ((?:\d{4}-\d\d-\d\d|\d{6}) \d\d:\d\d:\d\d)[ .+-]")


def runtime_time(line: bytes) -> float | None:
    """Return when a container runtime recorded a line: its first field (CRI) or its last one (Docker)."""
    if line.startswith(b"{"):
        begin = line.rfind(_DOCKER_TIME) + len(_DOCKER_TIME)
        line = line[begin : line.find(b'"', begin, begin + PREFIX_BYTES)]
    timestamp = timestamp_of(line[:PREFIX_BYTES])
    return timestamp.moment if timestamp else None


def service_time(line: bytes) -> float | None:
    """Return when a service wrote a line, by the date in its header, taken for UTC (vendor/yunion.io/x/log)."""
    match = _HEADER.match(line)
    return find_date(match.group(1).decode())[1] if match else None


def first_since(lines: Sequence[bytes], since: float, time_of: TimeOf) -> int:
    """Return the index of the first line that is not older. Lines without a time belong to the one before them."""
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high) // 2
        index, moment = _next_time(lines, middle, high, time_of)
        if moment is None or moment >= since:
            high = middle
        else:
            low = index + 1
    return low


def first_time(lines: Sequence[bytes], time_of: TimeOf) -> float | None:
    """Return the time of the first line that has one, or None."""
    return _next_time(lines, 0, len(lines), time_of)[1]


def _next_time(lines: Sequence[bytes], start: int, end: int, time_of: TimeOf) -> tuple[int, float | None]:
    for index in range(start, end):
        moment = time_of(lines[index])
        if moment is not None:
            return index, moment
    return end, None


def zone_offset(lines: Sequence[bytes], changed: float) -> float:
    """Return how many seconds the service's clock in a file is behind UTC. Its last line is as old as its last change.

    Services write UTC by default (option log_with_time_zone).
    """
    for line in reversed(lines):
        moment = service_time(line)
        if moment is not None:
            return float(_ZONE_STEP * round((changed - moment) / _ZONE_STEP))
    return 0.0
