# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a debug=1 dump together again from the lines of a log in which other writers cut into it.

The dump is written cell by cell (`#`, tabs, an address, a newline are write(2) calls of their own), and between any
two of them another goroutine's log entry may come: always whole lines, often several. So a line of the log is some
cells of the dump, then nothing, or the dump's own newline, or somebody else's text up to that text's newline.

Text that looks like a cell and is none can only be told from one by what follows. So every plausible reading of
the lines since the last settled point is kept (a Thread) until one of them closes a frame; then all others go.
"""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional, Tuple

from . import debug1
from .debug1 import Block, Row

_MAX_THREADS = 32

# What a thread expects next.
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


class Thread(NamedTuple):
    """One reading. `taken` maps the number of a pending line to how many of its bytes are the dump's."""

    step: int
    taken: dict[int, int]
    start: int  # offset in the stream of its first line
    total: int | None = None  # it begins a new dump, whose header states this
    block: Block | None = None  # it begins a new block
    labels: bytes | None = None
    pc: int = 0
    index: int | None = None  # type: ignore[assignment]
    function: bytes | None = None
    pads: tuple[int, int] = (0, 0)
    file: bytes = b""
    line: int = 0
    guesses: int = 0  # times that what follows its cells on a line does not look like a log line

    def row(self) -> Row:
        return Row(self.pc, self.index, self.function, self.file, self.line, self.pads)

    def state(self) -> tuple[object, ...]:
        """Threads of equal state have equal futures and give equal dumps."""
        return (self.step, self.total, self.block and self.block.order, *self[5:-1])


_Cell = Optional[Tuple[Thread, int]]  # the thread behind a cell and where the cell ends; None: it is not there


def advance(thread: Thread, data: bytes, number: int, block: Block | None) -> list[Thread]:
    """Take the cells the thread waits for from the beginning of a line.

    The first result takes all there are. Another stops before a function or file that may be somebody's text,
    unless what follows it surely is.
    No result: the line does not go on with this thread.
    """
    marks: list[tuple[Thread, int]] = [(thread, 0)]
    while marks[-1][1] < len(data) and marks[-1][0].step not in (DONE, EMPTY):
        after, position = marks[-1]
        cell = _cell(after, data, position, after.block or block)
        if cell is None:
            break
        marks.append(cell)
    ends = [marks[-1]]
    if len(marks) > 2 and marks[-2][0].step in (FUNCTION, FILE) and not debug1.LOG_LINE.match(data, marks[-1][1]):
        ends.append(marks[-2])
    # A cell is followed by its separator or by somebody's text, never by a bare newline.
    return [_stop(after, data, number, position) for after, position in ends if position and data[position:] != b"\n"]


def _stop(thread: Thread, data: bytes, number: int, position: int) -> Thread:
    guess = position < len(data) and not debug1.LOG_LINE.match(data, position)
    return thread._replace(taken={**thread.taken, number: position}, guesses=thread.guesses + guess)


def _cell(thread: Thread, line: bytes, at: int, block: Block | None) -> _Cell:
    if thread.step == PC:
        return _pc(thread, line, at, block) if block else None
    separator = _SEPARATORS.get(thread.step)
    if separator is None:
        return _READERS[thread.step](thread, line, at)
    if not line.startswith(separator[0], at):
        return None
    return thread._replace(step=separator[1]), at + len(separator[0])


def _header(thread: Thread, line: bytes, at: int) -> _Cell:
    match = debug1.HEADER.match(line, at)
    end = match and debug1.number_end(line, match.start(1), match.end())
    if not match or not end:
        return None
    return thread._replace(step=HEADER_END, total=int(line[match.start(1) : end])), end


def _head(thread: Thread, line: bytes, at: int) -> _Cell:
    match = debug1.HEAD.match(line, at)
    if match is None:
        return None
    end = match.end()
    if match.group(2):
        last = line.rindex(b"x", at, end) + 1
        cut = debug1.number_end(line, last, end, hexadecimal=True)
        if cut is None:
            return None
        end = cut
    count = int(match.group(1))
    if thread.total is not None and count > thread.total:
        return None
    addresses = tuple(int(address, 16) for address in line[match.start(2) : end].split())
    return thread._replace(step=HEAD_END, block=Block(count, addresses)), end


def _after_head(thread: Thread, line: bytes, at: int) -> _Cell:
    labels = debug1.LABELS.match(line, at)
    if labels is not None:
        return thread._replace(step=LABELS_END, labels=labels.group(1)), labels.end()
    if line.startswith(b"#", at):
        return thread._replace(step=TAB), at + 1
    if line == b"\n" and thread.block and len(thread.block.addresses) == 1:
        return thread._replace(step=EMPTY), 1  # goexit alone: no frame is shown
    return None


