# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore the blank lines that journald drops from goroutine dumps. Sans-I/O.

journald leaves out empty lines (systemd src/journal/journald-stream.c), which end the blocks of a goroutine dump. They
are put back where a dump must have had them: before each block but the first, and before the first line of other text
once the counts of the blocks add up and the last block has its frames. If another writer's line came between the end
of a dump's line and its newline (see assemble.py), that newline had an empty line of its own.
"""

from __future__ import annotations

import re

from .debug1.blocks import LABELS, Block

_HEADER = re.compile(rb"goroutine profile: total (\d{1,9})\Z")
_BLOCK = re.compile(rb"(\d{1,9}) @((?: 0x[0-9a-f]{1,32})+)\Z")
_ROW = re.compile(rb"#\t0x([0-9a-f]{1,32})\t+[^\t]+\+0x[0-9a-f]+\t+[^\t]+:\d+\Z")
# A frame without a symbol has no more than its address.
_ADDRESS = re.compile(rb"#\t0x([0-9a-f]{1,32})(?:\t|\Z)")
# How log lines of the services begin.
_ENTRY = re.compile(rb"(?:\x1b\[\d+m)?\[\w+\]? (?:\d{6}|\d{4}[-/]\d\d[-/]\d\d) \d\d:\d\d:\d\d")
_CURSOR = re.compile(rb"-- cursor: ([!-~]+)\n\Z")
# Longer lines are not awaited: all pieces are matched again with each new one.
_LONGEST_ROW = 1 << 12


class BlankLineRestorer:
    """Return a journal's text with its blank lines while it is fed."""

    def __init__(self) -> None:
        self._rest = b""
        self._missing = 0
        self._in_block = False
        self._block = Block(0, ())
        # runtime.goexit: the last address of most blocks, which has no frame. None while unknown.
        self._goexit: int | None = None
        self._unknown = False  # a frame of the block matches none of its addresses
        # The beginning of a dump's line that another writer interrupted.
        self._torn = b""

    def feed(self, data: bytes) -> bytes:
        """Return the lines that are complete by now; b"" ends the input and returns the rest."""
        if not data:
            rest, self._rest = self._rest, b""
            return rest
        *lines, self._rest = (self._rest + data).split(b"\n")
        return b"".join(map(self._restored, lines))

    def _restored(self, line: bytes) -> bytes:
        """Return a line with the blank lines before and after it."""
        entry = _ENTRY.search(line)
        own = line[: entry.start()] if entry else line
        before = b"\n" if self._ends_before(own) else b""
        after = b"\n" if self._lacks_newline(own, entry is not None) else b""
        return before + line + b"\n" + after

    def _ends_before(self, own: bytes) -> bool:
        """Return whether a block ends before this line."""
        header, block = _HEADER.match(own), _BLOCK.match(own)
        ends = False
        if header:
            self._missing, self._in_block = int(header.group(1)), False
            self._block, self._goexit = Block(0, ()), None
        elif block and self._missing > 0:
            ends, self._in_block = self._in_block, True
            self._missing -= int(block.group(1))
            self._begin(int(block.group(1)), block.group(2))
        elif self._in_block and not own.startswith(b"#"):
            ends = self._missing <= 0 and self._may_end() and not self._torn
            self._in_block = not ends
        return ends

    def _lacks_newline(self, own: bytes, is_cut: bool) -> bool:
        """Return whether a dump's line ends here and another writer's line came before its newline."""
        begun = own if own.startswith(b"#") else self._torn + own
        row = _ROW.match(begun) or (_ADDRESS.match(own) if not is_cut else None)
        if row:
            self._add_frame(int(row.group(1), 16))
        if row or _BLOCK.match(begun) or LABELS.fullmatch(begun) or _HEADER.match(begun):
            self._torn = b""
            return is_cut
        if is_cut:
            self._torn = begun if begun.startswith(b"#") and len(begun) <= _LONGEST_ROW else b""
        elif own.startswith((b"#", b"goroutine profile: ")):
            self._torn = b""
        return False

    def _begin(self, count: int, addresses: bytes) -> None:
        """Begin another block; the one before is complete."""
        if self._block.located and self._block.hidden_end is not None:
            self._goexit = self._block.hidden_end
        self._block = Block(count, tuple(int(address, 16) for address in addresses.split()))
        self._unknown = False

    def _add_frame(self, pc: int) -> None:
        # Not with Block.add(), which keeps each frame: their number in a log is unbounded.
        index = self._block.locate(pc)
        if index is None:
            self._unknown = True
        else:
            self._block.next, self._block.located = index + 1, True

    def _may_end(self) -> bool:
        """Return whether the block needs no more frames, or frames cannot be matched to addresses."""
        block = self._block
        is_goexit = block.hidden_end is not None and self._goexit in (block.hidden_end, None)
        return block.next == len(block.addresses) or is_goexit or (self._unknown and not block.located)


class JournalctlOutput:
    """Return the text of `journalctl --show-cursor`, whose last line is the cursor of the newest entry.

    text: the restorer, to go on with. cursor: known once the end was fed. Without a cursor either nothing was printed
    (is_empty) or journalctl was interrupted. No log line can be mistaken for the cursor, which always comes last.
    """

    def __init__(self) -> None:
        self.text = BlankLineRestorer()
        self.cursor = ""
        self.is_empty = True
        self._last = b""

    def feed(self, data: bytes) -> bytes:
        """Return the lines that are complete by now; see BlankLineRestorer."""
        self.is_empty = self.is_empty and not data
        before, self._last = self._last, b""
        if data:
            end = (before + data).rfind(b"\n", 0, -1) + 1
            whole, self._last = (before + data)[:end], (before + data)[end:]
            return self.text.feed(whole) if whole else b""
        cursor = _CURSOR.match(before)
        if cursor:
            self.cursor, before = cursor.group(1).decode("ascii"), b""
        return (self.text.feed(before) if before else b"") + self.text.feed(b"")
