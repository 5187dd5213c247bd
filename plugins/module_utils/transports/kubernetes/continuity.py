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
from typing import Any

from ...logtext.gaps import GapDetector
from ...logtext.lag import LagMonitor
from ...logtext.lines import TimestampedLines
from ...logtext.timestamps import Timestamp, timestamp_of
from ...model import Instance
from ...reasons import Reason, verdict
from ...vocabulary import NOT_READABLE, State
from ..follow import Ended, Gap, Lines, Opened, WriterChanged
from . import gap_events
from .continuity_steps import (
    CloseStream,
    FindInstance,
    LookupFailed,
    Now,
    OpenStream,
    PodFollowLimits,
    ReadNewestLine,
    ReadOldestTimestamp,
    ReadStream,
    Step,
    Steps,
    StreamEnd,
    Wait,
)
from .log_position import LogPosition, NotContinued
from .problem import ApiProblem, NoBytes, NotALog


@dataclass(frozen=True)
class _Outage:
    """Time in which the log cannot be read. since: the last line's time; tried: monotonic time of the first attempt."""

    since: float
    why: str
    tried: float


class LogContinuity:
    """State machine that follows one instance's log, from `window` (seconds since 1970) on.

    The driver calls step() with a reading of the clocks and the reply to the step before, and does what step()
    returns: it passes events on, and performs requests. caught_up: all lines that existed at the beginning were given.
    """

    def __init__(self, instance: Instance, window: float, limits: PodFollowLimits) -> None:
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
        self._lag = LagMonitor(limits.lag, limits.catch_up)
        self._position = LogPosition(self._detector, window)
        # The container is new, and its log was not opened yet.
        self._is_new = False

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
            yield WriterChanged(self._instance.container_id, self._instance.restarts)
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
                yield Gap(NOT_READABLE, problem.text, self._position.last_moment)
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
        self._position.is_rotated = True
        return True

    def _change_container(self, now: Instance) -> Steps[None]:
        """Read the rest of the old container's log, then begin with the new one's first line."""
        before = self._instance
        if self._was_opened:
            yield from self._read_previous(now)
        yield from gap_events.unseen_containers(before, now, self._position.last_moment, self._now.wall)
        if before.container_id:
            yield WriterChanged(now.container_id, now.restarts)
        self._instance, self._outage = now, None
        self._begin_container()

    def _begin_container(self) -> None:
        self._position = LogPosition(self._detector, window=None)
        self._is_new, self._is_unreadable = True, False

    def _ended_in_window(self) -> bool:
        ended = timestamp_of(self._instance.last_ended.encode())
        return ended is not None and (ended.moment or 0.0) >= self._window

    def _read_previous(self, now: Instance) -> Steps[None]:
        """Read the lines of the previous container's log that were not given yet."""
        since = self._position.last_moment
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
        since = self._position.since
        self._position.begin_previous()
        yield OpenStream(self._instance, since, answer, answer, previous=True)
        while True:
            chunk = yield ReadStream()
            if isinstance(chunk, StreamEnd):
                break
            yield from self._give_previous(lines.feed(chunk))
        yield CloseStream()
        yield from self._give_previous(lines.drop() if chunk.broken else lines.end() + b"\n")
        if lines.foreign:
            raise NotALog(lines.foreign)
        return not chunk.broken and self._position.is_joined

    def _give_previous(self, block: bytes) -> Steps[None]:
        new = yield from self._position.take_previous(block)
        if new:
            yield Lines(new)

    # Outages

    def _note_outage(self, why: str) -> None:
        if self._outage is None:
            self._outage = _Outage(self._position.last_moment or self._now.wall, why, self._attempt_began)

    def _report_outage(self) -> Steps[None]:
        if self._outage is not None and not self._is_unreadable:
            yield gap_events.unread_end(self._outage.since, self._outage.why, self._now.wall)

    @property
    def _outage_seconds(self) -> float:
        return self._now.monotonic - self._outage.tried if self._outage else 0.0

    # One stream

    def _read_stream(self) -> Steps[bool]:
        """Return True if the next stream can be opened at once. Raise ApiProblem."""
        if self._position.last is None:
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
        try:
            return (yield from self._follow())
        except NotContinued:
            self._position.restore()
            yield CloseStream()
            return (yield from self._await_restart())
        except NoBytes:
            if self._position.last is None:
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
        if newest is not None:
            self._position.note_first_look(last, newest, self._seen_since)
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
        since = self._position.since
        self._position.begin_stream()
        self._lag = LagMonitor(self._limits.lag, self._limits.catch_up)
        # A stream of an empty log sends nothing, not even response headers.
        timeout = self._limits.answer if self._position.is_joining else self._limits.silence
        return OpenStream(self._instance, since, timeout, self._limits.silence)

    def _new_lines(self, block: bytes) -> Steps[bytes]:
        """Return the new lines of a block, and report what is missing before them."""
        was_joining = self._position.is_joining
        new = yield from self._position.take(block, self._instance, self._now.wall)
        if was_joining and not self._position.is_joining:
            self._outage, self._is_unreadable = None, False
        return new

    def _check_end(self, lines: TimestampedLines, is_broken: bool) -> None:
        """Note how a stream ended. Raise ApiProblem if it showed nothing of the log that goes on."""
        self._is_complete = not is_broken and not lines.foreign
        is_joined = not self._position.is_joining
        if lines.foreign and not (lines.has_lines and is_joined):
            raise NotALog(lines.foreign)
        if lines.foreign:
            # If the next stream goes on where this one ended, nothing is missing.
            self._note_outage(NotALog(lines.foreign).text)
        if not is_joined:
            raise ApiProblem(0, "the log does not show the line that it ended with before")

    def _note_caught_up(self) -> None:
        last = self._position.last
        if self._newest is None or (last and last.order >= self._newest.order):
            self.caught_up = True

    # A reader that is too slow

    def _lags(self) -> bool:
        moment = self._position.last_moment
        return moment is not None and self._lag.is_too_far(moment, *self._now)

    def _skip(self) -> Steps[None]:
        """Go on with the newest line; if there is none, with what is written from now on."""
        yield CloseStream()
        since = self._position.last_moment
        # By the clock of the node.
        self._window = self._now.wall - self._lag.least
        self._position = LogPosition(self._detector, self._window)
        try:
            last = yield ReadNewestLine(self._instance)
        except ApiProblem:
            yield gap_events.skipped(since, self._window)
            raise
        newest = timestamp_of(last)
        self._position.note(last)
        yield gap_events.skipped(since, newest.moment if newest else self._window)