def _pc(thread: Thread, line: bytes, at: int, block: Block) -> _Cell:
    match = debug1.PC.match(line, at)
    if match is None:
        return None
    digits = match.group(1)
    # The frame's address is known from the head of the block, so digits that are not its own can be told.
    for size in range(len(digits), 0, -1):
        pc = int(digits[:size], 16)
        index = block.locate(pc)
        if index is not None:
            return thread._replace(step=PAD1, pc=pc, index=index), at + 2 + size
    if any(row.index is not None for row in block.rows):
        return None
    end = debug1.number_end(line, match.start(1), match.end(), hexadecimal=True)
    if end is None:
        return None
    return thread._replace(step=PAD1, pc=int(line[match.start(1) : end], 16), index=None), end


def _pad1(thread: Thread, line: bytes, at: int) -> _Cell:
    if line.startswith(b"\n", at) and at > 0:  # no symbol; on a line of its own it is somebody's empty line
        return thread._replace(step=DONE), at + 1
    return _pad(thread, line, at, 0, FUNCTION)


def _pad2(thread: Thread, line: bytes, at: int) -> _Cell:
    return _pad(thread, line, at, 1, FILE)


def _pad(thread: Thread, line: bytes, at: int, column: int, following: int) -> _Cell:
    match = debug1.TABS.match(line, at)
    if match is None:
        return None
    pads = list(thread.pads)
    pads[column] += match.end() - at
    return thread._replace(step=following, pads=(pads[0], pads[1])), match.end()


def _more_padding(thread: Thread, line: bytes, at: int, column: int) -> _Cell:
    """Padding is written eight tabs at a time, so it may be cut there."""
    if at == 0 and thread.pads[column] and thread.pads[column] % 8 == 0:
        return _pad(thread, line, at, column, thread.step)
    return None


def _function(thread: Thread, line: bytes, at: int) -> _Cell:
    match = debug1.FUNCTION.match(line, at)
    if match is None or debug1.LOG_LINE.match(line, at):
        return _more_padding(thread, line, at, 0)
    end = debug1.number_end(line, match.start(1), match.end(), hexadecimal=True)
    if end is None:
        return None
    return thread._replace(step=PAD2, function=line[at:end]), end


def _file(thread: Thread, line: bytes, at: int) -> _Cell:
    match = (debug1.FILE if at else debug1.SOURCE_FILE).match(line, at)
    if match is None or debug1.LOG_LINE.match(line, at):
        return _more_padding(thread, line, at, 1)
    group = 1 if match.group(1) is not None else 3  # the second form of FILE
    end = debug1.number_end(line, match.start(group + 1), match.end())
    if end is None:
        return None
    number = int(line[match.start(group + 1) : end])
    return thread._replace(step=ROW_END, file=match.group(group), line=number), end


_READERS: dict[int, Callable[[Thread, bytes, int], _Cell]] = {
    HEADER: _header,
    HEAD: _head,
    AFTER_HEAD: _after_head,
    PAD1: _pad1,
    FUNCTION: _function,
    PAD2: _pad2,
    FILE: _file,
}


def _rivals(before: Thread, after: Thread) -> bool:
    """Whether a line that goes on with a frame already finished shows that the wrong one was taken for it."""
    return after.step == DONE or (after.step == ROW_END and after.guesses == before.guesses)


