# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grammar of a debug=1 dump, cell by cell: the cells that a line may continue with, given what was read before."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional, Tuple

from . import blocks
from .blocks import Block, FrameRow

# States, named after the token that comes next.
(
    HEADER,
    HEADER_END,
    HEAD,
    HEAD_END,
    AFTER_HEAD,
    LABELS_END,
    HASH,
    TAB,
    PC,
    PAD1,
    FUNCTION,
    PAD2,
    FILE,
    ROW_END,
    DONE,
    EMPTY,
) = range(16)

_SEPARATORS: dict[int, tuple[bytes, int]] = {
    HEADER_END: (b"\n", HEAD),
    HEAD_END: (b"\n", AFTER_HEAD),
    LABELS_END: (b"\n", HASH),
    HASH: (b"#", TAB),
    TAB: (b"\t", PC),
    ROW_END: (b"\n", DONE),
}


class ParseState(NamedTuple):
    """One plausible parse of the pending lines.

    taken: maps the number of a pending line to how many of its bytes belong to the dump.
    """

    step: int
    taken: dict[int, int]
    start: int  # offset in the stream of its first line
    total: int | None = None  # set for a new dump: the number in its header
    block: Block | None = None  # set for a new block
    labels: bytes | None = None
    pc: int = 0
    index: int | None = None  # type: ignore[assignment]  # a tuple has a method of this name
    function: bytes | None = None
    pads: tuple[int, int] = (0, 0)
    file: bytes = b""
    line: int = 0
    guesses: int = 0  # lines whose text after the cells does not look like a log line

    def row(self) -> FrameRow:
        """Return the frame that was read."""
        return FrameRow(self.pc, self.index, self.function, self.file, self.line, self.pads)

    def key(self) -> tuple[object, ...]:
        """Return a key that is equal for states that accept the same lines and give equal dumps."""
        return (self.step, self.total, self.block and self.block.order, *self[5:-1])


_Cell = Optional[Tuple[ParseState, int]]  # the state after a cell and where the cell ends; None: there is no such cell


def advance(state: ParseState, data: bytes, number: int, block: Block | None) -> list[ParseState]:
    """Take the cells that the state waits for from the beginning of a line.

    The first result takes all there are. A second one stops before a function or file that may be other text, unless
    what follows it surely is. No result: the line does not continue this state.
    """
    marks: list[tuple[ParseState, int]] = [(state, 0)]
    while marks[-1][1] < len(data) and marks[-1][0].step not in (DONE, EMPTY):
        after, position = marks[-1]
        cell = _cell(after, data, position, after.block or block)
        if cell is None:
            break
        marks.append(cell)
    ends = [marks[-1]]
    if len(marks) > 2 and marks[-2][0].step in (FUNCTION, FILE) and not blocks.LOG_LINE.match(data, marks[-1][1]):
        ends.append(marks[-2])
    # A cell is followed by its separator or by other text, never by a bare newline.
    return [_stop(after, data, number, position) for after, position in ends if position and data[position:] != b"\n"]


def _stop(state: ParseState, data: bytes, number: int, position: int) -> ParseState:
    guess = position < len(data) and not blocks.LOG_LINE.match(data, position)
    return state._replace(taken={**state.taken, number: position}, guesses=state.guesses + guess)


def _cell(state: ParseState, line: bytes, at: int, block: Block | None) -> _Cell:
    if state.step == PC:
        return _pc(state, line, at, block) if block else None
    separator = _SEPARATORS.get(state.step)
    if separator is None:
        return _READERS[state.step](state, line, at)
    if not line.startswith(separator[0], at):
        return None
    return state._replace(step=separator[1]), at + len(separator[0])


def _header(state: ParseState, line: bytes, at: int) -> _Cell:
    match = blocks.HEADER.match(line, at)
    end = match and blocks.number_end(line, match.start(1), match.end())
    if not match or not end:
        return None
    return state._replace(step=HEADER_END, total=int(line[match.start(1) : end])), end


