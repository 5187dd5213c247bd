# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the dump that was asked for from others in the same log. Sans-I/O.

A log may hold pieces of dumps that somebody logged as text. The dump that answers a signal has the goroutine that
writes it among its own: it stands in runtime/pprof. So every header line begins a candidate, and the first candidate
that is complete and has its writer is the one; but for a header that somebody logged into the middle of the dump, after
which the rest of it may look like a whole one. So as long as another candidate reads what may be one dump from before
to behind it, it waits.
"""

from __future__ import annotations

from typing import Sequence

from .reader import DumpReader, ReaderState

_MARK = b"\ngoroutine profile: total "
_WRITER = "runtime/pprof."
_MOST_CANDIDATES = 8
_WITHOUT_END = (ReaderState.SEARCHING, ReaderState.READING)


def has_writer(reader: DumpReader) -> bool:
    """Whether one of the goroutines is writing this dump."""
    return any((row.function or b"").startswith(_WRITER.encode()) for block in reader.blocks for row in block.rows)


def _likelihood(reader: DumpReader) -> tuple[bool, bool, int]:
    """Orders readers; among equals the first is the best."""
    answers = has_writer(reader)
    return answers and reader.state is ReaderState.COMPLETE, answers, reader.counted


class _Candidate:
    """What follows one header line. outer: those that had read blocks of a dump when it began."""

    def __init__(self, reader: DumpReader, outer: Sequence[_Candidate]) -> None:
        self.reader = reader
        self._outer = outer
        self._ordered = 1  # so many of its blocks are known to be in order
        self._is_answer: bool | None = None

    @property
    def ended(self) -> bool:
        return self.reader.state not in _WITHOUT_END

    @property
    def is_answer(self) -> bool:
        """Whether it ended and was written for the signal."""
        if self._is_answer is None and self.ended:
            self._is_answer = has_writer(self.reader)
        return bool(self._is_answer)

    @property
    def may_be_inside(self) -> bool:
        """Whether it may be a part of a dump that goes on."""
        return any(not outer.ended and outer.is_in_order for outer in self._outer)

    @property
    def is_in_order(self) -> bool:
        """Go writes the blocks of a dump in an order; what is out of it comes from more than one place."""
        blocks = self.reader.blocks
        while self._ordered < len(blocks) and blocks[self._ordered - 1].order < blocks[self._ordered].order:
            self._ordered += 1
        return self._ordered >= len(blocks)


class LiveReader:
    """Fed with a log from now on; `best` is the reader of the dump that was asked for, as far as can be told.

    skip_first_line and max_bytes are DumpReader's. `done`: the best one has come to its end.
    """

    def __init__(self, skip_first_line: bool = False, max_bytes: int = 64 << 20) -> None:
        self._max_bytes = max_bytes
        self._skipping = skip_first_line
        # As if a newline stood before the stream, so that a header in its first line is one, too.
        self._tail = b"" if skip_first_line else b"\n"
        self._candidates: list[_Candidate] = []
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
        readers = [candidate.reader for candidate in self._candidates]
        return max(readers, key=_likelihood, default=self._none)

    def feed(self, data: bytes) -> None:
        """Take the next bytes; b"" is the end of the stream."""
        if not data:
            for candidate in self._candidates:
                candidate.reader.feed(b"")
            return
        if self._skipping:
            newline = data.find(b"\n")
            if newline < 0:
                return
            self._skipping = False
            data = data[newline:]
        # Judged line by line, so that every split of the stream gives the same.
        for line in data.splitlines(keepends=True):
            if self.done:
                return
            self._take(line)

    def _take(self, data: bytes) -> None:
        for candidate in self._candidates:
            candidate.reader.feed(data)
        window = self._tail + data
        found = window.find(_MARK)
        if found >= 0:
            self._begin(window[found + 1 :])
        self._tail = window[1 - len(_MARK) :]
        if any(candidate.ended for candidate in self._candidates):
            self._judge()

    def _begin(self, data: bytes) -> None:
        """A candidate for a header line, of which this has come."""
        reader = DumpReader(max_bytes=self._max_bytes, one_header=True)
        reader.feed(data)
        outer = [candidate for candidate in self._candidates if not candidate.ended and candidate.reader.counted]
        self._candidates.append(_Candidate(reader, outer))
        # The oldest give way.
        for candidate in [each for each in self._candidates if not each.ended][:-_MOST_CANDIDATES]:
            candidate.reader.feed(b"")

    def _judge(self) -> None:
        free = [each.reader for each in self._candidates if each.is_answer and not each.may_be_inside]
        if free:
            self._found = max(free, key=_likelihood)
            return
        # What ended without a writer is not the answer.
        self._candidates = [each for each in self._candidates if each.is_answer or not each.ended]
