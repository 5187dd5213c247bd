# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Position in the log of one container: the lines given so far, and whether the next ones follow them. Sans-I/O."""

from __future__ import annotations

from dataclasses import dataclass

from ...logtext.gaps import GapDetector
from ...logtext.overlap import Deduplicator, lines_since
from ...logtext.timestamps import Timestamp, timestamp_of, utc
from ...model import Instance
from . import gap_events
from .continuity_steps import ReadOldestTimestamp, Steps
from .problem import ApiProblem


class NotContinued(Exception):
    """The stream does not go on from the line that was known before it."""


@dataclass(frozen=True)
class _FirstLook:
    """State of the log before its first stream. since: the first moment that is seen; newest: the newest line then."""

    since: float
    newest: Timestamp


class LogPosition:
    """Position in one container's log. Its methods report gaps by yielding them.

    window: the first moment wanted, in seconds since 1970; None for the first line of the log.
    is_rotated: the last line that was given was rotated away for certain.
    """

    def __init__(self, detector: GapDetector, window: float | None) -> None:
        self._detector = detector
        self._window = window
        self._given = Deduplicator()
        self._held = self._given
        self.is_rotated = False
        # The last line before the stream that is open, until the stream shows whether it goes on from there.
        self._joining: Timestamp | None = None
        # Set until a stream has shown a line.
        self._first_look: _FirstLook | None = None

    @property
    def last(self) -> Timestamp | None:
        """Timestamp of the last line that was given."""
        return self._given.last

    @property
    def last_moment(self) -> float | None:
        return self._given.last.moment if self._given.last else None

    @property
    def is_joining(self) -> bool:
        """The stream has not shown yet whether it goes on from the last line."""
        return self._joining is not None

    @property
    def is_joined(self) -> bool:
        """The stream goes on from the last line."""
        return bool(self._given.joins)

    @property
    def since(self) -> str:
        """Return the second that the next stream begins with; "" for the first line of the log."""
        if self._given.last is not None:
            return self._given.last.text
        if self._window is None:
            return ""
        return utc(self._window)

    def note(self, line: bytes) -> None:
        """Begin after this line."""
        self._given.note(line)

    def note_first_look(self, line: bytes, newest: Timestamp, since: float) -> None:
        """Note the newest line before the first stream, and the first moment that is seen."""
        if newest.moment is None:
            return
        if self._window is not None and newest.moment < self._window:
            # The newest line is older than the window, and marks its beginning.
            self.note(line)
        elif self._first_look is None:
            # If the log was rotated between the two answers, its newest line is older than the oldest.
            self._first_look = _FirstLook(min(since, newest.moment), newest)

    def begin_stream(self) -> None:
        """Begin a stream at `since`."""
        self._held = self._given.copy()
        self._joining = self._given.last
        self._given.begin()
        self._detector.begin()

    def restore(self) -> None:
        """Return to the position before the stream."""
        self._given = self._held

    def begin_previous(self) -> None:
        """Begin the rest of the container's log when another container took its place."""
        self._given.begin()

    def take_previous(self, block: bytes) -> Steps[bytes]:
        """Return the new lines of a block of the rest of the log."""
        yield from self._check_first_line(block, is_known=True)
        return self._given.take(block) if block.strip() else b""

    def take(self, block: bytes, instance: Instance, now: float) -> Steps[bytes]:
        """Return the new lines of a block of a stream, read at that moment.

        Raise NotContinued if the stream does not go on from the last line. Then the log was rotated, or is another
        container's.
        """
        if self._joining is None:
            return (yield from self._take_next(block, instance, now))
        new = self._given.take(block)
        if self._given.joins is False and not self.is_rotated:
            raise NotContinued
        # The kubelet may send this file once more from its first line.
        self._detector.note(block)
        if self._given.joins is not None:
            if not self._given.joins:
                yield gap_events.rotated("while it was not read", self._joining.moment, self.last_moment)
            self._joining, self.is_rotated = None, False
        return new

    def _take_next(self, block: bytes, instance: Instance, now: float) -> Steps[bytes]:
        if self._given.last is None and self._window is not None:
            block = lines_since(block, self._window)
        yield from self._check_first_line(block, is_known=self.is_rotated)
        self._detector.see(block, now)
        if self._detector.gaps:
            yield from self._check_gaps(instance)
        new, begin = b"", 0
        for rewind in self._detector.rewinds:
            new += self._given.take(block[begin:rewind])
            self._given.begin()
            begin = rewind
        return new + self._given.take(block[begin:])

    def _check_first_line(self, block: bytes, is_known: bool) -> Steps[None]:
        """Report what is missing before the first lines of the log.

        is_known: they are this container's for certain. Otherwise, if they begin after the line that was the newest
        before the stream, raise NotContinued.
        """
        first = timestamp_of(block) if self._first_look else None
        if first is None or self._first_look is None:
            return
        if first.order > self._first_look.newest.order:
            if not is_known:
                raise NotContinued
            yield gap_events.rotated("just when it was opened", self._first_look.since, first.moment)
        self._first_look, self.is_rotated = None, False

    def _check_gaps(self, instance: Instance) -> Steps[None]:
        """Report gaps in the timestamps that files leave which were rotated away unread.

        If both ends of a gap are in the newest file, the writer paused.
        """
        try:
            oldest = yield ReadOldestTimestamp(instance)
        except ApiProblem:
            oldest = None  # nothing is proved
        lost = [gap for gap in self._detector.gaps if oldest is None or gap[0].order < oldest.order]
        if lost:
            yield gap_events.files_missed(lost[0][0].moment, lost[-1][1].moment)
