# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read every debug=1 dump in the text of one source, given the offsets of the header lines.

A dump usually ends where the next header begins. But a header may be text that was logged while the dump was written.
So if a dump is in the middle of a block when a header comes, both are read on. If the first turns out to be complete,
the header within it was text.
"""

from __future__ import annotations

from typing import Iterator

from .blocks import MARK, NEXT_BLOCK_BYTES
from .reader import DumpReader, ReaderState

_MOST_OPEN = 8
_CHUNK = 1 << 20
_LEAK = b"goroutineleak profile: total "


def is_leak(data: bytes, start: int) -> bool:
    """Return whether the header line is that of /debug/pprof/goroutineleak (Go 1.26), whose form is the same.

    Such a profile holds only goroutines that nothing can wake, so the goroutine that writes it is not in it.
    """
    return data.startswith(_LEAK, start)


class _TextCandidate:
    """A dump that begins at a header, and its text up to the next header."""

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
            self.reader.check_following(data[self.end : self.end + NEXT_BLOCK_BYTES])

    def may_go_on(self) -> bool:
        blocks = self.reader.blocks
        return not self.reader.done and bool(blocks) and not blocks[-1].is_complete

    def close(self, data: bytes) -> None:
        """End the dump here.

        If it is not complete, it gets nothing of what comes after the next header.
        """
        self.reader.feed(b"")
        if not self.is_complete and self.end > self.stop:
            self.reader = DumpReader(one_header=True)
            self.feed(data, self.start, self.stop)
            self.reader.feed(b"")


def read_profiles(data: bytes, headers: list[int]) -> Iterator[tuple[int, DumpReader]]:
    """Yield the dumps that begin at these ascending offsets, each with its offset.

    Dumps that are text within another one are left out.
    """
    found: list[_TextCandidate] = []
    open_dumps: list[_TextCandidate] = []
    for start, stop in zip(headers, [*headers[1:], len(data)]):
        found.append(_TextCandidate(start, stop))
        open_dumps.append(found[-1])
        for candidate in open_dumps:
            candidate.feed(data, start, stop)
        open_dumps, ended = _split_open(open_dumps)
        for candidate in ended:
            candidate.close(data)
        if not open_dumps:
            yield from _kept(found)
            found = []
    for candidate in open_dumps:
        candidate.close(data)
    yield from _kept(found)


def _kept(candidates: list[_TextCandidate]) -> Iterator[tuple[int, DumpReader]]:
    """Yield those of overlapping candidates that are dumps."""
    complete_to = 0
    for candidate in candidates:
        if candidate.is_complete or candidate.start >= complete_to:
            yield candidate.start, candidate.reader
        if candidate.is_complete:
            complete_to = max(complete_to, candidate.end)


def _split_open(candidates: list[_TextCandidate]) -> tuple[list[_TextCandidate], list[_TextCandidate]]:
    """Split the candidates into those that may continue after the next header, at most _MOST_OPEN, and the others."""
    open_dumps = [candidate for candidate in candidates if candidate.may_go_on()][-_MOST_OPEN:]
    return open_dumps, [candidate for candidate in candidates if candidate not in open_dumps]
