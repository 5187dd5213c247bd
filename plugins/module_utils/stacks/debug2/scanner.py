# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every goroutine of the runtime's text form in the text of one source, put together to dumps.

Goroutines follow one another with an empty line between them, and log lines, whole ones, may stand anywhere. That
another dump begins shows in a line of the runtime's that leads it in (`panic: `, `fatal error: `) or that comes
after the one before (the registers), in an id that was there, or in a second running goroutine where only the
writer can be running. A stack that debug.Stack printed stands for itself.
"""

from __future__ import annotations

import re
from typing import Callable

from .. import dump_headers
from ..debug1 import blocks
from ..debug1.text_reader import is_leak
from .builder import DumpBuilder
from .fast_path import SMALLEST, FastPath
from .goroutine import HEADER, LIKE_HEADER, MARK, Goroutine

MOST_DUMPS = 10000  # of more, and of more stacks that stand for themselves, only the number is told
MOST_SINGLE = 1000
_LEAD = (
    rb"(?:panic: |fatal error: |SIG[A-Z]+: |\[signal |runtime stack:|runtime: (?!g ?\d+: )|unexpected fault address )"
)
_REST = rb"(?:exit status \d+|-----|[a-z][a-z0-9]{1,5} +0x[0-9a-f]+)$"
_IS_OTHER = re.compile(_LEAD + rb"|" + _REST)
_LEADS = re.compile(rb"^" + _LEAD, re.MULTILINE)
_RESTS = re.compile(rb"^" + _REST, re.MULTILINE)
_NEAR = 1 << 15  # bytes around a goroutine in which these lines are looked for
_PATIENCE = 1 << 20  # bytes of others' lines after which a goroutine does not go on
_BEGINS = re.compile(rb"goroutine(?:leak)? (?:profile: total )?\d")
# After a stack that stands for itself there is no other goroutine: then it is the first of a dump within a message.
_NEXT = re.compile(rb"\n?goroutine \d{1,18}[^\n]*\]:\n")
_NOTHING = re.compile(rb"\n*\Z")
_WITH_OFFSET = re.compile(rb"\t.* \+0x[0-9a-f]+")
CUT = "the input ends within it"


class DumpScanner:
    """What was found in the text.

    runs: the dumps. single: the stacks that stand for themselves.
    profiles: the offsets of the header lines of debug=1 dumps.
    errors: offset and description of what belongs to no dump.
    has_word: there is the word `goroutine` in it.
    unread: how many lines have the first line of a dump or goroutine in them, but not as their own.
    unread_at: the offset of the first of these.
    is_wrapped: goroutines stand within something that is_wrapping knows; the scan has stopped there. It is given the
    offsets at which such a line begins and ends.
    """

    def __init__(self, data: bytes, is_wrapping: Callable[[int, int], bool] | None = None) -> None:
        self.runs: list[DumpBuilder] = []
        self.single: list[DumpBuilder] = []
        self.profiles: list[int] = []
        self.errors: list[tuple[int, str]] = []
        self.is_wrapped = False
        self.left_out = 0
        self._data = data
        self.has_word = False
        self.unread = 0
        self.unread_at = 0
        self._is_wrapping = is_wrapping
        self._bulk = FastPath()
        self._no_bulk_before = 0
        self._run: DumpBuilder | None = None
        self._last: Goroutine | None = None  # in the run
        self._gap = 0  # where the last goroutine ended
        self._lead: int | None = None  # where the lines stand that lead in the next dump
        at = 0
        while not self.is_wrapped and at < len(data):
            header = self._next_header(at)
            at = len(data) if header is None else self._goroutine(header)
        self._end()

    def _next_header(self, at: int) -> re.Match[bytes] | None:
        data = self._data
        hit = data.find(dump_headers.WORD, at)
        while hit >= 0:
            self.has_word = True
            start = max(at, data.rfind(b"\n", at, hit) + 1)
            stop = self._line_end(hit)
            header = self._header(start, stop)
            own = header if header is not None else blocks.HEADER.match(data, start, stop)
            is_own = own is not None and own.start() == start and own.end() == stop
            if not is_own and self._is_wrapped(start, stop):
                self.is_wrapped = True
                return None
            if header is not None:
                return header
            self._notice(start, stop)
            at = stop + 1
            hit = data.find(dump_headers.WORD, at)
        return None

    def _line_end(self, at: int) -> int:
        newline = self._data.find(b"\n", at)
        return len(self._data) if newline < 0 else newline

    def _is_wrapped(self, start: int, stop: int) -> bool:
        """Whether there is the first line of a dump or goroutine in this line, within what is known."""
        if self._is_wrapping is None or not dump_headers.ANCHOR.search(self._data, start, min(stop, start + _NEAR)):
            return False
        return self._is_wrapping(start, stop)

    def _header(self, start: int, stop: int) -> re.Match[bytes] | None:
        """The header that is this line, or that of a single stack at its end, after text."""
        match = HEADER.match(self._data, start, stop)
        if match is not None:
            return match
        match = HEADER.match(self._data, max(start, self._data.rfind(MARK, start, stop)), stop)
        return match if match is not None and match.group(3) == b"running" else None

    def _notice(self, start: int, stop: int) -> None:
        """Take note of a line with a goroutine in it that is no header of one."""
        if blocks.HEADER.match(self._data, start, stop) or is_leak(self._data, start):
            self._end_run()
            if len(self.profiles) < MOST_DUMPS:
                self.profiles.append(start)
            else:
                self.left_out += 1
            return
        like = LIKE_HEADER.match(self._data, start, stop)
        if like is None:
            self._note_unread(start, stop)
            return
        self._look_back(start)
        self._gap = min(stop + 1, len(self._data))
        message = "the header of a goroutine cannot be read"
        if self._lead is not None:  # it is in the message of a panic
            return
        self._note_unread(start, stop)
        if self._run is not None:
            self._run.damage(start, like.group(1), message)
        elif len(self.errors) < MOST_SINGLE:
            self.errors.append((start, message))

    def _note_unread(self, start: int, stop: int) -> None:
        if dump_headers.is_there(self._data, start, stop):
            self.unread_at = self.unread_at if self.unread else start
            self.unread += 1

    def _look_back(self, at: int) -> None:
        """End the run if what the runtime wrote between its last goroutine and this place says so."""
        gap = self._gap
        if at - gap <= 1:
            return
        lead = _LEADS.search(self._data, max(gap, at - _NEAR), at)
        if lead is not None or _RESTS.search(self._data, gap, min(at, gap + _NEAR)):
            self._end_run()
        if lead is not None:
            self._lead = lead.start()

    def _goroutine(self, header: re.Match[bytes]) -> int:
        """Read the goroutine, or many from it on; where the text goes on."""
        at, stop = header.start(), header.end()
        is_inline = at > 0 and self._data[at - 1 : at] != b"\n"
        self._look_back(at)
        if not is_inline and self._absorb(at):
            return self._gap
        goroutine = Goroutine(header, at)
        after = self._read(goroutine, stop + 1)
        self._keep(goroutine, is_inline and not _NEXT.match(self._data, after))
        return after

    def _absorb(self, at: int) -> bool:
        run = self._run
        if run is None or at < self._no_bulk_before or len(self._data) - at < SMALLEST:
            return False
        after, self._no_bulk_before = self._bulk.absorb(self._data, at, len(self._data), run)
        if after == at:
            return False
        self._doubt(run)
        self._last = None
        run.end = self._gap = after
        return True

    def _read(self, goroutine: Goroutine, at: int, is_inner: bool = False) -> int:
        """Read its lines. Returns where the text goes on; the gap begins after the last line that was its."""
        data, end = self._data, len(self._data)
        self._gap = min(at, end)
        while at < end:
            stop = data.find(b"\n", at)
            if stop < 0:
                self._read_last(goroutine, data[at:])
                return end
            line = data[at:stop]
            if not line:
                if goroutine.ended or goroutine.is_main:  # else it may be somebody's empty line
                    return at
            elif not _BEGINS.match(line) and goroutine.take(line):
                self._gap = stop + 1
            elif goroutine.ended or _IS_OTHER.match(line) or at - self._gap > _PATIENCE:
                return at
            elif dump_headers.WORD in line and self._is_anothers_line(line, at, stop):
                after = None if is_inner else self._inner(at, stop)
                if after is None:
                    return at
                at = after
                continue
            at = stop + 1
        return end

    def _is_anothers_line(self, line: bytes, start: int, stop: int) -> bool:
        """Whether another goroutine or dump begins in the line."""
        if _BEGINS.match(line) or self._header(start, stop) or self._is_wrapped(start, stop):
            return True
        self._note_unread(start, stop)
        return False

    def _inner(self, at: int, stop: int) -> int | None:
        """Read a stack that somebody printed while the dump was written; None if it is none."""
        header = self._header(at, stop)
        if header is None:
            return None
        gap = self._gap
        goroutine = Goroutine(header, header.start())
        after = self._read(goroutine, stop + 1, is_inner=True)
        if goroutine.printed_itself:
            self._keep(goroutine, False)
        self._gap = gap
        return after if goroutine.printed_itself else None

    def _read_last(self, goroutine: Goroutine, line: bytes) -> None:
        """Take the line in which the input ends, if all of it is there that matters."""
        if goroutine.ended or blocks.LOG_LINE.match(line):
            return
        if _WITH_OFFSET.match(line) and goroutine.take(line):
            self._gap = len(self._data)
            goroutine.doubts.append("its last line has no newline and may be cut")
        else:
            goroutine.problems.append(CUT)

    def _keep(self, goroutine: Goroutine, is_inline: bool) -> None:
        if is_inline or goroutine.printed_itself:
            run = DumpBuilder(goroutine.offset, False)
            self._add(run, goroutine)
            self._finish(run, goroutine, self.single)
            return
        lead, before = self._lead, self._run
        if before is not None and self._is_anothers(before, goroutine):
            self._end_run()
        if self._run is None:
            # A fatal error in a second thread shows the running goroutine again.
            is_fatal = lead is not None or (before is not None and before.is_fatal)
            self._run = DumpBuilder(goroutine.offset if lead is None else lead, is_fatal)
        self._doubt(self._run)
        self._add(self._run, goroutine)
        self._last = goroutine

    def _add(self, run: DumpBuilder, goroutine: Goroutine) -> None:
        run.add(goroutine)
        run.end = self._gap
        self._lead = None

    @staticmethod
    def _is_anothers(run: DumpBuilder, goroutine: Goroutine) -> bool:
        return goroutine.id in run.ids or (goroutine.is_running and bool(goroutine.frames) and not run.is_fatal)

    def _doubt(self, run: DumpBuilder) -> None:
        """Note it if the goroutine that was the last until now may not be whole."""
        if self._last is not None and self._last.seems_cut():
            run.note(self._last.offset, self._last.id, "how it began is not there: lines may be missing")

    def _end_run(self) -> None:
        if self._run is not None:
            self._finish(self._run, self._last, self.runs)
        self._run = self._last = None

    def _finish(self, run: DumpBuilder, last: Goroutine | None, runs: list[DumpBuilder]) -> None:
        at_end = _NOTHING.match(self._data, run.end) is not None
        if at_end:
            run.end = len(self._data)
        if last is not None and last.seems_cut():
            if at_end:
                run.damage(last.offset, last.id, CUT)
            elif runs is self.single:
                run.note(last.offset, last.id, "how it began is not there")
            else:
                self._doubt(run)
        bound = MOST_SINGLE if runs is self.single else MOST_DUMPS
        if len(runs) < bound:
            runs.append(run)
        else:
            self.left_out += 1

    def _end(self) -> None:
        start = self._data.rfind(b"\n") + 1
        tail = self._data[start:]
        is_header = bool(tail) and (MARK.startswith(tail) or (tail.startswith(MARK) and b"[" not in tail))
        if self._run is not None and is_header and not self._data[self._gap : start].strip(b"\n"):
            self._run.damage(start, None, "the input ends within the header of a goroutine")
        self._end_run()
