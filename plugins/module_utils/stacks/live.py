# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the dump that was asked for from others in the same log. Sans-I/O.

A log may hold pieces of dumps that somebody logged as text. The dump that answers a signal has the goroutine that
writes it among its own: it stands in runtime/pprof. So every header line begins a candidate, and the first candidate
that is complete and has its writer is the one.
"""

from __future__ import annotations

from .reader import DumpReader, ReaderState

_MARK = b"\ngoroutine profile: total "
_WRITER = "runtime/pprof."
_MOST_CANDIDATES = 8
_WITHOUT_END = (ReaderState.SEARCHING, ReaderState.READING)


def has_writer(reader: DumpReader) -> bool:
    """Whether one of the goroutines is writing this dump."""
    return any((row.function or b"").startswith(_WRITER.encode()) for block in reader.blocks for row in block.rows)


class LiveReader:
    """Fed with a log from now on; `best` is the reader of the dump that was asked for, as far as can be told.

    skip_first_line and max_bytes are DumpReader's. `done`: the best one has come to its end.
    """

    def __init__(self, skip_first_line: bool = False, max_bytes: int = 64 << 20) -> None:
        self._max_bytes = max_bytes
        self._skipping = skip_first_line
        # As if a newline stood before the stream, so that a header in its first line is one, too.
        self._tail = b"" if skip_first_line else b"\n"
        self._candidates: list[DumpReader] = []
        self._none = DumpReader()
        self._found: DumpReader | None = None

    @property
    def done(self) -> bool:
        return self._found is not None

    @property
    def best(self) -> DumpReader:
        """The one that is found; else the candidate that has come furthest; else an empty reader."""
        if self._found is not None:
            return self._found
        return max(self._candidates, key=lambda reader: (has_writer(reader), reader.counted), default=self._none)

    def feed(self, data: bytes) -> None:
        """Take the next bytes; b"" is the end of the stream."""
        if self.done:
            return
        if not data:
            for reader in self._candidates:
                reader.feed(b"")
            return
        if self._skipping:
            newline = data.find(b"\n")
            if newline < 0:
                return
            self._skipping = False
            data = data[newline:]
        for reader in self._candidates:
            reader.feed(data)
        self._begin(data)
        self._judge()

    def _begin(self, data: bytes) -> None:
        """A candidate for each header line that ends its mark in these bytes."""
        window = self._tail + data
        found = window.find(_MARK)
        while found >= 0:
            reader = DumpReader(max_bytes=self._max_bytes, one_header=True)
            reader.feed(window[found + 1 :])
            self._candidates.append(reader)
            found = window.find(_MARK, found + 1)
        self._tail = window[1 - len(_MARK) :]

    def _judge(self) -> None:
        ended = [reader for reader in self._candidates if reader.state not in _WITHOUT_END]
        self._found = next((reader for reader in ended if has_writer(reader)), None)
        if self._found is None:
            # What ended without a writer is not the answer; of the others the oldest give way.
            kept = [reader for reader in self._candidates if reader.state in _WITHOUT_END]
            self._candidates = kept[-_MOST_CANDIDATES:] if ended or len(kept) > _MOST_CANDIDATES else kept
