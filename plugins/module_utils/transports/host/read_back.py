# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest part of a log that lies in files: read from their end, and cut where it gets too old.

The time of a line is what a container's runtime wrote before it, or in a plain file what the service itself did.
"""

from __future__ import annotations

import calendar
import os
import re
import time
from typing import Callable, Sequence

from ...deadline import Deadline
from ..newest import Newest
from .log_files import CHUNK, LogFiles

# How much of a runtime's file is read for so much text: it puts some 45 bytes around each line.
WRAPPING, AT_LEAST = 2, 1 << 12
_ZONE_STEP = 900

# Out of a line, when it was written: seconds since the epoch, None where it does not say.
StampOf = Callable[[bytes], "float | None"]

_RFC3339 = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|([+-])(\d\d):(\d\d))")
_DOCKER_TIME = b'"time":"'
_LOG_LINE = re.compile(rb"\[[a-z]+ (?:(\d{4}-\d\d-\d\d)|(\d{6})) (\d\d:\d\d:\d\d)[ .+-]")


def runtime_stamp(line: bytes) -> float | None:
    """When a container's runtime took a line down: at its beginning (CRI), or in its last field (docker)."""
    match = _RFC3339.match(line, line.rfind(_DOCKER_TIME) + len(_DOCKER_TIME) if line.startswith(b"{") else 0)
    if match is None:
        return None
    moment, sign, hours, minutes = match.groups()
    seconds = _epoch(moment.decode(), "%Y-%m-%dT%H:%M:%S")
    if seconds is None or sign is None:
        return seconds
    shift = 3600 * int(hours) + 60 * int(minutes)
    return seconds - shift if sign == b"+" else seconds + shift


def service_stamp(line: bytes) -> float | None:
    """When a service wrote a line, by its own date, taken for UTC (cloudpods vendor/yunion.io/x/log)."""
    match = _LOG_LINE.match(line)
    if match is None:
        return None
    date, short, clock = (part.decode() if part else "" for part in match.groups())
    return _epoch(f"{date} {clock}", "%Y-%m-%d %H:%M:%S") if date else _epoch(f"{short} {clock}", "%y%m%d %H:%M:%S")


def _epoch(text: str, form: str) -> float | None:
    try:
        return float(calendar.timegm(time.strptime(text, form)))
    except ValueError:
        return None


def read_back(files: LogFiles, seconds: int, deadline: Deadline, max_bytes: int) -> bytes:
    """What was written in the last so many seconds, the newest max_bytes of it. OSError, CaptureError."""
    since = time.time() - seconds
    wanted = WRAPPING * max_bytes + AT_LEAST if files.wrapped else max_bytes
    lines, changed = _newest_lines(files, wanted, deadline)
    if files.wrapped:
        start = first_since(lines, since, runtime_stamp)
    else:
        start = first_since(lines, since - zone_of(lines, changed), service_stamp)
    unwrap = files.unwrapper(None)
    newest = Newest(max_bytes)
    for line in lines[start:]:
        newest.add(unwrap(line))
    newest.add(unwrap(b""))
    return newest.text()


def _newest_lines(files: LogFiles, wanted: int, deadline: Deadline) -> tuple[list[bytes], float]:
    """The lines in the last so many bytes, the first of them whole; and when the last one was written."""
    descriptors = files.open_all()
    try:
        changed = os.fstat(descriptors[-1]).st_mtime
        pieces: list[bytes] = []
        cut = False
        for descriptor in reversed(descriptors):
            deadline.check()
            size = os.fstat(descriptor).st_size
            # One byte more tells whether the first line is whole.
            start = max(0, size - wanted - 1)
            pieces.append(_read(descriptor, start, size))
            wanted -= size - start
            cut = start > 0
            if wanted <= 0:
                break
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    data = b"".join(reversed(pieces))
    return (data.partition(b"\n")[2] if cut else data).splitlines(keepends=True), changed


def _read(descriptor: int, start: int, end: int) -> bytes:
    chunks = []
    while start < end:
        data = os.pread(descriptor, min(CHUNK, end - start), start)
        if not data:
            break
        chunks.append(data)
        start += len(data)
    return b"".join(chunks)


def first_since(lines: Sequence[bytes], since: float, stamp_of: StampOf) -> int:
    """The place of the first line that is not older. Lines without a time belong to the one before them. Pure."""
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high) // 2
        place, stamp = _next_stamp(lines, middle, high, stamp_of)
        if stamp is None or stamp >= since:
            high = middle
        else:
            low = place + 1
    return low


def _next_stamp(lines: Sequence[bytes], start: int, end: int, stamp_of: StampOf) -> tuple[int, float | None]:
    for place in range(start, end):
        stamp = stamp_of(lines[place])
        if stamp is not None:
            return place, stamp
    return end, None


def zone_of(lines: Sequence[bytes], changed: float) -> float:
    """How many seconds the clock of the dates in a file is behind UTC: its last line is as old as the file's change.

    Services write UTC unless they are told otherwise (log_with_time_zone).
    """
    for line in reversed(lines):
        stamp = service_stamp(line)
        if stamp is not None:
            return float(_ZONE_STEP * round((changed - stamp) / _ZONE_STEP))
    return 0.0
