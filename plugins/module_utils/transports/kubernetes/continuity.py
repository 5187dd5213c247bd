# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide how to follow a pod's log across cut streams, file rotations and container restarts. Sans-I/O.

A stream ends for many reasons while its container runs on: the API server restarts, a proxy has a timeout, an old
kubelet rotates the file. The next stream begins at the last second that was seen. If it contains the last line that
was seen, nothing is missing in between. The kubelet reads only the newest file of a container, so a line that was
rotated away meanwhile is not sent again: then a gap is reported. logtext/gaps.py detects gaps within a stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generator, TypeVar

from ...logtext.gaps import GapDetector
from ...logtext.lines import TimestampedLines
from ...logtext.overlap import Deduplicator, lines_since
from ...logtext.timestamps import Timestamp, timestamp_of, utc
from ...model import NOT_READABLE, Instance, State
from ...reasons import Reason, verdict
from ..follow import Changed, Ended, Gap, Lag, Lines, Opened
from . import gap_events
from .continuity_steps import (
    CloseStream,
    FindInstance,
    FollowLimits,
    LookupFailed,
    Now,
    OpenStream,
    ReadNewestLine,
    ReadOldestTimestamp,
    ReadStream,
    Step,
    StreamEnd,
    Wait,
)
from .problem import ApiProblem, NoBytes, NotALog

Result = TypeVar("Result")
Steps = Generator[Step, Any, Result]


class _NotContinued(Exception):
    """The stream does not go on from the line that was known before it."""


class LagMonitor:
    """Lag of the reader of one stream behind its writer."""

    def __init__(self, limits: FollowLimits) -> None:
        self._limits = limits
        self._lag = Lag()
        self._since: float | None = None

    @property
    def clock_offset(self) -> float:
        """Smallest delay seen between a line's timestamp and its arrival: the way, and the clocks' difference."""
        return self._lag.least

    def is_too_far(self, moment: float, now: Now) -> bool:
        """Return True if a line of that moment shows that the reader lags, and does not catch up."""
        if self._lag.of(moment, now.wall) <= self._limits.lag:
            self._since = None
            return False
        if self._since is None:
            self._since = now.monotonic
        return now.monotonic - self._since > self._limits.catch_up


@dataclass(frozen=True)
class _Outage:
    """Time in which the log cannot be read. since: the last line's time; tried: monotonic time of the first attempt."""

    since: float
    why: str
    tried: float


@dataclass(frozen=True)
class _FirstLook:
    """State of the log before its first stream. since: the first moment that is seen; newest: the newest line then."""

    since: float
    newest: Timestamp


