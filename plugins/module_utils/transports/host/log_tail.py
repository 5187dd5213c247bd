# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the newest lines of a log in files, backwards from the end, up to an age and a size.

The time of a line is the runtime's timestamp before it, or in a plain file the date in the service's own header.
"""

from __future__ import annotations

import os

from ...deadline import Deadline
from ...logtext.search import first_since, runtime_time, service_time, zone_offset
from ...logtext.tail import TailBuffer
from .log_files import CHUNK, LogFiles

# Bytes read of a runtime's file per byte of text, and at least: it adds some 45 bytes to each line.
WRAPPING, AT_LEAST = 2, 1 << 12


def read_tail(files: LogFiles, since: float, deadline: Deadline, max_bytes: int) -> bytes:
    """Return what was written since then (seconds since 1970), the newest max_bytes. Raise OSError or CaptureError."""
    wanted = WRAPPING * max_bytes + AT_LEAST if files.wrapped else max_bytes
    lines, changed = _last_lines(files, wanted, deadline)
    if files.wrapped:
        start = first_since(lines, since, runtime_time)
    else:
        start = first_since(lines, since - zone_offset(lines, changed), service_time)
    unwrap = files.unwrapper(None)
    tail = TailBuffer(max_bytes)
    for line in lines[start:]:
        tail.add(unwrap(line))
    tail.add(unwrap(b""))
    return tail.text()


def _last_lines(files: LogFiles, wanted: int, deadline: Deadline) -> tuple[list[bytes], float]:
    """Return the whole lines in the last bytes, and when the newest file was changed."""
    descriptors = files.open_all()
    try:
        changed = os.fstat(descriptors[-1]).st_mtime
        pieces: list[bytes] = []
        cut = False
        for descriptor in reversed(descriptors):
            deadline.check()
            size = os.fstat(descriptor).st_size
            # One more byte tells whether the first line is complete.
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
