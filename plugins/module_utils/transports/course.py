# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stamps in a stream of a log tell of the stream. Sans-I/O.

A kubelet that sends slower than the file is rotated goes on with the newest file: what was in those between is lost
without a word. It may also begin that file once more, and its lines come again. Both show in the stamps only: they go
on after a hole though what came before was late, or they go back.
"""

from __future__ import annotations

import math
import re

from .seam import Stamp, last_stamp, stamp_of

# A line that is read later than others by more than this is late.
LATE_SECONDS = 1.0
# A kubelet checks every 10 s whether to rotate a file, and no more often than every 3 s (the minimum of
# containerLogMonitorInterval), with some jitter. A lost file leaves a longer hole than this. A service that writes one
# line a second leaves no hole.
HOLE_SECONDS = 2.0
# The newest file is begun anew once for each time that it was rotated meanwhile, up to so many seconds later.
WARY_SECONDS = 30.0
SEEN = 50_000
_STAMPS = re.compile(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*(?= )", re.MULTILINE)
# Lines of one tenth of a second may be out of order, since a container writes two streams.
_TENTH = len("2026-11-25T10:00:00.0")
_FIRST = 64


class Course:
    """Of one log, through all its streams. turns, holes: of the block that was seen last.

    opened: the order of the newest line that there was when the log was opened: what is older is history, not late.
    turns: where in the block the stream goes back to a line that it gave before. holes: the stamps before and after
    each hole.
    """

    def __init__(self) -> None:
        self.opened = ("", "")
        self.turns: list[int] = []
        self.holes: list[tuple[Stamp, Stamp]] = []
        self._last: Stamp | None = None
        # How much later than its stamp a line was read, with the difference of the clocks: at least, and the last one.
        self._least = math.inf
        self._behind = -math.inf
        self._wary = -math.inf
        # Stamps that were looked through, as hashes, and the SEEN before them.
        self._seen: set[int] = set()
        self._seen_before: set[int] = set()

    def begin(self) -> None:
        """A stream begins: what lies between it and the one before is not told by their stamps."""
        self._last, self._behind = None, -math.inf

    def note(self, block: bytes) -> None:
        """Remember these whole lines, by which a stream goes on, so that it is noticed if they come again."""
        self._seen.update(hash(match[0]) for match in _STAMPS.finditer(block))
        self._forget()

    def see(self, block: bytes, now: float) -> None:
        """These whole lines were read at that moment (seconds since 1970). They are looked through if any is late, or
        was shortly before."""
        self.turns, self.holes = [], []
        first, last = stamp_of(block[:_FIRST]), last_stamp(block)
        if last is None or last.moment is None:
            return
        worst = max(self._behind, self._age(first or last, now))
        self._behind = self._age(last, now)
        self._least = min(self._least, now - last.moment)
        is_late = worst - self._least > LATE_SECONDS
        if is_late:
            self._wary = now + WARY_SECONDS
        if now < self._wary:
            self._look_through(block)
            if not is_late:
                self.holes = []
        self._last = last

    def _age(self, stamp: Stamp, now: float) -> float:
        return now - stamp.moment if stamp.moment is not None and stamp.order > self.opened else -math.inf

    def _look_through(self, block: bytes) -> None:
        before, text = self._last, b""
        for match in _STAMPS.finditer(block):
            if match[0][:_TENTH] != text[:_TENTH]:
                before = stamp_of(text) or before
                self._compare(before, stamp_of(match[0]), match)
            text = match[0]
            self._seen.add(hash(text))
        self._forget()

    def _forget(self) -> None:
        if len(self._seen) > SEEN:
            self._seen_before, self._seen = self._seen, set()

    def _compare(self, before: Stamp | None, stamp: Stamp | None, match: re.Match[bytes]) -> None:
        if before is None or stamp is None or before.moment is None or stamp.moment is None:
            return
        if stamp.order < before.order:
            # Else lines are out of order, or the clock was set back.
            if hash(match[0]) in self._seen or hash(match[0]) in self._seen_before:
                self.turns.append(match.start())
        elif stamp.moment - before.moment > HOLE_SECONDS:
            self.holes.append((before, stamp))