class LogContinuity:
    """State machine that follows one instance's log, from `window` (seconds since 1970) on.

    The driver calls step() with a reading of the clocks and the reply to the step before, and does what step()
    returns: it passes events on, and performs requests. caught_up: all lines that existed at the beginning were given.
    """

    def __init__(self, instance: Instance, window: float, limits: FollowLimits) -> None:
        self._instance = instance
        self._window = window
        self._limits = limits
        self._now = Now(0.0, 0.0)
        self._is_over = False
        self._steps = self._run()
        self.caught_up = False
        self._was_opened = False
        self._pause = limits.first_pause
        self._attempt_began = 0.0
        self._outage: _Outage | None = None
        # A text in place of the log was reported already.
        self._is_unreadable = False
        # The last stream came to its end and was not cut, as that of a container that ends.
        self._is_complete = False
        self._detector = GapDetector()
        # The newest line when the log was last looked into, and the first moment that was seen then.
        self._newest: Timestamp | None = None
        self._seen_since = 0.0
        self._lag = LagMonitor(limits)
        # The last line before the stream that is open, until the stream shows whether it goes on from there.
        self._joining: Timestamp | None = None
        # Of this container: the lines given so far; whether the stream begins with the first line of the log; whether
        # the container is new and its log was not opened yet; whether the last line seen was rotated away for certain.
        self._deduplicator = Deduplicator()
        self._from_start = False
        self._is_new = False
        self._is_rotated = False
        # Set until a stream has shown a line.
        self._first_look: _FirstLook | None = None

    def stop(self) -> None:
        """End soon: no further attempt is made."""
        self._is_over = True

    def step(self, now: Now, reply: Any = None) -> Step | None:
        """Take the reply to the step before and return the next step; None at the end."""
        self._now = now
        try:
            if isinstance(reply, Exception):
                return self._steps.throw(reply)
            return self._steps.send(reply)
        except StopIteration:
            return None

    def _run(self) -> Steps[None]:
        if self._instance.restarts and self._ended_in_window():
            yield from self._read_previous(self._instance)
            yield Changed(self._instance.container_id, self._instance.restarts)
            self._begin_container()
        while not self._is_over:
            began = self._attempt_began = self._now.monotonic
            try:
                reopens = (yield from self._try_stream()) if self._instance.container_id else False
            except ApiProblem as problem:
                yield Gap(NOT_READABLE, problem.text)
                yield Ended(verdict(Reason.FORBIDDEN, problem.text))
                return
            if not reopens and not self._is_over:
                steady = self._now.monotonic - began > self._limits.steady
                self._pause = self._limits.first_pause if steady else min(2 * self._pause, self._limits.longest_pause)
                if (yield from self._check_instance()):
                    return
        was_going = self._instance.state is State.TERMINATING and self._is_complete
        if self._outage is not None and not was_going and self._outage_seconds > self._limits.tolerated_outage:
            yield from self._report_outage()

    def _try_stream(self) -> Steps[bool]:
        """Read one stream. Return True if the next one can be opened at once. Raise ApiProblem if it is forbidden."""
        try:
            return (yield from self._read_stream())
        except NotALog as problem:
            if not self._is_unreadable:
                yield Gap(NOT_READABLE, problem.text, self._last_moment)
            self._is_unreadable = True
            self._note_outage(problem.text)
        except ApiProblem as problem:
            if problem.reason is Reason.FORBIDDEN:
                raise
            self._note_outage(problem.text)
        return False

    # The container

    def _check_instance(self) -> Steps[bool]:
        """Find out why a stream ended. Return True if the instance is gone."""
        now = yield from self._find_instance()
        if now is None:
            if not self._is_complete:
                yield from self._report_outage()
            yield Ended(verdict(Reason.GONE, "it is gone"))
            return True
        if now.container_id and now.container_id != self._instance.container_id:
            yield from self._change_container(now)
            self._pause = self._limits.first_pause
        else:
            self._instance = now
            yield Wait(self._pause)
        return False

    def _find_instance(self) -> Steps[Instance | None]:
        """Return the instance as it is now, or as it was if the cluster does not tell."""
        try:
            found: Instance | None = yield FindInstance()
        except LookupFailed as error:
            # When the watch ends, a lookup that was not finished loses nothing.
            if not self._is_over:
                self._note_outage(str(error))
            return self._instance
        return found

    def _await_restart(self) -> Steps[bool]:
        """Find out whether a log that does not go on is another container's or was rotated.

        The cluster reports a restart some seconds later. Return True if the log was rotated: the next stream can be
        opened at once.
        """
        until = self._now.monotonic + self._limits.restart_visible
        container = (self._instance.container_id, self._instance.restarts)
        while self._now.monotonic < until and not self._is_over:
            now = yield from self._find_instance()
            if now is None or (now.container_id, now.restarts) != container:
                return False
            yield Wait(self._limits.first_pause)
        self._is_rotated = True
        return True

    def _change_container(self, now: Instance) -> Steps[None]:
        """Read the rest of the old container's log, then begin with the new one's first line."""
        before = self._instance
        if self._was_opened:
            yield from self._read_previous(now)
        yield from gap_events.unseen_containers(before, now, self._last_moment, self._now.wall)
        if before.container_id:
            yield Changed(now.container_id, now.restarts)
        self._instance, self._outage = now, None
        self._begin_container()

    def _begin_container(self) -> None:
        self._deduplicator, self._from_start, self._is_new = Deduplicator(), True, True
        self._first_look, self._is_rotated, self._is_unreadable = None, False, False

    def _ended_in_window(self) -> bool:
        stamp = timestamp_of(self._instance.last_ended.encode())
        return stamp is not None and (stamp.moment or 0.0) >= self._window

    def _read_previous(self, now: Instance) -> Steps[None]:
        """Read the lines of the previous container's log that were not given yet."""
        since = self._last_moment
        try:
            is_complete = yield from self._read_previous_lines()
        except ApiProblem as problem:
            is_text = isinstance(problem, NotALog)
            yield gap_events.previous_unreadable(now.restarts, str(problem), is_text, since, self._now.wall)
            return
        if not is_complete:
            yield gap_events.previous_end_missing(since, self._now.wall)

    def _read_previous_lines(self) -> Steps[bool]:
        """Return True if nothing is missing up to the end of the log. Raise ApiProblem."""
        answer = self._limits.answer
        lines = TimestampedLines()
        step = OpenStream(self._instance, self._since(), answer, answer, previous=True)
        self._deduplicator.begin()
        yield step
        while True:
            chunk = yield ReadStream()
            if isinstance(chunk, StreamEnd):
                break
            yield from self._give_previous(lines.feed(chunk))
        yield CloseStream()
        yield from self._give_previous(lines.drop() if chunk.broken else lines.end() + b"\n")
        if lines.foreign:
            raise NotALog(lines.foreign)
        return not chunk.broken and bool(self._deduplicator.joins)

    def _give_previous(self, block: bytes) -> Steps[None]:
        yield from self._check_first_line(block, is_known=True)
        new = self._deduplicator.take(block) if block.strip() else b""
        if new:
            yield Lines(new)

    # Outages

    def _note_outage(self, why: str) -> None:
        if self._outage is None:
            self._outage = _Outage(self._last_moment or self._now.wall, why, self._attempt_began)

    def _report_outage(self) -> Steps[None]:
        if self._outage is not None and not self._is_unreadable:
            yield gap_events.unread_end(self._outage.since, self._outage.why, self._now.wall)

    @property
    def _outage_seconds(self) -> float:
        return self._now.monotonic - self._outage.tried if self._outage else 0.0

    @property
    def _last_moment(self) -> float | None:
        return self._deduplicator.last.moment if self._deduplicator.last else None

    # One stream

    def _since(self) -> str:
        """Return the second that the next stream begins with; "" for the first line of the log."""
        if self._deduplicator.last is not None:
            return self._deduplicator.last.text
        if self._from_start:
            return ""
        return utc(self._window)

    def _read_stream(self) -> Steps[bool]:
        """Return True if the next stream can be opened at once. Raise ApiProblem."""
        if self._deduplicator.last is None:
            if not (yield from self._look_first()):
                return False
            self._outage, self._is_unreadable = None, False
            if not self._was_opened:
                self._was_opened = True
                yield Opened(self._seen_since, self._newest is None)
            if self._is_new:
                self._is_new = False
                yield from gap_events.late_beginning(self._instance, self._seen_since)
            self._note_caught_up()
        held = self._deduplicator.copy()
        try:
            return (yield from self._follow())
        except _NotContinued:
            self._deduplicator = held
            yield CloseStream()
            return (yield from self._await_restart())
        except NoBytes:
            if self._deduplicator.last is None:
                return True
            raise

    def _look_first(self) -> Steps[bool]:
        """Find out what the log holds before its first stream. Return False if the container has no log yet."""
        try:
            last = yield ReadNewestLine(self._instance)
            oldest = yield ReadOldestTimestamp(self._instance)
        except ApiProblem as problem:
            if problem.code == 400:
                return False
            raise
        newest = self._newest = timestamp_of(last)
        self._detector.opened = newest.order if newest else ("", "")
        # Lines that were rotated away before are not seen.
        self._seen_since = max(self._window, (oldest.moment if oldest else None) or self._now.wall)
        if newest is None or newest.moment is None:
            return True
        if not self._from_start and newest.moment < self._window:
            # The newest line is older than the window, and marks its beginning.
            self._deduplicator.note(last)
        elif self._first_look is None:
            # If the log was rotated between the two answers, its newest line is older than the oldest.
            self._first_look = _FirstLook(min(self._seen_since, newest.moment), newest)
        return True

    def _follow(self) -> Steps[bool]:
        """Follow the log through one stream. Return True if the next one can be opened at once.

        Raise _NotContinued, or ApiProblem.
        """
        lines = TimestampedLines()
        began = self._now.monotonic
        yield self._begin_stream()
        self._is_complete = False
        while True:
            chunk = yield ReadStream()
            if isinstance(chunk, StreamEnd):
                break
            new = yield from self._new_lines(lines.feed(chunk))
            if new:
                yield Lines(new)
            self._note_caught_up()
            if new and self._lags():
                yield from self._skip()
                return True
            if self._is_over:
                break
        yield CloseStream()
        is_broken = isinstance(chunk, StreamEnd) and chunk.broken
        rest = lines.stop(is_broken)
        if rest:
            yield Lines(rest)
        self._check_end(lines, is_broken)
        return is_broken and self._now.monotonic - began >= self._limits.silence

    def _begin_stream(self) -> OpenStream:
        self._joining = self._deduplicator.last
        # A stream of an empty log sends nothing, not even response headers.
        timeout = self._limits.answer if self._joining else self._limits.silence
        step = OpenStream(self._instance, self._since(), timeout, self._limits.silence)
        self._deduplicator.begin()
        self._detector.begin()
        self._lag = LagMonitor(self._limits)
        return step

    def _new_lines(self, block: bytes) -> Steps[bytes]:
        """Return the lines of a block that were not given before, and report what is missing before them."""
        if self._joining is None:
            return (yield from self._continued(block))
        new = self._deduplicator.take(block)
        if self._deduplicator.joins is False and not self._is_rotated:
            raise _NotContinued
        # The kubelet may send this file once more from its first line.
        self._detector.note(block)
        if self._deduplicator.joins is not None:
            self._outage, self._is_rotated, self._is_unreadable = None, False, False
            if not self._deduplicator.joins:
                yield gap_events.rotated("while it was not read", self._joining.moment, self._last_moment)
            self._joining = None
        return new

    def _continued(self, block: bytes) -> Steps[bytes]:
        """Return the new lines of a block by which a stream goes on."""
        if self._deduplicator.last is None and not self._from_start:
            block = lines_since(block, self._window)
        yield from self._check_first_line(block, is_known=self._is_rotated)
        self._detector.see(block, self._now.wall)
        if self._detector.gaps:
            yield from self._check_gaps()
        new, begin = b"", 0
        for rewind in self._detector.rewinds:
            new += self._deduplicator.take(block[begin:rewind])
            self._deduplicator.begin()
            begin = rewind
        return new + self._deduplicator.take(block[begin:])

    def _check_first_line(self, block: bytes, is_known: bool) -> Steps[None]:
        """Report what is missing before the first lines of a container's log.

        is_known: they are this container's for certain. Otherwise, if they begin after the line that was the newest
        before the stream, raise _NotContinued.
        """
        first = timestamp_of(block) if self._first_look else None
        if first is None or self._first_look is None:
            return
        if first.order > self._first_look.newest.order:
            if not is_known:
                raise _NotContinued
            yield gap_events.rotated("just when it was opened", self._first_look.since, first.moment)
        self._first_look, self._is_rotated = None, False

    def _check_gaps(self) -> Steps[None]:
        """Report gaps in the timestamps that files leave which were rotated away unread.

        A hole that has both its ends in the newest file is a pause of the writer.
        """
        try:
            oldest = yield ReadOldestTimestamp(self._instance)
        except ApiProblem:
            oldest = None  # nothing is proved
        lost = [gap for gap in self._detector.gaps if oldest is None or gap[0].order < oldest.order]
        if lost:
            yield gap_events.files_missed(lost[0][0].moment, lost[-1][1].moment)

    def _check_end(self, lines: TimestampedLines, is_broken: bool) -> None:
        """Note how a stream ended. Raise ApiProblem if it showed nothing of the log that goes on."""
        self._is_complete = not is_broken and not lines.foreign
        is_joined = self._joining is None
        if lines.foreign and not (lines.has_lines and is_joined):
            raise NotALog(lines.foreign)
        if lines.foreign:
            # If the next stream goes on where this one ended, nothing is missing.
            self._note_outage(NotALog(lines.foreign).text)
        if not is_joined:
            raise ApiProblem(0, "the log does not show the line that it ended with before")

    def _note_caught_up(self) -> None:
        last = self._deduplicator.last
        if self._newest is None or (last and last.order >= self._newest.order):
            self.caught_up = True

    # A reader that is too slow

    def _lags(self) -> bool:
        moment = self._last_moment
        return moment is not None and self._lag.is_too_far(moment, self._now)

    def _skip(self) -> Steps[None]:
        """Go on with the newest line; if there is none, with what is written from now on."""
        yield CloseStream()
        since, self._deduplicator, self._from_start = self._last_moment, Deduplicator(), False
        # By the clock of the node.
        self._window = self._now.wall - self._lag.clock_offset
        try:
            last = yield ReadNewestLine(self._instance)
        except ApiProblem:
            yield gap_events.skipped(since, self._window)
            raise
        newest = timestamp_of(last)
        self._deduplicator.note(last)
        yield gap_events.skipped(since, newest.moment if newest else self._window)
