# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of one writer, taken out of what was wrapped around its lines, and where each line stands in the input."""

from __future__ import annotations

from array import array
from typing import Iterable, NamedTuple


class SourceText(NamedTuple):
    """lines[i] is the number that its line i (from 0) has in the input (from 1); None: i + 1.

    name: of the writer, if the wrapping tells it.
    loss: what a change of the text took away from what proves a dump complete; None: nothing.
    is_rest: it holds the lines of all writers after the first MOST_SOURCES, with their prefixes.
    """

    data: bytes
    lines: array[int] | None = None
    name: str | None = None
    loss: str | None = None
    is_rest: bool = False

    def number(self, line: int) -> int:
        """The number in the input, from 1, of a line of this text, from 0."""
        if self.lines is None:
            return line + 1
        return self.lines[min(line, len(self.lines) - 1)] if self.lines else 1

    def within(self, outer: SourceText) -> SourceText:
        """The same, with the numbers, the name and the loss that it has where the outer text stands."""
        numbers = self.lines
        if outer.lines is not None:
            own = range(self.data.count(b"\n") + 1) if numbers is None else (number - 1 for number in numbers)
            numbers = array("Q", (outer.number(line) for line in own))
        name = "/".join(part for part in (outer.name, self.name) if part)
        return self._replace(lines=numbers, name=name or None, loss=outer.loss or self.loss)


class TextBuilder:
    """Puts a text together from pieces of lines."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.lines = array("Q")
        self._begins = True

    def add(self, piece: bytes, number: int) -> None:
        """Take what stands in line `number` of the input; a piece that ends without a newline goes on in the next."""
        if self._begins and piece.find(b"\n") == len(piece) - 1 >= 0:  # what most pieces are: a line
            self.lines.append(number)
            self.data += piece
            return
        newlines = piece.count(b"\n")
        self.lines.extend([number] * (newlines + self._begins - piece.endswith(b"\n")))
        self._begins = piece.endswith(b"\n")
        self.data += piece

    def go_on(self) -> None:
        """Let the next piece go on with the last line."""
        if self.data.endswith(b"\n"):
            del self.data[-1]
            self._begins = False

    def text(self, name: str | None = None) -> SourceText:
        return SourceText(bytes(self.data), self.lines, name)


def changed(lines: Iterable[tuple[bytes, int]]) -> SourceText:
    """The text of lines with their newlines, each with the number, from 0, of the line that it comes from."""
    built = TextBuilder()
    for line, number in lines:
        built.add(line, number + 1)
    return built.text()
