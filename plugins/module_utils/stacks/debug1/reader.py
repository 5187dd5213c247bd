# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a goroutine dump (debug=1, written at SIGUSR1) out of a live log. Sans-I/O."""

from __future__ import annotations

import enum

from .assembler import Assembler
from .blocks import MARK, NEXT_BLOCK, Block

_LINE_MARK = b"\n" + MARK


class ReaderState(enum.Enum):
    """Progress of the reader; the last five states are final."""

    SEARCHING = "searching"  # no header line yet
    READING = "reading"  # between the header and the end
    COMPLETE = "complete"  # the counts add up to the stated total and every block is whole
    DAMAGED = "damaged"  # all goroutines are counted, but something is missing or changed
    OVERFLOW = "overflow"  # more than max_bytes since the header
    ABSENT = "absent"  # the input ended and there was no header
    CUT = "cut"  # the input ended within the dump


_FINAL = frozenset(ReaderState) - {ReaderState.SEARCHING, ReaderState.READING}


class DumpReader:
    """Reader that finds one dump in a container's log and removes the log lines within it.

    feed() takes the stream's bytes as they come; every split gives the same result. b"" is the end of input. If a dump
    is not complete when another header follows, the new dump replaces it (`superseded` counts these).

    skip_first_line: the stream begins with an older line (the log was opened with tailLines=1); leave it out.
    one_header: a second header line is other text, not the beginning of another dump.
    max_bytes: limit for the stream, in bytes from the header on.
    """

    def __init__(self, skip_first_line: bool = False, max_bytes: int = 64 << 20, one_header: bool = False) -> None:
        self.state = ReaderState.SEARCHING
        self.max_bytes = max_bytes
        self._skipping = skip_first_line
        self._assembler = Assembler(one_header)
        self._buffer = bytearray(b"\n")  # the incomplete last line; while searching, it begins with a newline
        self._offset = -1  # of the buffer's beginning in the stream
        self._scanned = 0  # the buffer has no newline up to here

    @property
    def done(self) -> bool:
        return self.state in _FINAL

    @property
    def total(self) -> int | None:
        """Return the number of goroutines that the header states."""
        return self._assembler.total

    @property
    def counted(self) -> int:
        """Return the number of goroutines in the blocks that were read to their end."""
        return self._assembler.counted

    @property
    def dump(self) -> bytes:
        """Return the dump as the service wrote it, without other text within it."""
        return self._assembler.dump

    @property
    def foreign(self) -> list[bytes]:
        """Return what was removed from the dump: pieces of the log that each end with a newline."""
        return self._assembler.foreign

    @property
    def blocks(self) -> list[Block]:
        return self._assembler.blocks

    @property
    def superseded(self) -> int:
        return self._assembler.superseded

    @property
    def raw_span(self) -> tuple[int, int] | None:
        """Return start and end of the dump in the stream, in bytes, including other text within it."""
        if self._assembler.total is None:
            return None
        return self._assembler.start, self._offset

    @property
    def problems(self) -> list[str]:
        """Return why the dump is not proven to be complete; empty if and only if it is."""
        if self._assembler.total is None:
            return [f"there is no line `{MARK.decode('ascii')}N`"]
        return self._assembler.problems()

    def feed(self, data: bytes) -> ReaderState:
        """Take the next bytes and return the new state; b"" is the end of input."""
        if self.done:
            return self.state
        if not data:
            self.state = ReaderState.ABSENT if self.state is ReaderState.SEARCHING else ReaderState.CUT
            return self.state
        self._buffer += data
        if self._skipping and not self._skip_line():
            return self.state
        while not self.done and (self._search() if self.state is ReaderState.SEARCHING else self._read()):
            pass
        return self.state

    def check_following(self, data: bytes) -> None:
        """Check the bytes right after a complete dump.

        Another block there proves that the stated total is wrong.
        """
        if self.state is ReaderState.COMPLETE and NEXT_BLOCK.match(data):
            self._assembler.doubt(f"another block follows the {self.total} goroutines that the dump states")
            self.state = ReaderState.DAMAGED

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._offset += size
        self._scanned = max(0, self._scanned - size)

    def _skip_line(self) -> bool:
        newline = self._buffer.find(b"\n", 1)
        if newline < 0:
            self._drop(len(self._buffer) - 1)
            self._buffer[:] = b"\n"
            return False
        self._drop(newline)
        self._skipping = False
        return True

    def _search(self) -> bool:
        """Read the next header line; False if the buffer holds no whole one."""
        found = self._buffer.find(_LINE_MARK)
        if found < 0:
            self._drop(max(0, len(self._buffer) - len(_LINE_MARK) + 1))
            return False
        self._drop(found)
        end = self._next_line(1)
        if end is not None:
            self._read_line(1, end)
            self._drop(end if self.state is ReaderState.READING else end - 1)
        return end is not None

    def _read(self) -> bool:
        """Read the whole lines in the buffer; False if there are no more."""
        begin = 0
        while self.state is ReaderState.READING:
            end = self._next_line(begin)
            if end is None:
                break
            self._read_line(begin, end)
            begin = end
        self._drop(begin)
        return self.state is not ReaderState.READING

    def _next_line(self, begin: int) -> int | None:
        """Return the end of the line that begins there; None if it is incomplete or too far from the header."""
        newline = self._buffer.find(b"\n", max(begin, self._scanned))
        end = len(self._buffer) if newline < 0 else newline + 1
        start = self._offset + begin if self.total is None else self._assembler.start
        if self._offset + end - start > self.max_bytes:
            self.state = ReaderState.OVERFLOW
            return None
        if newline < 0:
            self._scanned = end
            return None
        return end

    def _read_line(self, begin: int, end: int) -> None:
        line = bytes(self._buffer[begin:end])
        if line.endswith(b"\r\n"):  # the container has a terminal (tty: true)
            line = line[:-2] + b"\n"
        self._assembler.add_line(line, self._offset + begin)
        if self._assembler.total is not None:
            self.state = ReaderState.READING
        if self._assembler.all_counted:
            self.state = ReaderState.DAMAGED if self._assembler.problems() else ReaderState.COMPLETE
