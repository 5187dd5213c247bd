# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of one writer without the wrapping of its lines, with the line numbers of the input."""

from __future__ import annotations

from array import array
from typing import Iterable, NamedTuple


class SourceText(NamedTuple):
    """Text of one writer.

    lines: lines[i] is the number in the input (from 1) of line i (from 0); None: i + 1.
    name: of the writer, if the wrapping tells it.
    loss: a proof of completeness that a change of the text has destroyed; None: nothing.
    is_rest: the lines of all writers above the limit, with their prefixes.
    """

    data: bytes
    lines: array[int] | None = None
    name: str | None = None
    loss: str | None = None
    is_rest: bool = False

    def number(self, line: int) -> int:
        """Return the number in the input, from 1, of a line of this text, from 0."""
        if self.lines is None:
            return line + 1
        return self.lines[min(line, len(self.lines) - 1)] if self.lines else 1

    def within(self, outer: SourceText) -> SourceText:
        """Return this text with the line numbers, name and loss of the outer text it was taken from."""
        numbers = self.lines
        if outer.lines is not None:
            own = range(self.data.count(b"\n") + 1) if numbers is None else (number - 1 for number in numbers)
            numbers = array("Q", (outer.number(line) for line in own))
        name = "/".join(part for part in (outer.name, self.name) if part)
        return self._replace(lines=numbers, name=name or None, loss=outer.loss or self.loss)


class TextBuilder:
    """Builder of a text from pieces of lines."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lines = array("Q")
        self._begins = True

    def add(self, piece: bytes, number: int) -> None:
        """Append text from line `number` of the input. If it has no newline at its end, the next piece continues it."""
        if self._begins and piece.find(b"\n") == len(piece) - 1 >= 0:  # the usual case: one line
            self.lines.append(number)
            self.data += piece
            return
        newlines = piece.count(b"\n")
        self.lines.extend([number] * (newlines + self._begins - piece.endswith(b"\n")))
        self._begins = piece.endswith(b"\n")
        self.data += piece

    def continue_line(self) -> None:
        """Let the next piece continue the last line."""
        if self.data.endswith(b"\n"):
            del self.data[-1]
            self._begins = False

    def text(self, name: str | None = None) -> SourceText:
        """Return the text."""
        return SourceText(bytes(self.data), self.lines, name)


def changed(lines: Iterable[tuple[bytes, int]]) -> SourceText:
    """Return the text of these lines, which have newlines, each with the index of its original line."""
    built = TextBuilder()
    for line, number in lines:
        built.add(line, number + 1)
    return built.text()
