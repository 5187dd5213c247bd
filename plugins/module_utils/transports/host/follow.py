# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follower of the log of a process on this machine: its files through rotation, or the journal.

After a restart of the container the log of the next process is followed from its first line.

Standard library only, Python >= 3.7: this runs on nodes.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import Callable, Generator, Iterator, Union

from ...deadline import Deadline, DeadlineExceeded
from ...logtext.lag import LagMeter
from ...logtext.lines import LineSplitter
from ...logtext.search import TimeOf, first_since, first_time, runtime_time, service_time, zone_offset
from ...logtext.timestamps import last_timestamp, parse_rfc3339
from ...model import Instance
from ...reasons import CaptureError, Reason, verdict
from ...vocabulary import NOT_READABLE, ROTATION_MISSED, SKIPPED
from ..follow import LAG_SECONDS, Ended, Event, Gap, InstanceLookup, Lines, LogFollower, Opened, WriterChanged
from .journal import JournalPosition, JournalStream
from .log_files import CHUNK, FilePosition, HostLogStream, LogFiles
from .procfs import translated

Source = Union[LogFiles, JournalPosition]
Find = Callable[[Instance, Deadline], Source]
Clock = Callable[[], float]


@dataclass(frozen=True)
class HostFollowLimits:
    """Times of a follower, in seconds.

    poll: between reads at the end of a file; a hit is seen within a second, and a quiet log costs little.
    pause: between lookups of a process that has ended. lag: a reader that lags more than this skips to the end of the
    log.
    """

    poll: float = 0.2
    pause: float = 1.0
    lag: float = LAG_SECONDS


NORMAL_LIMITS = HostFollowLimits()


