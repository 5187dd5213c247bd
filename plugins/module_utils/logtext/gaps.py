# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detect gaps and rewinds in a followed log from its timestamps. Sans-I/O.

If a kubelet sends a log more slowly than the file is rotated, it goes on with the newest file and says nothing of the
files in between. It may also send the newest file from its beginning again. Only the timestamps show both: they jump
ahead while lines arrive late, or they go back to lines that came before.
"""

from __future__ import annotations

import math
import re

from .timestamps import PREFIX_BYTES, SECOND, Timestamp, last_timestamp, timestamp_of

# A line counts as late if it arrives this much later than the least delayed one, in seconds.
LATE_SECONDS = 1.0
# A kubelet checks every 10 s whether to rotate a file, and no more often than every 3 s (the minimum of
# containerLogMonitorInterval), with some jitter. So a lost file leaves a longer gap than this. A service that writes
# one line a second leaves none.
GAP_SECONDS = 2.0
# The kubelet sends the newest file again once for each rotation it missed, up to this many seconds later.
WARY_SECONDS = 30.0
# Timestamps remembered to recognize repeated lines.
SEEN = 50_000
_TIMESTAMPS = re.compile(rb"^" + SECOND.encode() + rb"\S*(?= )", re.MULTILINE)
# Lines of one tenth of a second may be out of order, since a container writes two streams.
_TENTH = len("2026-11-25T10:00:00.0")


class GapDetector:
    """Watch one log through all its streams. rewinds and gaps describe the block that was seen last.

    opened: the order of the newest line when the log was opened; older lines are history, not late.
    rewinds: offsets in the block at which the stream goes back to a line that it gave before. gaps: the timestamps
    before and after each gap.
    """

    def __init__(self) -> None:
        self.opened = ("", "")
        self.rewinds: list[int] = []
        self.gaps: list[tuple[Timestamp, Timestamp]] = []
        self._last: Timestamp | None = None
        # Seconds between a line's timestamp and its arrival, including the clocks' difference: the least, and the last.
        self._least = math.inf
        self._behind = -math.inf
        self._wary = -math.inf
        # Hashes of timestamps that were looked through, and the SEEN before them.
        self._seen: set[int] = set()
        self._seen_before: set[int] = set()

    def begin(self) -> None:
        """Begin another stream. Its timestamps say nothing about the time between it and the one before."""
        self._last, self._behind = None, -math.inf

    def note(self, block: bytes) -> None:
        """Remember these whole lines, so that their repetition is recognized."""
        self._seen.update(hash(match[0]) for match in _TIMESTAMPS.finditer(block))
        self._forget()

    def see(self, block: bytes, now: float) -> None:
        """Examine whole lines that were read at `now` (seconds since 1970).

        All of them are looked through only if one is late or was late shortly before.
        """
        self.rewinds, self.gaps = [], []
        first, last = timestamp_of(block[:PREFIX_BYTES]), last_timestamp(block)
        written = last.moment if last else None
        if last is None or written is None:
            return
        worst = max(self._behind, self._age(first or last, now))
        self._behind = self._age(last, now)
        self._least = min(self._least, now - written)
        is_late = worst - self._least > LATE_SECONDS
        if is_late:
            self._wary = now + WARY_SECONDS
        if now < self._wary:
            self._look_through(block)
            if not is_late:
                self.gaps = []
        self._last = last

    def _age(self, timestamp: Timestamp, now: float) -> float:
        moment = timestamp.moment
        return now - moment if moment is not None and timestamp.order > self.opened else -math.inf

    def _look_through(self, block: bytes) -> None:
        before, text = self._last, b""
        for match in _TIMESTAMPS.finditer(block):
            if match[0][:_TENTH] != text[:_TENTH]:
                before = timestamp_of(text) or before
                self._compare(before, timestamp_of(match[0]), match)
            text = match[0]
            self._seen.add(hash(text))
        self._forget()

    def _forget(self) -> None:
        if len(self._seen) > SEEN:
            self._seen_before, self._seen = self._seen, set()

    def _compare(self, before: Timestamp | None, timestamp: Timestamp | None, match: re.Match[bytes]) -> None:
        if before is None or timestamp is None or before.moment is None or timestamp.moment is None:
            return
        if timestamp.order < before.order:
            # Without a repeated timestamp, lines are out of order or the clock was set back.
            if hash(match[0]) in self._seen or hash(match[0]) in self._seen_before:
                self.rewinds.append(match.start())
        elif timestamp.moment - before.moment > GAP_SECONDS:
            self.gaps.append((before, timestamp))
