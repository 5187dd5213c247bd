# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every debug=1 dump in the text of one source, given where the header lines stand.

A dump usually ends where the next header stands. But a header may be somebody's text, logged while the dump was
written. So a dump that is in the middle of a block when a header comes is read on beside the other; if it turns out
to be complete, what stood within it was text.
"""

from __future__ import annotations

from typing import Iterator

from .blocks import MARK, NEXT_BLOCK_BYTES
from .reader import DumpReader, ReaderState

_MOST_OPEN = 8
_CHUNK = 1 << 20
_LEAK = b"goroutineleak profile: total "


def is_leak(data: bytes, start: int) -> bool:
    """Whether the header line there is that of /debug/pprof/goroutineleak (Go 1.26), whose form is the same.

    Such a profile holds only goroutines that nothing can wake, so the one that writes it is not in it.
    """
    return data.startswith(_LEAK, start)


class _Candidate:
    """A dump that begins at a header, and its own stretch up to the next header."""

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop
        self.reader = DumpReader(one_header=True)
        self._more = 0  # bytes of the header that the reader is not given

    @property
    def end(self) -> int:
        span = self.reader.raw_span
        return self.start + self._more + span[1] if span else self.stop

    @property
    def is_complete(self) -> bool:
        return self.reader.state is ReaderState.COMPLETE

    def feed(self, data: bytes, start: int, stop: int) -> None:
        if start == self.start and is_leak(data, start):
            self._more = len(_LEAK) - len(MARK)
            self.reader.feed(MARK)
            start += len(_LEAK)
        for at in range(start, stop, _CHUNK):
            if self.reader.done:
                break
            self.reader.feed(data[at : min(at + _CHUNK, stop)])
        if self.is_complete:
            self.reader.followed_by(data[self.end : self.end + NEXT_BLOCK_BYTES])

    def may_go_on(self) -> bool:
        blocks = self.reader.blocks
        return not self.reader.done and bool(blocks) and not blocks[-1].whole

    def close(self, data: bytes) -> None:
        """The dump ends here. One that is not complete has nothing of what comes after the next header."""
        self.reader.feed(b"")
        if not self.is_complete and self.end > self.stop:
            self.reader = DumpReader(one_header=True)
            self.feed(data, self.start, self.stop)
            self.reader.feed(b"")


def read_profiles(data: bytes, headers: list[int]) -> Iterator[tuple[int, DumpReader]]:
    """The dumps that begin at these offsets, in ascending order, without those that are text within another."""
    found: list[_Candidate] = []
    going: list[_Candidate] = []
    for start, stop in zip(headers, [*headers[1:], len(data)]):
        found.append(_Candidate(start, stop))
        going.append(found[-1])
        for candidate in going:
            candidate.feed(data, start, stop)
        going, ended = _go_on(going)
        for candidate in ended:
            candidate.close(data)
        if not going:
            yield from _kept(found)
            found = []
    for candidate in going:
        candidate.close(data)
    yield from _kept(found)


def _kept(candidates: list[_Candidate]) -> Iterator[tuple[int, DumpReader]]:
    """Those of candidates that stand within one another that are dumps."""
    complete_to = 0
    for candidate in candidates:
        if candidate.is_complete or candidate.start >= complete_to:
            yield candidate.start, candidate.reader
        if candidate.is_complete:
            complete_to = max(complete_to, candidate.end)


def _go_on(candidates: list[_Candidate]) -> tuple[list[_Candidate], list[_Candidate]]:
    """Those that may go on after the next header, at most _MOST_OPEN, and those that do not."""
    going = [candidate for candidate in candidates if candidate.may_go_on()][-_MOST_OPEN:]
    return going, [candidate for candidate in candidates if candidate not in going]
