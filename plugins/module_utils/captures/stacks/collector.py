# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing goroutine dumps: the procedure for one instance, written against the transport interface.

Order matters: the log is open before the signal is sent, all checks are made before the gate, and nothing is done
after the gate but the signal, so that all replicas are caught at the same moment.
"""

from __future__ import annotations

import contextlib
import datetime
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from ...bounds import check_bounds
from ...bundle.store import Store, json_bytes
from ...deadline import Deadline, DeadlineExceeded
from ...fanout import Caps
from ...model import Artifact, Instance, LedgerRow, Process, row, state_words, utc_now, utc_text
from ...reasons import MEANINGS, CaptureError, Reason, Verdict, verdict
from ...stacks.debug1.live_reader import LiveReader
from ...stacks.debug1.reader import DumpReader, ReaderState
from ...stacks.parse import dump_of
from ...transports.base import LogStream, ProcessSession, Transport, as_details
from ..engine.restarts import seconds_of
from .attempt import STACK, VERSION, Attempt
from .signal_policy import choose_process, memory_allows_version
from .version import ImageClaims, parse_version

REOPENINGS = 3
# A service that started less than so many seconds ago may not listen yet, and sets its handler just before it does.
YOUNG_SECONDS = 120.0


@dataclass(frozen=True)
class Options:
    """How to capture. timeout is per instance and dump, in seconds; max_bytes bounds one log window.

    method: signal; pprof (the goroutines by /debug/pprof instead); both; auto (the signal, and the other where it can
    be had for little).
    """

    timeout: float = 30.0
    count: int = 1
    interval: float = 10.0
    concurrency: int = 40
    node_concurrency: int = 20
    max_bytes: int = 256 << 20
    gate_patience: float = 5.0
    method: str = "signal"

    def __post_init__(self) -> None:
        check_bounds({name: getattr(self, name) for name in ("count", "concurrency", "node_concurrency", "max_bytes")})


@dataclass
class Taken:
    """What came of one attempt on one instance. session: still open, for the version."""

    outcome: Verdict
    process: Process | None = None
    dump: LiveDump | None = None
    session: ProcessSession | None = None


@dataclass
class VersionReading:
    """The raw output, its parsed form (None when it is no version), and the verdict."""

    outcome: Verdict
    raw: bytes = b""
    parsed: dict[str, str] | None = None


@dataclass
class LiveDump:
    """The dump as it comes out of a log: reads on until it is complete, reopening the stream when it ends.

    seen: what was seen of the process before the signal that may explain why no dump comes.
    """

    max_bytes: int
    seen: str = ""
    window: bytes = b""
    reader: DumpReader = field(default_factory=DumpReader)

    def read(
        self,
        transport: Transport,
        instance: Instance,
        log: LogStream | None,
        sent: datetime.datetime,
        deadline: Deadline,
    ) -> Verdict:
        """Read until the dump is whole or cannot become so any more."""
        try:
            for _attempt in range(REOPENINGS):
                if log is None:
                    log = transport.reopen_log(instance, sent, deadline)
                if log is None:
                    break
                with log:
                    outcome = self._read_stream(log)
                if outcome is not None:
                    return outcome
                log = None
        except DeadlineExceeded:
            return self._unfinished(Reason.CUT_SHORT)
        except CaptureError as error:
            if self.reader.total is None:
                raise
            # What there is of the dump weighs more than why there is no more of it.
            return self._unfinished(Reason.STREAM_ENDED, MEANINGS[error.verdict.reason].what)
        return self._unfinished(Reason.STREAM_ENDED)

    def _read_stream(self, log: LogStream) -> Verdict | None:
        """One stream; None when it ended before the dump did."""
        # What is read is bounded here, so the reader need not bound it.
        live = LiveReader(skip_first_line=log.old_first_line, max_bytes=sys.maxsize)
        chunks: list[bytes] = []
        size = 0
        try:
            while not live.done and size <= self.max_bytes:
                data = log.read()
                chunks.append(data)
                size += len(data)
                live.feed(data)
                if not data:
                    return None
        finally:
            self._keep_better(live.best, b"".join(chunks))
        if self.reader.state is ReaderState.COMPLETE:
            return verdict(Reason.PROVEN, f"{self.reader.total} goroutines")
        if self.reader.state is ReaderState.DAMAGED:
            return self._unfinished(Reason.DAMAGED)
        return self._unfinished(Reason.TOO_LARGE)

    def _keep_better(self, reader: DumpReader, window: bytes) -> None:
        # A reopened stream covers the time from before the signal again; but there may be less of the dump in it: a
        # container that was restarted has nothing of it.
        if (_worth(reader), len(window)) >= (_worth(self.reader), len(self.window)):
            self.reader, self.window = reader, window

    def _unfinished(self, reason: Reason, why: str = "") -> Verdict:
        if self.reader.total is None:
            return verdict(Reason.NO_DUMP, "; ".join(filter(None, (_ENDS_WITHOUT.get(reason), self.seen))))
        words = [f"{self.reader.counted} of {self.reader.total} goroutines", why, *self.reader.problems[:1]]
        return verdict(reason, "; ".join(word for word in words if word))


# Why a log that has no dump at all is not read to the deadline.
_ENDS_WITHOUT = {
    Reason.STREAM_ENDED: "the log stream ended before",
    Reason.TOO_LARGE: "the log window grew over cloudpods_max_bytes before",
}


def _seen(process: Process, instance: Instance) -> str:
    """Return what may explain that a process does not answer a signal, as it was seen before; "" when nothing does."""
    words = []
    state = state_words(process)
    if state:
        words.append(f"before the signal the process was {state}")
    if _is_young(instance):
        words.append(f"it started only at {instance.started}, and a service ignores the signal until it listens")
    return "; ".join(words)


def _is_young(instance: Instance) -> bool:
    """Whether it started less than YOUNG_SECONDS ago, by clocks that may differ."""
    started = seconds_of(instance.started)
    return started is not None and abs(time.time() - started) < YOUNG_SECONDS


def _worth(reader: DumpReader) -> tuple[bool, bool, int]:
    return reader.state is ReaderState.COMPLETE, reader.total is not None, reader.counted


class StackCapture:
    """The procedure with its surroundings; capture() may be called from many threads."""

    def __init__(self, transport: Transport, store: Store, options: Options) -> None:
        self._transport = transport
        self._store = store
        self._options = options
        self._claims = ImageClaims()
        self._nodes = Caps(options.node_concurrency)

    def capture(self, attempt: Attempt, arrive: Callable[[Deadline], None], run_deadline: Deadline) -> None:
        """One dump of one instance (and the version, once per image). Never raises for what the target does."""
        started, clock = utc_now(), time.monotonic()
        deadline = run_deadline.child(self._options.timeout, "instance")
        with contextlib.ExitStack() as opened:
            taken = self._take(attempt, arrive, deadline, opened)
            attempt.is_answered = taken.dump is not None and taken.dump.reader.total is not None
            # Recorded before the version is asked for: whatever that does, the dump is safe.
            attempt.record(self._keep_stack(attempt, taken, started, time.monotonic() - clock))
            first = attempt.sequence == 1
            if first and taken.session and taken.process and self._claim(attempt.instance):
                attempt.doing = VERSION
                reading = self._version(taken.session, taken.process)
                attempt.record(self._keep_version(attempt.instance, reading, started))

    def _claim(self, instance: Instance) -> bool:
        return self._claims.claim(instance.image_id, instance.component)

    def _take(
        self,
        attempt: Attempt,
        arrive: Callable[[Deadline], None],
        deadline: Deadline,
        opened: contextlib.ExitStack,
    ) -> Taken:
        """The dump. What is open afterwards, `opened` closes."""
        taken, instance = Taken(verdict(Reason.TIMEOUT)), attempt.instance
        try:
            log = self._transport.open_log(instance, deadline)
            if log is not None:
                opened.enter_context(log)
            with self._nodes.hold(instance.node, deadline):
                session = opened.enter_context(self._transport.open_process(instance, deadline))
            taken.process = choose_process(session.facts, self._transport.follows_files)
            attempt.seen = _seen(taken.process, instance)
            arrive(deadline)
            attempt.sent = session.signal(taken.process)
            taken.dump = LiveDump(self._options.max_bytes, attempt.seen)
            taken.outcome = taken.dump.read(self._transport, instance, log, attempt.sent, deadline)
            if not session.confirmed and taken.dump.reader.total is None:
                words = ("the connection ended, so the signal may not have arrived", attempt.seen)
                taken.outcome = verdict(Reason.NO_DUMP, "; ".join(filter(None, words)))
            taken.session = session
        except CaptureError as error:
            taken.outcome = error.verdict
            if attempt.sent is not None and error.verdict.reason is Reason.LOG_UNAVAILABLE:
                words = (f"the log cannot be read any more ({error.detail})", attempt.seen)
                taken.outcome = verdict(Reason.NO_DUMP, "; ".join(filter(None, words)))
        except DeadlineExceeded as error:
            taken.outcome = verdict(Reason.TIMEOUT, f"the deadline of the {error.scope}")
        return taken

    def _version(self, session: ProcessSession, process: Process) -> VersionReading:
        raw = b""
        with contextlib.suppress(CaptureError):
            raw = session.built_as(process)
            return VersionReading(verdict(Reason.RECORDED), raw, parse_version(raw))
        try:
            if not memory_allows_version(session.facts):
                room = (session.facts.memory_room or 0) >> 20
                raise CaptureError(Reason.NO_MEMORY_ROOM, f"{room} MiB are left")
            raw = session.version(process)
            return VersionReading(verdict(Reason.RECORDED), raw, parse_version(raw))
        except CaptureError as error:
            return VersionReading(error.verdict, raw)
        except DeadlineExceeded as error:
            return VersionReading(verdict(Reason.NO_VERSION, str(error)), raw)

    def _keep_stack(self, attempt: Attempt, taken: Taken, started: datetime.datetime, duration: float) -> LedgerRow:
        """Write what was seen of the dump, and make its row."""
        details = as_details(taken.process) if taken.process else {}
        artifact = None
        if attempt.sent:
            details["signal_sent"] = utc_text(attempt.sent)
        if taken.dump:
            artifact = self._keep_dump(attempt.instance, attempt.sequence, taken.dump, details)
        return row(
            attempt.instance, STACK, taken.outcome, attempt.sequence, artifact, utc_text(started), duration, details
        )

    def _keep_dump(self, instance: Instance, sequence: int, dump: LiveDump, details: dict[str, Any]) -> Artifact | None:
        """The log window as received, the dump put together again, and its parsed form; the best of them."""
        folders, stem = instance.folders, f"stack-{sequence}"
        artifact = None
        if dump.window:
            artifact = self._store.keep(folders, stem + ".log", dump.window)
        if dump.reader.total is None:
            return artifact
        artifact = self._store.keep(folders, stem + ".txt", dump.reader.dump)
        parsed = dump_of(dump.reader)
        details["parsed"] = self._store.keep(folders, stem + ".json", json_bytes(parsed.to_dict())).path
        details["total"] = dump.reader.total
        details["goroutines"] = dump.reader.counted
        details["groups"] = len(parsed.groups)
        return artifact

    def _keep_version(self, instance: Instance, reading: VersionReading, started: datetime.datetime) -> LedgerRow:
        folders, artifact = instance.folders, None
        details: dict[str, Any] = {"image_id": instance.image_id}
        if reading.raw:
            artifact = self._store.keep(folders, "version.txt", reading.raw)
        if reading.parsed:
            artifact = self._store.keep(folders, "version.json", json_bytes(reading.parsed, indent=1))
            details["version"] = reading.parsed
        return row(instance, VERSION, reading.outcome, 1, artifact, utc_text(started), 0.0, details)
