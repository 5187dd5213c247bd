# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a pod's container, followed for long through the API server.

A stream of it ends for many reasons while the container runs on: the API server restarts, a proxy has a timeout, an old
kubelet rotates the file. The next one begins at the last second that was seen; that it holds the last line that was
seen proves that nothing is missing in between. The kubelet reads the newest file of a container only, so a line that
was rotated away meanwhile does not come again: then a gap is named. For streams that live see course.py.
"""

from __future__ import annotations

import time
from typing import Generator, Iterator

from ...deadline import Deadline, DeadlineExceeded
from ...model import NOT_READABLE, ROTATION_MISSED, SKIPPED, STREAM_LOST, Instance, State
from ...reasons import CaptureError, Reason, verdict
from ..course import Course
from ..follow import LAG_SECONDS, Changed, Ended, Event, Gap, Lag, Lines, LogFollow, Look, Opened
from ..seam import Seam, Stamp, lines_since, stamp_of
from .api import Api
from .gaps import late_beginning, rotated, unread, unseen_containers
from .log_stream import ANSWER_SECONDS, NoBytes, NotALog, StampedLines, StampedLog
from .problem import ApiProblem

# A quiet stream may be a dead one: after so many seconds of silence it is opened and proved anew.
SILENCE_SECONDS = 60.0
# Between two tries, from the first to the last, in seconds.
PAUSE, LONGEST_PAUSE = 0.2, 5.0
# So much later than the kubelet has started another container the cluster shows it, at most.
CHANGE_SECONDS = 10.0
# A stream that is not proved yet when the watching ends, after so many seconds, is no gap.
UNPROVED_SECONDS = 2.0
# A stream that lasted so long is no reason to wait before the next one.
STEADY_SECONDS = 5.0
# A reader that lags is given so many seconds to catch up: after a stall what came meanwhile is read fast.
CATCH_UP_SECONDS = 10.0


class _Unexpected(Exception):
    """The first stream of a log begins after the line that was the newest a moment before."""


class PodFollow(LogFollow):
    """See follow.LogFollow. seconds: how far back to begin."""

    def __init__(self, api: Api, instance: Instance, seconds: int, look: Look, deadline: Deadline) -> None:
        super().__init__(deadline)
        self._log = StampedLog(api, deadline)
        self._instance = instance
        self._window = time.time() - seconds
        self._look = look
        self._seam = Seam()
        self._course = Course()
        self._opened = False
        self._pause = PAUSE
        # The newest line that there was when the log was looked into last, and since when it was seen then.
        self._newest: Stamp | None = None
        self._since_proved = 0.0
        # Of the first look into the log, as long as no stream has shown a line: since when it was seen, and the newest
        # line that there was.
        self._awaited: tuple[float, Stamp] | None = None
        # Whether the last line that was seen is known to have been rotated away.
        self._is_rotated = False
        # Whether the next stream begins with the first line of the log.
        self._from_start = False
        # Whether the container is new, and its log was not opened yet.
        self._is_new = False
        self._lag = Lag()
        self._lags_since: float | None = None
        # Since when nothing can be read (the time of the last line), why, and when that was tried (monotonic).
        self._lost: tuple[float, str, float] | None = None
        self._tried = 0.0
        # Whether it was said that a text comes in place of the log.
        self._is_unreadable = False
        # Whether the last stream came to its end, as that of a container that ends does, and was not cut.
        self._is_whole = False

    def events(self) -> Iterator[Event]:
        if self._instance.restarts and self._ended_in_window():
            yield from self._read_previous(self._instance)
            yield Changed(self._instance.container_id, self._instance.restarts)
            self._start_anew()
        while not self._is_over:
            began = self._tried = time.monotonic()
            try:
                quiet = (yield from self._try_stream()) if self._instance.container_id else False
            except ApiProblem as problem:
                yield Gap(NOT_READABLE, problem.text)
                yield Ended(verdict(Reason.FORBIDDEN, problem.text))
                return
            if not quiet and not self._is_over:
                steady = time.monotonic() - began > STEADY_SECONDS
                self._pause = PAUSE if steady else min(2 * self._pause, LONGEST_PAUSE)
                if (yield from self._look_again()):
                    return
        going = self._instance.state is State.TERMINATING and self._is_whole
        if self._lost is not None and not going and time.monotonic() - self._lost[2] > UNPROVED_SECONDS:
            yield from self._unread()

    def _try_stream(self) -> Generator[Event, None, bool]:
        """As _read_stream(). ApiProblem where it is forbidden for good."""
        try:
            return (yield from self._read_stream())
        except NotALog as problem:
            if not self._is_unreadable:
                yield Gap(NOT_READABLE, problem.text, self._last_moment)
            self._is_unreadable = True
            return self._lose(problem.text)
        except ApiProblem as problem:
            if problem.reason is Reason.FORBIDDEN:
                raise
            return self._lose(problem.text)
        except DeadlineExceeded as error:
            return self._lose(str(error))

    def _unread(self) -> Iterator[Event]:
        if self._lost is not None and not self._is_unreadable:
            yield unread(self._lost[0], self._lost[1], time.time())

    def _look_again(self) -> Generator[Event, None, bool]:
        """A stream ended: find out what became of the container. Returns whether it is gone."""
        now = self._seen()
        if now is None:
            if not self._is_whole:
                yield from self._unread()
            yield Ended(verdict(Reason.GONE, "it is gone"))
            return True
        if now.container_id and now.container_id != self._instance.container_id:
            yield from self._change(now)
            self._pause = PAUSE
        else:
            self._instance = now
            self._wait(self._pause)
        return False

    def _ended_in_window(self) -> bool:
        stamp = stamp_of(self._instance.last_ended.encode())
        return stamp is not None and (stamp.moment or 0.0) >= self._window

    def _seen(self) -> Instance | None:
        """The instance as it is now; as it was where that cannot be told."""
        try:
            return self._look(self._deadline)
        except (CaptureError, DeadlineExceeded) as error:
            # Nobody looks any more when the watching ends. That loses nothing.
            if not self._is_over:
                self._lose(str(error))
            return self._instance

    def _lose(self, why: str) -> bool:
        """Remember since when nothing can be read. False: it is no mere silence."""
        if self._lost is None:
            self._lost = (self._last_moment or time.time(), why, self._tried)
        return False

    @property
    def _last_moment(self) -> float | None:
        return self._seam.last.moment if self._seam.last else None

    def _change(self, now: Instance) -> Iterator[Event]:
        """Another container took the place: the rest of the old one's log, then the new one's from its beginning."""
        before = self._instance
        if self._opened:
            yield from self._read_previous(now)
        yield from unseen_containers(before, now, self._last_moment, time.time())
        if before.container_id:
            yield Changed(now.container_id, now.restarts)
        self._instance, self._lost = now, None
        self._start_anew()

    def _start_anew(self) -> None:
        """What comes next is the log of a new container, from its first line."""
        self._seam, self._from_start, self._is_new = Seam(), True, True
        self._awaited, self._is_rotated, self._is_unreadable = None, False, False

    def _read_previous(self, now: Instance) -> Iterator[Event]:
        """What was not seen yet of the log of the container before this one."""
        query = {"previous": "true", **self._since()}
        since = self._last_moment
        self._seam.begin()
        lines = StampedLines()
        try:
            with self._log.opening(self._instance, query, ANSWER_SECONDS) as stream:
                for data in stream.chunks(silence=ANSWER_SECONDS):
                    yield from self._pass_on(lines.feed(data))
                broken = stream.broken
            yield from self._pass_on(lines.end() + b"\n" if not broken else lines.drop())
            if lines.foreign:
                raise NotALog(lines.foreign)
            if broken or not self._seam.joins:
                yield Gap(STREAM_LOST, "the end of the log of the container before is missing", since, time.time())
        except (ApiProblem, DeadlineExceeded) as error:
            text = f"the end of the log of the container before restart {now.restarts} cannot be read: {error}"
            yield Gap(NOT_READABLE if isinstance(error, NotALog) else STREAM_LOST, text, since, time.time())

    def _since(self) -> dict[str, str]:
        """From where the next stream has to begin."""
        if self._seam.last is not None:
            return {"sinceTime": self._seam.last.text}
        if self._from_start:
            return {}
        return {"sinceTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._window))}

    def _read_stream(self) -> Generator[Event, None, bool]:
        """One stream, to its end. Returns whether it only was quiet: then there is nothing else to find out."""
        if self._seam.last is None:
            if not self._prove():
                return False
            self._lost, self._is_unreadable = None, False
            if not self._opened:
                self._opened = True
                yield Opened(self._since_proved, self._newest is None)
            if self._is_new:
                self._is_new = False
                yield from late_beginning(self._instance, self._since_proved)
            self._arrive()
        try:
            return (yield from self._follow())
        except _Unexpected:
            return self._find_out()
        except NoBytes:
            if self._seam.last is None:
                return True
            raise

    def _follow(self) -> Generator[Event, None, bool]:
        query = {"follow": "true", **self._since()}
        before, held = self._seam.last, self._seam.copy()
        self._seam.begin()
        self._course.begin()
        self._lag, self._lags_since = Lag(), None
        lines = StampedLines()
        # The stream of an empty log says nothing, not even that it is open.
        patience = ANSWER_SECONDS if before else SILENCE_SECONDS
        began = time.monotonic()
        with self._log.opening(self._instance, query, patience) as stream:
            self._is_whole = False
            for data in stream.chunks(silence=SILENCE_SECONDS):
                block = lines.feed(data)
                new = self._seam.take(block) if before else (yield from self._new_of(block))
                if before is not None:
                    if self._seam.joins is False and not self._is_rotated:
                        self._seam = held
                        return self._find_out()
                    # Its first line may come again: the kubelet may begin this file once more.
                    self._course.note(block)
                    if self._seam.joins is not None:
                        yield from self._joined(before)
                        before = None
                if new:
                    yield Lines(new)
                self._arrive()
                if new and self._lags():
                    yield from self._jump()
                    return True
                if self._is_over:
                    break
        rest = lines.stop(stream.broken)
        if rest:
            yield Lines(rest)
        self._check_end(lines, stream.broken, is_joined=before is None)
        return stream.broken and time.monotonic() - began >= SILENCE_SECONDS

    def _check_end(self, lines: StampedLines, broken: bool, is_joined: bool) -> None:
        """Note how a stream ended. ApiProblem where it showed nothing of the log that goes on."""
        self._is_whole = not broken and not lines.foreign
        if lines.foreign and not (lines.is_shown and is_joined):
            raise NotALog(lines.foreign)
        if lines.foreign:
            # The next stream may go on where this one ended. Then nothing is missing.
            self._lose(NotALog(lines.foreign).text)
        if not is_joined:
            raise ApiProblem(0, "the log does not show the line that it ended with before")

    def _new_of(self, block: bytes) -> Generator[Event, None, bytes]:
        """What was not seen yet of the next lines of a stream that goes on where the last one ended."""
        if self._seam.last is None and not self._from_start:
            block = lines_since(block, self._window)
        yield from self._await(block, is_known=self._is_rotated)
        self._course.see(block, time.time())
        if self._course.holes:
            yield from self._lost_between()
        new, begin = b"", 0
        for turn in self._course.turns:
            new += self._seam.take(block[begin:turn])
            self._seam.begin()
            begin = turn
        return new + self._seam.take(block[begin:])

    def _lost_between(self) -> Iterator[Event]:
        """Of files that were rotated away unread a hole is left. Where the newest file has both its ends it is none."""
        try:
            oldest = self._log.oldest(self._instance)
        except (ApiProblem, DeadlineExceeded):
            oldest = None  # nothing is proved
        lost = [hole for hole in self._course.holes if oldest is None or hole[0].order < oldest.order]
        if lost:
            text = "files of the log may have been rotated away before they could be read"
            yield Gap(ROTATION_MISSED, text, lost[0][0].moment, lost[-1][1].moment)

    def _find_out(self) -> bool:
        """A stream does not go on where the one before ended: the file was rotated, or it is another container's, which
        the cluster shows some seconds later. Returns whether there is nothing else to find out."""
        patience = self._deadline.child(CHANGE_SECONDS, "change")
        container = (self._instance.container_id, self._instance.restarts)
        while not patience.expired and not self._is_over:
            now = self._seen()
            if now is None or (now.container_id, now.restarts) != container:
                return False
            self._wait(PAUSE)
        self._is_rotated = True
        return True

    def _joined(self, before: Stamp) -> Iterator[Event]:
        """The stream shows whether it goes on where the one before ended."""
        self._lost, self._is_rotated, self._is_unreadable = None, False, False
        if not self._seam.joins:
            yield rotated("while it was not read", before.moment, self._last_moment)

    def _prove(self) -> bool:
        """Whether the log can be read; then _since_proved tells since when it is seen, and a stream of it has something
        to show. Not where the container has no log yet."""
        try:
            last = self._log.newest(self._instance)
            oldest = self._log.oldest(self._instance)
        except ApiProblem as problem:
            if problem.code == 400:
                return False
            raise
        newest = self._newest = stamp_of(last)
        self._course.opened = newest.order if newest else ("", "")
        # What was rotated away before is not seen.
        self._since_proved = max(self._window, (oldest.moment if oldest else None) or time.time())
        if newest is None or newest.moment is None:
            return True
        if not self._from_start and newest.moment < self._window:
            # It is older than what is asked for, and shows where that begins.
            self._seam.note(last)
        else:
            # If it was rotated between the two answers, the newest line is older than the oldest.
            self._awaited = self._awaited or (min(self._since_proved, newest.moment), newest)
        return True

    def _await(self, block: bytes, is_known: bool) -> Iterator[Event]:
        """Name what is missing before the first lines of all. is_known: they are of this container, and of no other;
        where they may be of another, and begin after what was there when the log was looked into, _Unexpected."""
        first = stamp_of(block) if self._awaited else None
        if first is None or self._awaited is None:
            return
        since, newest = self._awaited
        if first.order > newest.order:
            if not is_known:
                raise _Unexpected
            yield rotated("just when it was opened", since, first.moment)
        self._awaited, self._is_rotated = None, False

    def _pass_on(self, block: bytes) -> Iterator[Event]:
        yield from self._await(block, is_known=True)
        new = self._seam.take(block) if block.strip() else b""
        if new:
            yield Lines(new)

    def _arrive(self) -> None:
        """Note when the present is reached."""
        last = self._seam.last
        if not self.present.is_set() and (self._newest is None or (last and last.order >= self._newest.order)):
            self.present.set()

    def _lags(self) -> bool:
        """Whether reading fell behind writing, and cannot catch up."""
        moment = self._last_moment
        if moment is None:
            return False
        if self._lag.of(moment, time.time()) <= LAG_SECONDS:
            self._lags_since = None
            return False
        self._lags_since = self._lags_since or time.monotonic()
        return time.monotonic() - self._lags_since > CATCH_UP_SECONDS

    def _jump(self) -> Iterator[Event]:
        """Go on with the newest line; where there is none, with what is written from now on."""
        since, self._seam, self._from_start = self._last_moment, Seam(), False
        # By the clock of the node.
        self._window = time.time() - self._lag.least
        text = "more is written than can be read: only a sample of it was seen"
        try:
            last = self._log.newest(self._instance)
        except (ApiProblem, DeadlineExceeded):
            yield Gap(SKIPPED, text, since, self._window)
            raise
        newest = stamp_of(last)
        self._seam.note(last)
        yield Gap(SKIPPED, text, since, newest.moment if newest else self._window)

    def _cut_off(self) -> None:
        self._log.cut_off()
