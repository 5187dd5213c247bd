# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the dump that answers a signal among other dumps in a live log. Sans-I/O.

A log may hold pieces of dumps that were logged as text. The dump that answers a signal includes the goroutine that
writes it, which is in runtime/pprof. So every header line begins a candidate, and the first candidate that is complete
and has its writer is the answer.

There is one exception: a header that was logged into the middle of the dump. The rest of the dump after it may look
like a complete one. So the reader waits as long as another candidate, which began earlier, may still turn out to be one
dump around it.
"""

from __future__ import annotations

from typing import Sequence

from .reader import DumpReader, ReaderState

_MARK = b"\ngoroutine profile: total "
_WRITER = "runtime/pprof."
_MOST_CANDIDATES = 8
_WITHOUT_END = (ReaderState.SEARCHING, ReaderState.READING)


def has_writer(reader: DumpReader) -> bool:
    """Return whether one of the goroutines is writing this dump."""
    return any((row.function or b"").startswith(_WRITER.encode()) for block in reader.blocks for row in block.rows)


def _rank(reader: DumpReader) -> tuple[bool, bool, int]:
    """Return a sort key for readers; among equals the first is the best."""
    answers = has_writer(reader)
    return answers and reader.state is ReaderState.COMPLETE, answers, reader.counted


class _LiveCandidate:
    """The dump that one header line may begin.

    outer: candidates that had already read blocks when this one began.
    """

    def __init__(self, reader: DumpReader, outer: Sequence[_LiveCandidate]) -> None:
        self.reader = reader
        self._outer = outer
        self._ordered = 1  # number of blocks that are known to be in order
        self._is_answer: bool | None = None

    @property
    def ended(self) -> bool:
        return self.reader.state not in _WITHOUT_END

    @property
    def is_answer(self) -> bool:
        """Return whether the dump has ended and was written for the signal."""
        if self._is_answer is None and self.ended:
            self._is_answer = has_writer(self.reader)
        return bool(self._is_answer)

    @property
    def may_be_inside(self) -> bool:
        """Return whether this may be a part of a dump that continues."""
        return any(not outer.ended and outer.is_in_order for outer in self._outer)

    @property
    def is_in_order(self) -> bool:
        """Return whether the blocks are in the order in which Go writes them.

        Blocks out of order come from more than one dump.
        """
        blocks = self.reader.blocks
        while self._ordered < len(blocks) and blocks[self._ordered - 1].order < blocks[self._ordered].order:
            self._ordered += 1
        return self._ordered >= len(blocks)


class LiveReader:
    """Reader of a live log that selects the dump which answers the signal.

    skip_first_line and max_bytes are DumpReader's. done: the answer has been found and is final.
    """

    def __init__(self, skip_first_line: bool = False, max_bytes: int = 64 << 20) -> None:
        self._max_bytes = max_bytes
        self._skipping = skip_first_line
        # As if the stream began with a newline, so that a header in its first line is found.
        self._tail = b"" if skip_first_line else b"\n"
        self._candidates: list[_LiveCandidate] = []
        self._none = DumpReader()
        self._found: DumpReader | None = None

    @property
    def done(self) -> bool:
        return self._found is not None

    @property
    def best(self) -> DumpReader:
        """Return the answer; else the candidate that has come furthest; else an empty reader."""
        if self._found is not None:
            return self._found
        readers = [candidate.reader for candidate in self._candidates]
        return max(readers, key=_rank, default=self._none)

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
        # Line by line, so that every split of the stream gives the same result.
        for line in data.splitlines(keepends=True):
            if self.done:
                return
            self._feed_line(line)

    def _feed_line(self, data: bytes) -> None:
        for candidate in self._candidates:
            candidate.reader.feed(data)
        window = self._tail + data
        found = window.find(_MARK)
        if found >= 0:
            self._begin(window[found + 1 :])
        self._tail = window[1 - len(_MARK) :]
        if any(candidate.ended for candidate in self._candidates):
            self._select()

    def _begin(self, data: bytes) -> None:
        """Add a candidate for a header line, of which `data` has come so far."""
        reader = DumpReader(max_bytes=self._max_bytes, one_header=True)
        reader.feed(data)
        outer = [candidate for candidate in self._candidates if not candidate.ended and candidate.reader.counted]
        self._candidates.append(_LiveCandidate(reader, outer))
        # Above the limit, close the oldest candidates.
        for candidate in [each for each in self._candidates if not each.ended][:-_MOST_CANDIDATES]:
            candidate.reader.feed(b"")

    def _select(self) -> None:
        free = [each.reader for each in self._candidates if each.is_answer and not each.may_be_inside]
        if free:
            self._found = max(free, key=_rank)
            return
        # A dump that ended without its writer is not the answer.
        self._candidates = [each for each in self._candidates if each.is_answer or not each.ended]
