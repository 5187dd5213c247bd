# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read one goroutine dump out of a followed log, across reopened streams."""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass, field

from ...deadline import Deadline, DeadlineExceeded
from ...model import Instance
from ...reasons import MEANINGS, CaptureError, Reason, Verdict, verdict
from ...stacks.debug1.live_reader import LiveReader
from ...stacks.debug1.reader import DumpReader, ReaderState
from ...transports.base import LogStream, Transport

REOPENINGS = 3


@dataclass
class LiveDump:
    """A dump that is being read. If the stream ends before the dump is complete, the log is reopened.

    seen: facts about the process before the signal that may explain a missing dump. max_bytes: of one log window.
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
        """Read until the dump is complete or cannot become complete."""
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
            # A partial dump is worth more than the reason for its end.
            return self._unfinished(Reason.STREAM_ENDED, MEANINGS[error.verdict.reason].what)
        return self._unfinished(Reason.STREAM_ENDED)

    def _read_stream(self, log: LogStream) -> Verdict | None:
        """Read one stream; return None if it ended before the dump did."""
        # The bytes are bounded below, so the reader need not bound them.
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
        # A reopened stream begins before the signal again, but may hold less of the dump: the log of a restarted
        # container has none of it.
        if (_worth(reader), len(window)) >= (_worth(self.reader), len(self.window)):
            self.reader, self.window = reader, window

    def _unfinished(self, reason: Reason, why: str = "") -> Verdict:
        if self.reader.total is None:
            return verdict(Reason.NO_DUMP, "; ".join(filter(None, (_ENDS_WITHOUT.get(reason), self.seen))))
        words = [f"{self.reader.counted} of {self.reader.total} goroutines", why, *self.reader.problems[:1]]
        return verdict(reason, "; ".join(word for word in words if word))


# Why reading ended before the deadline without any dump.
_ENDS_WITHOUT = {
    Reason.STREAM_ENDED: "the log stream ended before",
    Reason.TOO_LARGE: "the log window grew over cloudpods_max_bytes before",
}


def _worth(reader: DumpReader) -> tuple[bool, bool, int]:
    """Return a sort key: complete dumps first, then by the number of goroutines."""
    return reader.state is ReaderState.COMPLETE, reader.total is not None, reader.counted
