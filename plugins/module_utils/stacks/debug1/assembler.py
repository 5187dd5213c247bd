# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a debug=1 dump together again from the lines of a log in which other writers cut into it.

The dump is written cell by cell (`#`, tabs, an address, a newline are write(2) calls of their own), and between any
two of them another goroutine's log entry may come: always whole lines, often several. So a line of the log is some
cells of the dump, then nothing, or the dump's own newline, or somebody else's text up to that text's newline.

Text that looks like a cell and is none can only be told from one by what follows. So every plausible reading of
the lines since the last settled point is kept (a ParseState) until one of them closes a frame; then all others go.
"""

from __future__ import annotations

from . import blocks
from .blocks import Block
from .grammar import DONE, EMPTY, HASH, HEAD, HEADER, PAD1, ROW_END, ParseState, advance

_MAX_THREADS = 32
_BROKEN = "a line may be broken within a frame"
_STRANGE = "a frame that comes after the block's head has none of its addresses"
_REMAINDER = "what comes after a frame could belong to it"


def _rivals(before: ParseState, after: ParseState) -> bool:
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
        self._threads: list[ParseState] = []
        self._rivals: list[ParseState] = []  # other readings of the last frame
        self._end_unbroken = False  # the same when the last block ended
        self._unbroken = False  # the last line is a frame's, or the block's end after it, and nobody wrote into it

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

    def doubt(self, problem: str) -> None:
        """Note what somebody else has found."""
        self._doubts.append(problem)

    def problems(self) -> list[str]:
        """Why the dump is not proven to be complete; empty if it is."""
        found = list(self._doubts)
        for number, block in enumerate(self.blocks, 1):
            found.extend(f"block {number}: {problem}" for problem in block.check())
        found.extend(blocks.contradictions(self.blocks))
        if self.counted != self.total:
            found.append(f"{self.counted} of {self.total} goroutines are there")
        return found

    def line(self, data: bytes, offset: int) -> None:
        """Take the next line, with its newline; it begins at `offset` in the stream."""
        block = self.blocks[-1] if self.blocks else None
        if not self._threads and block is not None and not block.whole:
            row = blocks.clean_row(data, block)
            if row is not None:
                self._clean.append(data)
                block.add(row)
                self._rivals = []
                self._unbroken = True
                return
        unbroken, self._unbroken = self._unbroken, False
        number = len(self._pending)
        self._pending.append(data)
        finished, grown = self._advance(data, offset, number, block)
        if not finished and not grown and self._is_rival(data, number):
            self.blocks[-1].problems.append("two different lines go on with one frame")
            self._rivals = []
        if finished:
            self._settle(max(finished, key=self._likelihood))
            self._unbroken = data != b"\n"
        elif data == b"\n" and block is not None and not block.whole and block.may_end() and not self._goes_on():
            self._settle_end(block)
            self._unbroken = self._end_unbroken = unbroken
        else:
            if block is not None and unbroken and not grown and blocks.is_remainder(data):
                block.problems.append(_REMAINDER)
            elif block is not None and blocks.is_row(data):
                block.problems.append(_STRANGE)
            self._keep(grown)

    def _advance(
        self, data: bytes, offset: int, number: int, block: Block | None
    ) -> tuple[list[ParseState], list[ParseState]]:
        """The threads that close a unit with this line, and those that go on after it."""
        finished: list[ParseState] = []
        grown: list[ParseState] = []
        for thread in reversed(self._threads + self._beginnings(data, offset)):
            for after in advance(thread, data, number, block):
                if after.step == EMPTY and not self._is_goexit(after):
                    continue
                if after.step in (DONE, EMPTY) or (after.step == HEAD and not self.blocks):
                    finished.append(after)
                else:
                    grown.append(after)
        return finished, grown

    def _goes_on(self) -> bool:
        """Whether a frame has surely begun, so that an empty line is not the block's end."""
        return any(thread.block is None and thread.total is None and not thread.guesses for thread in self._threads)

    def _is_rival(self, data: bytes, number: int) -> bool:
        """Whether a line that is nobody's shows that another than the right one was taken for a part of the dump."""
        rivals = ((rival, after) for rival in self._rivals for after in advance(rival, data, number, None))
        return any(_rivals(rival, after) for rival, after in rivals)

    def _likelihood(self, thread: ParseState) -> tuple[int, ...]:
        """Orders the threads that finish with the same line; among equals the one that has come furthest is first."""
        rows = self.blocks[-1].rows if self.blocks and thread.block is None else []
        aligned = not rows or blocks.columns(rows[-1]) == blocks.columns(thread.row())
        return thread.index is not None, thread.total is not None, aligned, -thread.guesses

    def _is_goexit(self, thread: ParseState) -> bool:
        return thread.block is not None and thread.block.addresses[0] in {block.hidden_end for block in self.blocks}

    def _beginnings(self, data: bytes, offset: int) -> list[ParseState]:
        """The units of the grammar that this line may begin."""
        first = data[:1]
        if first == b"#":
            block = self.blocks[-1] if self.blocks else None
            # The end of a block was somebody's empty line if the frame of its last address comes after all.
            return [ParseState(HASH, {}, offset)] if block and (not block.whole or block.hidden_end) else []
        # As long as the header line is not whole, there are threads of it.
        if first == b"g" and not (self._one_header and (self._total is not None or self._threads)):
            return [ParseState(HEADER, {}, offset)]
        if first.isdigit() and self._total is not None:
            return [ParseState(HEAD, {}, offset)]
        return []

    def _keep(self, grown: list[ParseState]) -> None:
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

    def _settle(self, thread: ParseState) -> None:
        rivals, likelihood = self._threads, self._likelihood(thread)
        if thread.total is not None:
            self._begin_dump(thread)
        elif thread.block is None and self.blocks[-1].whole:
            self._reopen(self.blocks[-1])
        if thread.block is not None:
            thread.block.problems.extend(self._lost_frames(thread))
        broken = self._broken_cells(thread)
        self._settle_pending(thread.taken)
        if thread.block is not None:
            thread.block.labels = thread.labels
            self.blocks.append(thread.block)
        if thread.step == EMPTY:
            self._settle_end_of_empty(self.blocks[-1])
        elif thread.step == DONE:
            self.blocks[-1].add(thread.row())
            self.blocks[-1].problems.extend(broken)
            self._rivals = [
                other
                for other in rivals
                if other.step >= PAD1
                and other.pc == thread.pc
                and (other.step < ROW_END or self._likelihood(other) == likelihood)
                and other.row() != thread.row()
            ]

    def _lost_frames(self, thread: ParseState) -> list[str]:
        """A block's first frames are nowhere told, so a line that could be one of them must not be somebody's."""
        lost = (
            line
            for number, line in enumerate(self._pending)
            if number > min(thread.taken) and number not in thread.taken and line.startswith(b"#")
        )
        return ["what could be its first frame cannot be read"] if any(lost) else []

    def _broken_cells(self, thread: ParseState) -> list[str]:
        """Return the problem that a line break may have cut a function or file in two, if there is one."""
        for number, (line, following) in enumerate(zip(self._pending, self._pending[1:])):
            taken = thread.taken.get(number, 0)
            if taken and number + 1 in thread.taken and blocks.may_be_half_a_cell(line[taken:], following):
                return [_BROKEN]
        return []

    def _settle_end_of_empty(self, block: Block) -> None:
        block.whole = True
        self.counted += block.count

    def _begin_dump(self, thread: ParseState) -> None:
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
        if self._end_unbroken:
            block.problems.append(_REMAINDER)