class HostLogFollower(LogFollower):
    """Log of an instance on this machine. seconds: how far back to begin. find: returns the log of an instance."""

    def __init__(
        self,
        instance: Instance,
        seconds: int,
        look: InstanceLookup,
        find: Find,
        deadline: Deadline,
        limits: HostFollowLimits = NORMAL_LIMITS,
        clock: Clock = time.time,
    ) -> None:
        super().__init__(deadline)
        self._instance = instance
        self._limits = limits
        self._clock = clock
        self._window = clock() - seconds
        # Only a runtime writes timestamps; lines of other sources have dates of their own.
        self.timestamped = bool(instance.container_id) and not (instance.process and instance.process.log_file)
        if not self.timestamped:
            # Earlier lines in the same file are another process's.
            self._window = max(self._window, _started(instance))
        self._look = look
        self._find = find
        self._stream: HostLogStream | JournalStream | None = None
        self._lag = LagMeter()
        self._ended = (0, 0, 0)

    def events(self) -> Iterator[Event]:
        first = True
        while not self._is_over:
            try:
                with translated(Reason.LOG_UNAVAILABLE):
                    yield from self._read(first)
                first = False
                now = self._seen()
            except DeadlineExceeded:
                return
            except CaptureError as error:
                yield Gap(NOT_READABLE, error.verdict.message)
                yield Ended(error.verdict)
                return
            if now is None:
                yield Ended(verdict(Reason.GONE, "it is gone"))
                return
            if _process(now) != _process(self._instance):
                yield WriterChanged(now.container_id, now.restarts)
                # Another process may have had its pid before.
                self._window = _started(now)
            self._instance = now
            self._wait(self._limits.pause)

    def _seen(self) -> Instance | None:
        """Return the current instance, or the last known one if the watch ends meanwhile."""
        try:
            return self._look(self._deadline) if not self._is_over else self._instance
        except CaptureError:
            if not self._is_over:
                raise
            return self._instance

    def _read(self, first: bool) -> Iterator[Event]:
        """Yield the events of one process's log until its end."""
        source = self._find(self._instance, self._deadline)
        if isinstance(source, JournalPosition):
            yield from self._read_journal(source, first)
            return
        descriptor, offset, oldest = self._first_position(source) if first else (*self._next_position(source), None)
        if first:
            yield Opened(self._begun(oldest))
        while descriptor >= 0:
            descriptor, offset = yield from self._read_files(source, descriptor, offset)

    def _read_journal(self, source: JournalPosition, first: bool) -> Iterator[Event]:
        """Yield what is in the journal, and then what comes."""
        if first:
            yield Opened(self._window)
        self._stream = history = source.history(self._window, self._deadline)
        yield from self._pass_on(history)
        if self._is_over:
            return
        self._stream = stream = source.follow_on(history, self._deadline)
        self.caught_up.set()
        yield from self._pass_on(stream)
        if not (self._is_over or source.has_ended()):
            self._window = self._clock()
            yield Gap(NOT_READABLE, "journalctl ended before the service did", None, self._window)

    def _read_files(self, source: LogFiles, descriptor: int, offset: int) -> Generator[Event, None, tuple[int, int]]:
        """Yield the log from an offset on. Return descriptor and offset to skip to, or -1 at the end."""
        unwrap = source.unwrapper(None, with_timestamps=True)
        stream = HostLogStream(
            source, descriptor, offset, self._deadline, unwrap, self._limits.poll, self.caught_up.set
        )
        self._stream = stream
        self._lag = LagMeter()
        missed, truncated = source.missed, 0
        for event in self._pass_on(stream):
            if source.missed > missed:
                yield Gap(ROTATION_MISSED, "files were rotated faster than they were read", None, self._clock())
            if stream.truncated > truncated:
                yield Gap(ROTATION_MISSED, "the file was truncated while it was read", None, self._clock())
            missed, truncated = source.missed, stream.truncated
            yield event
            if isinstance(event, Lines) and self._lags(event.data):
                stream.close()
                since = last_timestamp(event.data)
                yield Gap(
                    SKIPPED,
                    "more is written than can be read: only a sample of it was seen",
                    since.moment if since else None,
                    self._clock(),
                )
                mark = FilePosition(source)
                return mark.descriptor, mark.offset
        self._ended = stream.ended
        return -1, 0

    def _pass_on(self, stream: HostLogStream | JournalStream) -> Iterator[Lines]:
        """Yield what a stream gives as whole lines."""
        lines = LineSplitter()
        with contextlib.closing(stream):
            if self._stopped.is_set():
                return
            data = stream.read()
            while data:
                whole = lines.feed(data)
                if whole:
                    yield Lines(whole)
                data = stream.read()
        rest = lines.end()
        if rest:
            yield Lines(rest + b"\n")

    def _begun(self, oldest: float | None) -> float:
        """Return the moment from which on the log is complete: older files may be rotated away."""
        return self._window if oldest is None else max(self._window, oldest)

    def _first_position(self, source: LogFiles) -> tuple[int, int, float | None]:
        """Return descriptor and offset where the window begins, and the time of the oldest existing line."""
        descriptors = source.open_all()
        time_of = runtime_time if source.wrapped else self._dated(descriptors[-1])
        oldest = first_time(_lines_at(descriptors[0], 0), time_of)
        while len(descriptors) > 1 and os.fstat(descriptors[0]).st_mtime < self._window:
            os.close(descriptors.pop(0))
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        return descriptors[0], _offset_of(descriptors[0], self._window, time_of), oldest

    def _next_position(self, source: LogFiles) -> tuple[int, int]:
        """Return where the next process's log begins: in its own file, or at the end of the previous one."""
        descriptor = source.open_current()
        status = os.fstat(descriptor)
        goes_on = self._ended[:2] == (status.st_dev, status.st_ino) and self._ended[2] <= status.st_size
        return descriptor, self._ended[2] if goes_on else 0

    def _dated(self, descriptor: int) -> TimeOf:
        """Return a function for the time of a service's line, whose date may be in another time zone."""
        status = os.fstat(descriptor)
        shift = zone_offset(_lines_at(descriptor, max(0, status.st_size - CHUNK)), status.st_mtime)

        def time_of(line: bytes) -> float | None:
            moment = service_time(line)
            return None if moment is None else moment + shift

        return time_of

    def _lags(self, data: bytes) -> bool:
        timestamp = last_timestamp(data) if self.timestamped else None
        moment = timestamp.moment if timestamp else None
        if moment is None:
            return False
        return self._lag.of(moment, self._clock()) > self._limits.lag

    def _cut_off(self) -> None:
        stream = self._stream
        if stream is not None:
            stream.stop()


def _started(instance: Instance) -> float:
    return parse_rfc3339(instance.started) or 0.0


def _process(instance: Instance) -> tuple[int, int]:
    return (instance.process.pid, instance.process.start_time) if instance.process else (0, 0)


def _lines_at(descriptor: int, offset: int) -> list[bytes]:
    """Return the whole lines in the next bytes of a file."""
    lines = os.pread(descriptor, CHUNK, offset).splitlines(keepends=True)
    return lines[1:] if offset else lines


def _offset_of(descriptor: int, since: float, time_of: TimeOf) -> int:
    """Return the offset of the first line that is not older. Lines without a time count as not older."""
    low, high = 0, os.fstat(descriptor).st_size
    while high - low > CHUNK:
        middle = (low + high) // 2
        moment = first_time(_lines_at(descriptor, middle), time_of)
        if moment is None or moment >= since:
            high = middle
        else:
            low = middle
    data = os.pread(descriptor, 2 * CHUNK, low)
    begin = data.find(b"\n") + 1 if low else 0
    lines = data[begin:].splitlines(keepends=True)
    return low + begin + sum(map(len, lines[: first_since(lines, since, time_of)]))
