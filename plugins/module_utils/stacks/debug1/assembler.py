# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reassemble a debug=1 dump from log lines in which entries of other goroutines interrupt it.

Go writes the dump cell by cell: `#`, tabs, an address and a newline are separate write(2) calls. Between any two of
them another goroutine's log entry may come, always as whole lines. So a line of the log is some cells of the dump,
followed by nothing, by the dump's own newline, or by other text up to that text's newline.

Text that looks like a cell can only be recognised by what follows. So every plausible parse of the lines since the last
settled point is kept as a ParseState until one of them closes a frame. Then all others are dropped.
"""

from __future__ import annotations

from . import blocks
from .blocks import Block
from .grammar import DONE, EMPTY, HASH, HEAD, HEADER, PAD1, ROW_END, ParseState, advance

_MAX_STATES = 32
_BROKEN = "a line may be broken within a frame"
_STRANGE = "a frame after the block's head is not among its addresses"
_REMAINDER = "text after a frame may belong to it"


def _shows_wrong_choice(before: ParseState, after: ParseState) -> bool:
    """Return whether a line that continues a finished frame shows that the wrong parse was chosen for it."""
    return after.step == DONE or (after.step == ROW_END and after.guesses == before.guesses)


class Assembler:
    """Incremental assembler, fed with lines from a header line on.

    It can tell at any time what has been read of the dump and what is proven.
    """

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
        self._states: list[ParseState] = []
        self._alternatives: list[ParseState] = []  # other parses of the last frame
        self._end_unbroken = False  # the value of _unbroken when the last block ended
        self._unbroken = False  # the last line is a whole frame, or the block's end after one

    @property
    def total(self) -> int | None:
        """Return the total that the header states, also before the header's own newline has come."""
        if self._total is None and self._states:
            return self._states[0].total
        return self._total

    @property
    def dump(self) -> bytes:
        """Return the dump as Go wrote it, as far as it has been read."""
        clean = list(self._clean)
        if self._states:
            taken = self._states[-1].taken
            clean.extend(line[: taken.get(number, 0)] for number, line in enumerate(self._pending))
        return b"".join(clean)

    @property
    def all_counted(self) -> bool:
        """Return whether the dump is over.

        It is when all goroutines of the stated total are in blocks whose end was read.
        """
        return (
            self.total is not None and self.counted >= self.total and bool(self.blocks) and self.blocks[-1].is_complete
        )

    def doubt(self, problem: str) -> None:
        """Record a problem that the caller has found."""
        self._doubts.append(problem)

    def problems(self) -> list[str]:
        """Return the reasons why the dump is not proven to be complete; empty if it is."""
        found = list(self._doubts)
        for number, block in enumerate(self.blocks, 1):
            found.extend(f"block {number}: {problem}" for problem in block.check())
        found.extend(blocks.contradictions(self.blocks))
        if self.counted != self.total:
            found.append(f"{self.counted} of {self.total} goroutines are there")
        return found

    def add_line(self, data: bytes, offset: int) -> None:
        """Take the next line, with its newline. `offset` is where it begins in the stream."""
        block = self.blocks[-1] if self.blocks else None
        if not self._states and block is not None and not block.is_complete:
            row = blocks.clean_row(data, block)
            if row is not None:
                self._clean.append(data)
                block.add(row)
                self._alternatives = []
                self._unbroken = True
                return
        unbroken, self._unbroken = self._unbroken, False
        number = len(self._pending)
        self._pending.append(data)
        finished, grown = self._advance(data, offset, number, block)
        if not finished and not grown and self._contradicts_last_frame(data, number):
            self.blocks[-1].problems.append("two different lines continue one frame")
            self._alternatives = []
        if finished:
            self._settle(max(finished, key=self._rank))
            self._unbroken = data != b"\n"
        elif (
            data == b"\n"
            and block is not None
            and not block.is_complete
            and block.may_end()
            and not self._has_open_frame()
        ):
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
        """Return the states that close a unit with this line, and the states that continue after it."""
        finished: list[ParseState] = []
        grown: list[ParseState] = []
        for state in reversed(self._states + self._beginnings(data, offset)):
            for after in advance(state, data, number, block):
                if after.step == EMPTY and not self._is_goexit(after):
                    continue
                if after.step in (DONE, EMPTY) or (after.step == HEAD and not self.blocks):
                    finished.append(after)
                else:
                    grown.append(after)
        return finished, grown

    def _has_open_frame(self) -> bool:
        """Return whether a frame has surely begun, so that an empty line is not the block's end."""
        return any(state.block is None and state.total is None and not state.guesses for state in self._states)

    def _contradicts_last_frame(self, data: bytes, number: int) -> bool:
        """Return whether an unexplained line shows that other text was taken for a part of the dump."""
        alternatives = (
            (alternative, after)
            for alternative in self._alternatives
            for after in advance(alternative, data, number, None)
        )
        return any(_shows_wrong_choice(alternative, after) for alternative, after in alternatives)

    def _rank(self, state: ParseState) -> tuple[int, ...]:
        """Return a sort key for states that finish with the same line.

        Among equals, the state that has advanced furthest comes first.
        """
        rows = self.blocks[-1].rows if self.blocks and state.block is None else []
        aligned = not rows or blocks.columns(rows[-1]) == blocks.columns(state.row())
        return state.index is not None, state.total is not None, aligned, -state.guesses

    def _is_goexit(self, state: ParseState) -> bool:
        return state.block is not None and state.block.addresses[0] in {block.hidden_end for block in self.blocks}

    def _beginnings(self, data: bytes, offset: int) -> list[ParseState]:
        """Return the units of the grammar that this line may begin."""
        first = data[:1]
        if first == b"#":
            block = self.blocks[-1] if self.blocks else None
            # If the frame of the last address still comes, the empty line was no end of the block but other text.
            return [ParseState(HASH, {}, offset)] if block and (not block.is_complete or block.hidden_end) else []
        # Until the header line is complete, states of it are pending.
        if first == b"g" and not (self._one_header and (self._total is not None or self._states)):
            return [ParseState(HEADER, {}, offset)]
        if first.isdigit() and self._total is not None:
            return [ParseState(HEAD, {}, offset)]
        return []

    def _keep(self, grown: list[ParseState]) -> None:
        known = {state.key() for state in self._states} if grown else set()
        for state in reversed(grown):
            if state.key() not in known and len(self._states) < _MAX_STATES:
                known.add(state.key())
                self._states.append(state)
        if not self._states:
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
        self._states = []
        self._alternatives = []

    def _settle_end(self, block: Block) -> None:
        self._settle_pending({len(self._pending) - 1: 1})
        block.is_complete = True
        self.counted += block.count

    def _settle(self, state: ParseState) -> None:
        alternatives, rank = self._states, self._rank(state)
        if state.total is not None:
            self._begin_dump(state)
        elif state.block is None and self.blocks[-1].is_complete:
            self._reopen(self.blocks[-1])
        if state.block is not None:
            state.block.problems.extend(self._lost_frames(state))
        broken = self._broken_cells(state)
        self._settle_pending(state.taken)
        if state.block is not None:
            state.block.labels = state.labels
            self.blocks.append(state.block)
        if state.step == EMPTY:
            self._settle_end_of_empty(self.blocks[-1])
        elif state.step == DONE:
            self.blocks[-1].add(state.row())
            self.blocks[-1].problems.extend(broken)
            self._alternatives = [
                other
                for other in alternatives
                if other.step >= PAD1
                and other.pc == state.pc
                and (other.step < ROW_END or self._rank(other) == rank)
                and other.row() != state.row()
            ]

    def _lost_frames(self, state: ParseState) -> list[str]:
        """Return a problem if an unexplained line may be one of the block's first frames.

        The dump does not tell how many of a block's first frames are hidden.
        """
        lost = (
            line
            for number, line in enumerate(self._pending)
            if number > min(state.taken) and number not in state.taken and line.startswith(b"#")
        )
        return ["a line that may be its first frame cannot be read"] if any(lost) else []

    def _broken_cells(self, state: ParseState) -> list[str]:
        """Return the problem that a line break may have cut a function or file in two, if there is one."""
        for number, (line, following) in enumerate(zip(self._pending, self._pending[1:])):
            taken = state.taken.get(number, 0)
            if taken and number + 1 in state.taken and blocks.may_be_half_a_cell(line[taken:], following):
                return [_BROKEN]
        return []

    def _settle_end_of_empty(self, block: Block) -> None:
        block.is_complete = True
        self.counted += block.count

    def _begin_dump(self, state: ParseState) -> None:
        doubts = []
        if (
            self.blocks
            and state.block is not None
            and self.counted + state.block.count <= (self._total or 0)
            and self.blocks[-1].is_complete
            and self.blocks[-1].order < state.block.order
        ):
            doubts.append("a second header came while the previous dump could continue")
        if self._total is not None:
            self.superseded += 1
        self._total, self.start = state.total, state.start
        self.blocks, self.counted, self.foreign = [], 0, []
        self._doubts, self._clean = doubts, []
        # Lines before the header are other text within the previous dump.
        first = min(state.taken)
        self._pending[:first] = [b""] * first

    def _reopen(self, block: Block) -> None:
        block.is_complete = False
        self.counted -= block.count
        self.foreign.append(self._clean.pop())
        if self._end_unbroken:
            block.problems.append(_REMAINDER)