class Assembler:
    """Fed with the lines from a header line on; knows at any time what of the dump is there and what is proven."""

    def __init__(self, one_header: bool = False) -> None:
        self._one_header = one_header
        self._total: int | None = None
        self.start = 0  # offset in the stream of the header line
        self.blocks: list[Block] = []
        self.counted = 0  # goroutines of the blocks whose end was read
        self.foreign: list[bytes] = []
        self.superseded = 0  # dumps that ended because another began
        self._doubts: list[str] = []
        self._clean: list[bytes] = []
        self._pending: list[bytes] = []  # lines since the last settled point
        self._threads: list[Thread] = []
        self._rivals: list[Thread] = []  # other readings of the last frame

    @property
    def total(self) -> int | None:
        """What the header states, also before the header's own newline has come."""
        if self._total is None and self._threads:
            return self._threads[0].total
        return self._total

    @property
    def dump(self) -> bytes:
        """The dump as Go wrote it, as far as it came."""
        clean = list(self._clean)
        if self._threads:
            taken = self._threads[-1].taken
            clean.extend(line[: taken.get(number, 0)] for number, line in enumerate(self._pending))
        return b"".join(clean)

    @property
    def all_counted(self) -> bool:
        """Nothing more can come: every goroutine of the stated total is in a block whose end was read."""
        return self.total is not None and self.counted >= self.total and bool(self.blocks) and self.blocks[-1].whole

    def problems(self) -> list[str]:
        """Why the dump is not proven to be complete; empty if it is."""
        found = list(self._doubts)
        for number, block in enumerate(self.blocks, 1):
            found.extend(f"block {number}: {problem}" for problem in block.check())
        found.extend(debug1.contradictions(self.blocks))
        if self.counted != self.total:
            found.append(f"{self.counted} of {self.total} goroutines are there")
        return found

    def line(self, data: bytes, offset: int) -> None:
        """Take the next line, with its newline; it begins at `offset` in the stream."""
        block = self.blocks[-1] if self.blocks else None
        if not self._threads and block is not None and not block.whole:
            row = debug1.clean_row(data, block)
            if row is not None:
                self._clean.append(data)
                block.add(row)
                self._rivals = []
                return
        number = len(self._pending)
        self._pending.append(data)
        finished: list[Thread] = []
        grown: list[Thread] = []
        for thread in reversed(self._threads + self._beginnings(data, offset)):
            for after in advance(thread, data, number, block):
                if after.step == EMPTY and not self._is_goexit(after):
                    continue
                if after.step in (DONE, EMPTY) or (after.step == HEAD and not self.blocks):
                    finished.append(after)
                else:
                    grown.append(after)
        if (
            not finished
            and not grown
            and any(_rivals(rival, after) for rival in self._rivals for after in advance(rival, data, number, None))
        ):
            self.blocks[-1].problems.append("two different lines go on with one frame")
            self._rivals = []
        if finished:
            self._settle(max(finished, key=self._likelihood))
        elif data == b"\n" and block is not None and not block.whole and block.may_end():
            self._settle_end(block)
        else:
            self._keep(grown)

    def _likelihood(self, thread: Thread) -> tuple[int, ...]:
        """Orders the threads that finish with the same line; among equals the one that has come furthest is first."""
        rows = self.blocks[-1].rows if self.blocks and thread.block is None else []
        aligned = not rows or debug1.columns(rows[-1]) == debug1.columns(thread.row())
        return thread.index is not None, thread.total is not None, aligned, -thread.guesses

    def _is_goexit(self, thread: Thread) -> bool:
        return thread.block is not None and thread.block.addresses[0] in {block.hidden_end for block in self.blocks}

    def _beginnings(self, data: bytes, offset: int) -> list[Thread]:
        """The units of the grammar that this line may begin."""
        first = data[:1]
        if first == b"#":
            block = self.blocks[-1] if self.blocks else None
            # The end of a block was somebody's empty line if the frame of its last address comes after all.
            return [Thread(HASH, {}, offset)] if block and (not block.whole or block.hidden_end) else []
        if first == b"g" and not (self._one_header and self._total is not None):
            return [Thread(HEADER, {}, offset)]
        if first.isdigit() and self._total is not None:
            return [Thread(HEAD, {}, offset)]
        return []

    def _keep(self, grown: list[Thread]) -> None:
        known = {thread.state() for thread in self._threads} if grown else set()
        for thread in reversed(grown):
            if thread.state() not in known and len(self._threads) < _MAX_THREADS:
                known.add(thread.state())
                self._threads.append(thread)
        if not self._threads:
            self.foreign.extend(self._pending)
            self._pending = []

    def _settle_pending(self, taken: dict[int, int]) -> None:
        for number, line in enumerate(self._pending):
            size = taken.get(number, 0)
            if size:
                self._clean.append(line[:size])
            if size < len(line):
                self.foreign.append(line[size:])
        self._pending = []
        self._threads = []
        self._rivals = []

    def _settle_end(self, block: Block) -> None:
        self._settle_pending({len(self._pending) - 1: 1})
        block.whole = True
        self.counted += block.count

    def _settle(self, thread: Thread) -> None:
        rivals, likelihood = self._threads, self._likelihood(thread)
        if thread.total is not None:
            self._begin_dump(thread)
        elif thread.block is None and self.blocks[-1].whole:
            self._reopen(self.blocks[-1])
        self._settle_pending(thread.taken)
        if thread.block is not None:
            thread.block.labels = thread.labels
            self.blocks.append(thread.block)
        if thread.step == EMPTY:
            self._settle_end_of_empty(self.blocks[-1])
        elif thread.step == DONE:
            self.blocks[-1].add(thread.row())
            self._rivals = [
                other
                for other in rivals
                if other.step >= PAD1
                and other.pc == thread.pc
                and (other.step < ROW_END or self._likelihood(other) == likelihood)
                and other.row() != thread.row()
            ]

    def _settle_end_of_empty(self, block: Block) -> None:
        block.whole = True
        self.counted += block.count

    def _begin_dump(self, thread: Thread) -> None:
        doubts = []
        if (
            self.blocks
            and thread.block is not None
            and self.counted + thread.block.count <= (self._total or 0)
            and self.blocks[-1].whole
            and self.blocks[-1].order < thread.block.order
        ):
            doubts.append("a second header came where the dump before it could have gone on")
        if self._total is not None:
            self.superseded += 1
        self._total, self.start = thread.total, thread.start
        self.blocks, self.counted, self.foreign = [], 0, []
        self._doubts, self._clean = doubts, []
        # Lines before the header were cut out of the dump before it.
        first = min(thread.taken)
        self._pending[:first] = [b""] * first

    def _reopen(self, block: Block) -> None:
        block.whole = False
        self.counted -= block.count
        self.foreign.append(self._clean.pop())
