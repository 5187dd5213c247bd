# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process wrote, out of a journal that keeps no empty lines. Sans-I/O.

journald leaves out empty lines (systemd src/journal/journald-stream.c), and these are what ends the blocks of a
goroutine dump. They are put back where a dump must have had them: before each block but the first, and before the
first line of something else once the counts of the blocks add up.
"""

from __future__ import annotations

import re

_HEADER = re.compile(rb"goroutine profile: total (\d{1,9})\Z")
_CURSOR = re.compile(rb"-- cursor: ([!-~]+)\n\Z")
_BLOCK = re.compile(rb"(\d{1,9}) @(?: 0x[0-9a-f]+)+\Z")


class JournalText:
    """Fed with the journal's text as it comes, gives the text with its empty lines."""

    def __init__(self) -> None:
        self._rest = b""
        self._missing = 0
        self._in_block = False

    def feed(self, data: bytes) -> bytes:
        """The text of the lines that are whole by now; b"" is the end of input and gives what is left."""
        if not data:
            rest, self._rest = self._rest, b""
            return rest
        *lines, self._rest = (self._rest + data).split(b"\n")
        return b"".join(self._with_end(line) + line + b"\n" for line in lines)

    def _with_end(self, line: bytes) -> bytes:
        """The empty line that comes before this one, or nothing."""
        header, block = _HEADER.match(line), _BLOCK.match(line)
        ends = False
        if header:
            self._missing, self._in_block = int(header.group(1)), False
        elif block and self._missing > 0:
            ends, self._in_block = self._in_block, True
            self._missing -= int(block.group(1))
        elif self._in_block and self._missing <= 0 and not line.startswith(b"#"):
            ends, self._in_block = True, False
        return b"\n" if ends else b""


class HistoryText:
    """The same for what journalctl --show-cursor prints: its own last line tells the place of the newest entry.

    text: what makes the text, to go on with. cursor: the place, once the end was fed; without it nothing was printed
    (is_empty), or journalctl was stopped in its middle. No line of a log can be taken for the cursor of a whole output,
    since that always comes last.
    """

    def __init__(self) -> None:
        self.text = JournalText()
        self.cursor = ""
        self.is_empty = True
        self._last = b""

    def feed(self, data: bytes) -> bytes:
        """See JournalText."""
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
