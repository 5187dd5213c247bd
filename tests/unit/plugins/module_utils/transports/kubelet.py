# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs in memory, served as an API server and a kubelet serve them, with what a kubelet leaves out or sends again."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.continuity_steps import Now
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.follow import system_clock
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.problem import ApiProblem


def log_line(text: str, moment: float) -> bytes:
    when = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
    return f"{when:%Y-%m-%dT%H:%M:%S.%f}000Z {text}\n".encode()


class SimulatedClock:
    """Clock that a test sets forward. Each reading takes ten microseconds, so that no two timestamps are equal."""

    def __init__(self, wall: float = 1_795_608_000.0) -> None:
        self._wall = wall
        self.passed = 0.0

    def __call__(self) -> Now:
        self.passed += 1e-5
        return Now(self._wall + self.passed, self.passed)

    def advance(self, seconds: float) -> None:
        self.passed += seconds


@dataclass
class Log:
    """Log of one container. oldest: the number of the first line that a new stream is given."""

    lines: list[bytes] = field(default_factory=list)
    oldest: int = 0
    ended: bool = False


@dataclass
class Kubelet:
    """Logs of one pod, in place of an Api.

    refusal: raised in place of an answer. error_text: sent by new streams in place of the log.
    pace: called before each chunk of a stream. chunk_lines: the most lines in a chunk. asked: the query of each call.
    """

    log: Log = field(default_factory=Log)
    before: Log | None = None
    clock: Callable[[], Now] = system_clock
    refusal: ApiProblem | None = None
    error_text: bytes = b""
    pace: Callable[[], object] = lambda: None
    chunk_lines: int = 100
    asked: list[dict[str, str]] = field(default_factory=list)
    streams: list[LogBody] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def time(self) -> float:
        return self.clock().wall

    def say(self, *texts: str, ago: float = 0.0) -> None:
        with self.changed:
            self.log.lines += [log_line(text, self.time() - ago) for text in texts]
            self.changed.notify_all()

    def rotate(self) -> None:
        """Rotate the file: new streams see only later lines; open streams go on."""
        with self.changed:
            self.log.oldest = len(self.log.lines)

    def cut(self, broken: bool = False, after: bytes = b"") -> None:
        """End all streams, after some last bytes."""
        with self.changed:
            for stream in self.streams:
                stream.end = (broken, after)
            self.changed.notify_all()

    def deafen(self) -> None:
        """Keep the open streams open, and send nothing more through them."""
        with self.changed:
            for stream in self.streams:
                stream.deaf = True

    def reopen(self, at: int) -> None:
        """Let open streams continue with the first line of the newest file when they come to that line."""
        with self.changed:
            for stream in self.streams:
                stream.reopens = at

    def refuse(self, code: int, text: str = "no") -> None:
        self.refusal = ApiProblem(code, text)

    def restart(self, *texts: str, ago: float = 0.0, kept: bool = True) -> None:
        """Replace the container by another, which has written that. Streams of the old one end. kept: its log."""
        with self.changed:
            self.log.ended = True
            self.before, self.log = self.log if kept else None, Log()
            self.say(*texts, ago=ago)

    @property
    def followed(self) -> list[dict[str, str]]:
        return [query for query in list(self.asked) if "follow" in query]

    def new_stream(self, query: dict[str, str]) -> LogBody:
        """Open a stream, which may have nothing to give yet. ApiProblem."""
        self.asked.append(query)
        if self.refusal is not None:
            raise self.refusal
        log = self.before if query.get("previous") else self.log
        if log is None:
            raise ApiProblem(400, "previous terminated container not found")
        stream = LogBody(self, log, query)
        if self.error_text:
            stream.end = (False, self.error_text)
        self.streams.append(stream)
        return stream

    def open_stream(self, path: str, query: dict[str, str], deadline: Deadline, patience: float) -> LogBody | None:
        assert path == "/api/v1/namespaces/cloud/pods/region-a/log"
        deadline.check()
        with self.changed:
            stream = self.new_stream(query)
            begun = self.changed.wait_for(lambda: stream.has_something, min(patience, deadline.remaining()))
            return stream if begun else None


class LogBody:
    """A stream, as api.Stream."""

    def __init__(self, kubelet: Kubelet, log: Log, query: dict[str, str]) -> None:
        self._kubelet = kubelet
        self._log = log
        self._follow = "follow" in query
        self._limit = int(query.get("limitBytes", 1 << 40))
        self._at = log.oldest
        if "tailLines" in query:
            self._at = max(self._at, len(log.lines) - int(query["tailLines"]))
        self._since = query.get("sinceTime", "").encode()[:19]
        self._is_stamped = "timestamps" in query
        self.end: tuple[bool, bytes] | None = None
        self.deaf = False
        self.reopens = -1
        self.broken = False
        self.is_finished = False

    @property
    def has_something(self) -> bool:
        return bool(self._next) or self.end is not None or self._log.ended or not self._follow

    @property
    def _next(self) -> list[bytes]:
        """Lines that come next, from the requested second on."""
        lines = self._log.lines
        while self._at < len(lines) and lines[self._at][:19] < self._since:
            self._at += 1
        if self._at == self.reopens:
            self._at, self.reopens = self._log.oldest, -1
        end = self._at + self._kubelet.chunk_lines if self.reopens < 0 else self.reopens
        return [] if self.deaf else lines[self._at : end]

    def chunks(self, silence: float | None = None) -> Iterator[bytes]:
        changed = self._kubelet.changed
        while not self.is_finished:
            self._kubelet.pace()
            with changed:
                if not changed.wait_for(lambda: self.has_something, silence):
                    self.broken = True
                    return
                parts = self.take()
            yield from parts

    def take(self) -> list[bytes]:
        """Return the next parts of the log. A stream that comes to its end is finished, and may be broken."""
        lines = [] if self.end is not None else self._next
        if not lines:
            self.is_finished = True
            self.broken, last = self.end or (False, b"")
            return [last] if last else []
        self._at += len(lines)
        data = b"".join(map(self._shown, lines))[: self._limit]
        self._limit -= len(data)
        self.is_finished = not self._limit
        # Lines do not end where chunks do.
        return [part for part in (data[: len(data) // 3], data[len(data) // 3 :]) if part]

    def _shown(self, line: bytes) -> bytes:
        return line if self._is_stamped else line.partition(b" ")[2]

    def cut_off(self) -> None:
        with self._kubelet.changed:
            self.end = (True, b"")
            self._kubelet.changed.notify_all()

    def close(self) -> None:
        with self._kubelet.changed:
            if self in self._kubelet.streams:
                self._kubelet.streams.remove(self)
