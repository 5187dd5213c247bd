# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut streams of log bytes into whole lines. Sans-I/O."""

from __future__ import annotations

from .timestamps import PREFIX_BYTES, timestamp_of

# Bytes held back of a line that has not ended; a longer one is passed on as it comes.
LONGEST_HELD = 1 << 20
# Bytes kept of text that is no line of the log.
FOREIGN_BYTES = 2000


class LineSplitter:
    """Cut bytes where lines end.

    is_inside: the beginning of an unfinished line was passed on already, since it was too long to be held.
    """

    def __init__(self, longest: int = LONGEST_HELD) -> None:
        self._longest = longest
        self._rest = bytearray()
        self.is_inside = False

    def feed(self, data: bytes) -> bytes:
        """Return the lines that are complete by now."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._rest += data
            if len(self._rest) <= self._longest:
                return b""
            self.is_inside = True
            return self._take()
        complete = self._take() + data[:end]
        self._rest += data[end:]
        self.is_inside = False
        return complete

    def end(self) -> bytes:
        """Return the unfinished last line when the log has ended."""
        return self._take()

    def drop(self) -> bytes:
        """Forget an unfinished line that will be read again. Return the newline of one that was begun, else b""."""
        self._rest.clear()
        inside, self.is_inside = self.is_inside, False
        return b"\n" if inside else b""

    def _take(self) -> bytes:
        taken = bytes(self._rest)
        self._rest.clear()
        return taken


class TimestampedLines(LineSplitter):
    """Cut a log whose lines begin with timestamps. Other lines are collected in `foreign`.

    A kubelet answers 200 before it opens the file. If it then fails, its error text is the body or follows the last
    line, without a timestamp and mostly without a newline (kubernetes pkg/kubelet/server, getContainerLogs).
    has_lines: a line with a timestamp came.
    """

    def __init__(self, longest: int = LONGEST_HELD) -> None:
        super().__init__(longest)
        self.foreign = b""
        self.has_lines = False

    def feed(self, data: bytes) -> bytes:
        was_inside = self.is_inside
        block = self._without_foreign(super().feed(data), was_inside)
        self.has_lines = self.has_lines or bool(block)
        return block

    def _without_foreign(self, block: bytes, was_inside: bool) -> bytes:
        begin = 0
        if was_inside:
            # The rest of a line whose beginning was passed on.
            begin = block.find(b"\n") + 1 or len(block)
        last = block.rfind(b"\n", begin, len(block) - 1) + 1 or begin
        # Error text is the last that comes, so the last line tells whether there is any.
        if last == len(block) or _has_timestamp(block[last : last + PREFIX_BYTES]):
            return block
        lines = block[begin:].splitlines(keepends=True)
        self._note(b"".join(line for line in lines if not _has_timestamp(line)))
        return block[:begin] + b"".join(line for line in lines if _has_timestamp(line))

    def end(self) -> bytes:
        was_inside, rest = self.is_inside, super().end()
        if was_inside or not rest or _has_timestamp(rest):
            return rest
        self._note(rest)
        return b""

    def stop(self, broken: bool) -> bytes:
        """Drop the unfinished line at the end of a stream, as drop() does.

        The rest goes to `foreign` unless the stream broke or the rest may be the beginning of a line.
        """
        rest = bytes(self._rest[:FOREIGN_BYTES])
        if not broken and not self.is_inside and not _has_timestamp(rest) and not rest[:1].isdigit():
            self._note(rest)
        return self.drop()

    def _note(self, text: bytes) -> None:
        self.foreign = (self.foreign + text)[:FOREIGN_BYTES]


def _has_timestamp(line: bytes) -> bool:
    return timestamp_of(line[:PREFIX_BYTES]) is not None