def _head(state: ParseState, line: bytes, at: int) -> _Cell:
    match = blocks.HEAD.match(line, at)
    if match is None:
        return None
    end = match.end()
    if match.group(2):
        last = line.rindex(b"x", at, end) + 1
        cut = blocks.number_end(line, last, end, hexadecimal=True)
        if cut is None:
            return None
        end = cut
    count = int(match.group(1))
    if state.total is not None and count > state.total:
        return None
    addresses = tuple(int(address, 16) for address in line[match.start(2) : end].split())
    return state._replace(step=HEAD_END, block=Block(count, addresses)), end


def _after_head(state: ParseState, line: bytes, at: int) -> _Cell:
    labels = blocks.LABELS.match(line, at)
    if labels is not None:
        return state._replace(step=LABELS_END, labels=labels.group(1)), labels.end()
    if line.startswith(b"#", at):
        return state._replace(step=TAB), at + 1
    if line == b"\n" and state.block and len(state.block.addresses) == 1:
        return state._replace(step=EMPTY), 1  # goexit alone: no frame is shown
    return None


def _pc(state: ParseState, line: bytes, at: int, block: Block) -> _Cell:
    match = blocks.PC.match(line, at)
    if match is None:
        return None
    digits = match.group(1)
    # The head of the block has the frame's address, so digits after it can be recognised as other text.
    for size in range(len(digits), 0, -1):
        pc = int(digits[:size], 16)
        index = block.locate(pc)
        if index is not None:
            return state._replace(step=PAD1, pc=pc, index=index), at + 2 + size
    if block.located:
        return None
    end = blocks.number_end(line, match.start(1), match.end(), hexadecimal=True)
    if end is None:
        return None
    return state._replace(step=PAD1, pc=int(line[match.start(1) : end], 16), index=None), end


def _pad1(state: ParseState, line: bytes, at: int) -> _Cell:
    if line.startswith(b"\n", at) and at > 0:  # no symbol; a newline on a line of its own is other text
        return state._replace(step=DONE), at + 1
    return _pad(state, line, at, 0, FUNCTION)


def _pad2(state: ParseState, line: bytes, at: int) -> _Cell:
    return _pad(state, line, at, 1, FILE)


def _pad(state: ParseState, line: bytes, at: int, column: int, following: int) -> _Cell:
    match = blocks.TABS.match(line, at)
    if match is None:
        return None
    pads = list(state.pads)
    pads[column] += match.end() - at
    return state._replace(step=following, pads=(pads[0], pads[1])), match.end()


def _more_padding(state: ParseState, line: bytes, at: int, column: int) -> _Cell:
    """Continue padding at the beginning of a line.

    Go writes it eight tabs at a time, so other text may come in between.
    """
    if at == 0 and state.pads[column] and state.pads[column] % 8 == 0:
        return _pad(state, line, at, column, state.step)
    return None


def _function(state: ParseState, line: bytes, at: int) -> _Cell:
    match = blocks.FUNCTION.match(line, at)
    if match is None or blocks.LOG_LINE.match(line, at):
        return _more_padding(state, line, at, 0)
    end = blocks.number_end(line, match.start(1), match.end(), hexadecimal=True)
    if end is None:
        return None
    return state._replace(step=PAD2, function=line[at:end]), end


def _file(state: ParseState, line: bytes, at: int) -> _Cell:
    match = (blocks.FILE if at else blocks.SOURCE_FILE).match(line, at)
    if match is None or blocks.LOG_LINE.match(line, at):
        return _more_padding(state, line, at, 1)
    group = 1 if match.group(1) is not None else 3  # the second form of FILE
    end = blocks.number_end(line, match.start(group + 1), match.end())
    if end is None:
        return None
    number = int(line[match.start(group + 1) : end])
    return state._replace(step=ROW_END, file=match.group(group), line=number), end


_READERS: dict[int, Callable[[ParseState, bytes, int], _Cell]] = {
    HEADER: _header,
    HEAD: _head,
    AFTER_HEAD: _after_head,
    PAD1: _pad1,
    FUNCTION: _function,
    PAD2: _pad2,
    FILE: _file,
}
