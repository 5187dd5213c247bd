# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scan the text of one source for goroutines in the runtime's text form, and combine them into dumps.

Goroutines follow one another with an empty line between them. Whole log lines may come anywhere. Another dump begins
- after a line of the runtime that introduces it (`panic: `, `fatal error: `) or that ends the one before (the
registers),
- with an id that occurred before, or
- with a second running goroutine where only the writer can be running.

A stack printed by debug.Stack is a dump of its own.
"""

from __future__ import annotations

import re
from typing import Callable

from .. import dump_headers
from ..debug1 import blocks
from ..debug1.text_reader import is_leak
from ..limits import DEFAULT_LIMITS, ParseLimits
from .builder import DumpBuilder
from .fast_path import FastPath
from .goroutine import HEADER, LIKE_HEADER, MARK, Goroutine

_INTRO = (
    rb"(?:panic: |fatal error: |SIG[A-Z]+: |\[signal |runtime stack:|runtime: (?!g ?\d+: )|unexpected fault address )"
)
_REST = rb"(?:exit status \d+|-----|[a-z][a-z0-9]{1,5} +0x[0-9a-f]+)$"
_IS_OTHER = re.compile(_INTRO + rb"|" + _REST)
_INTROS = re.compile(rb"^" + _INTRO, re.MULTILINE)
_RESTS = re.compile(rb"^" + _REST, re.MULTILINE)
_NEAR = 1 << 15  # bytes around a goroutine in which these lines are looked for
_MOST_OTHER_TEXT = 1 << 20  # bytes of other text after which a goroutine cannot continue
_BEGINS = re.compile(rb"goroutine(?:leak)? (?:profile: total )?\d")
# A goroutine header right after a stack: then the stack is the first one of a dump within a message.
_NEXT = re.compile(rb"\n?goroutine \d{1,18}[^\n]*\]:\n")
_NOTHING = re.compile(rb"\n*\Z")
_WITH_OFFSET = re.compile(rb"\t.* \+0x[0-9a-f]+")
CUT = "the input ends within it"


class DumpScanner:
    """Scanner over the text; the attributes are its results.

    dumps: the dumps. single: the stacks that were printed by themselves.
    profiles: the offsets of the header lines of debug=1 dumps.
    errors: offset and description of problems outside of any dump.
    has_word: the text contains the word `goroutine`.
    unread: the number of lines that contain the first line of a dump or goroutine, but are not it.
    unread_at: the offset of the first of these.
    is_wrapped: there are goroutines within a wrapping that is_wrapping knows; the scan has stopped there. is_wrapping
    is called with the offsets at which such a line begins and ends.
    """

    def __init__(
        self,
        data: bytes,
        is_wrapping: Callable[[int, int], bool] | None = None,
        limits: ParseLimits = DEFAULT_LIMITS,
    ) -> None:
        self.dumps: list[DumpBuilder] = []
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
        self._limits = limits
        self._fast_path = FastPath(limits)
        self._no_fast_path_before = 0
        self._dump: DumpBuilder | None = None
        self._last: Goroutine | None = None  # in the current dump
        self._gap = 0  # where the last goroutine ended
        self._intro: int | None = None  # offset of the lines that introduce the next dump
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
            self._record_header(start, stop)
            at = stop + 1
            hit = data.find(dump_headers.WORD, at)
        return None

    def _line_end(self, at: int) -> int:
        newline = self._data.find(b"\n", at)
        return len(self._data) if newline < 0 else newline

    def _is_wrapped(self, start: int, stop: int) -> bool:
        """Return whether the line holds the first line of a dump or goroutine within a known wrapping."""
        if self._is_wrapping is None or not dump_headers.ANCHOR.search(self._data, start, min(stop, start + _NEAR)):
            return False
        return self._is_wrapping(start, stop)

    def _header(self, start: int, stop: int) -> re.Match[bytes] | None:
        """Return the header that is this line, or the header of a single stack at its end, after text."""
        match = HEADER.match(self._data, start, stop)
        if match is not None:
            return match
        match = HEADER.match(self._data, max(start, self._data.rfind(MARK, start, stop)), stop)
        return match if match is not None and match.group(3) == b"running" else None

    def _record_header(self, start: int, stop: int) -> None:
        """Record a line that has the word `goroutine` and is no header of one."""
        if blocks.HEADER.match(self._data, start, stop) or is_leak(self._data, start):
            self._end_dump()
            if len(self.profiles) < self._limits.dumps:
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
        if self._intro is not None:  # it is part of a panic's message
            return
        self._note_unread(start, stop)
        if self._dump is not None:
            self._dump.damage(start, like.group(1), message)
        elif len(self.errors) < self._limits.single_stacks:
            self.errors.append((start, message))

    def _note_unread(self, start: int, stop: int) -> None:
        if dump_headers.is_there(self._data, start, stop):
            self.unread_at = self.unread_at if self.unread else start
            self.unread += 1

    def _look_back(self, at: int) -> None:
        """End the current dump if the runtime's lines since its last goroutine say so."""
        gap = self._gap
        if at - gap <= 1:
            return
        intro = _INTROS.search(self._data, max(gap, at - _NEAR), at)
        if intro is not None or _RESTS.search(self._data, gap, min(at, gap + _NEAR)):
            self._end_dump()
        if intro is not None:
            self._intro = intro.start()

    def _goroutine(self, header: re.Match[bytes]) -> int:
        """Read the goroutine, or many from it on, and return where the text continues."""
        at, stop = header.start(), header.end()
        is_inline = at > 0 and self._data[at - 1 : at] != b"\n"
        self._look_back(at)
        if not is_inline and self._use_fast_path(at):
            return self._gap
        goroutine = Goroutine(header, at)
        after = self._read(goroutine, stop + 1)
        self._add_goroutine(goroutine, is_inline and not _NEXT.match(self._data, after))
        return after

    def _use_fast_path(self, at: int) -> bool:
        dump = self._dump
        if dump is None or at < self._no_fast_path_before or len(self._data) - at < self._limits.fast_path_bytes:
            return False
        after, self._no_fast_path_before = self._fast_path.add_region(self._data, at, len(self._data), dump)
        if after == at:
            return False
        self._note_if_cut(dump)
        self._last = None
        dump.end = self._gap = after
        return True

    def _read(self, goroutine: Goroutine, at: int, is_inner: bool = False) -> int:
        """Read the lines of a goroutine and return where the text continues.

        The gap begins after the last line that belongs to the goroutine.
        """
        data, end = self._data, len(self._data)
        self._gap = min(at, end)
        while at < end:
            stop = data.find(b"\n", at)
            if stop < 0:
                self._read_last(goroutine, data[at:])
                return end
            line = data[at:stop]
            if not line:
                if goroutine.ended or goroutine.is_main:  # else it may be an empty line of other text
                    return at
            elif not _BEGINS.match(line) and goroutine.add_line(line):
                self._gap = stop + 1
            elif goroutine.ended or _IS_OTHER.match(line) or at - self._gap > _MOST_OTHER_TEXT:
                return at
            elif dump_headers.WORD in line and self._begins_another(line, at, stop):
                after = None if is_inner else self._read_nested_stack(at, stop)
                if after is None:
                    return at
                at = after
                continue
            at = stop + 1
        return end

    def _begins_another(self, line: bytes, start: int, stop: int) -> bool:
        """Return whether another goroutine or dump begins in the line."""
        if _BEGINS.match(line) or self._header(start, stop) or self._is_wrapped(start, stop):
            return True
        self._note_unread(start, stop)
        return False

    def _read_nested_stack(self, at: int, stop: int) -> int | None:
        """Read a stack that was printed while the dump was written; None if it is none."""
        header = self._header(at, stop)
        if header is None:
            return None
        gap = self._gap
        goroutine = Goroutine(header, header.start())
        after = self._read(goroutine, stop + 1, is_inner=True)
        if goroutine.printed_itself:
            self._add_goroutine(goroutine, False)
        self._gap = gap
        return after if goroutine.printed_itself else None

    def _read_last(self, goroutine: Goroutine, line: bytes) -> None:
        """Take the last, unfinished line of the input if all relevant parts of it are there."""
        if goroutine.ended or blocks.LOG_LINE.match(line):
            return
        if _WITH_OFFSET.match(line) and goroutine.add_line(line):
            self._gap = len(self._data)
            goroutine.doubts.append("its last line has no newline and may be cut")
        else:
            goroutine.problems.append(CUT)

    def _add_goroutine(self, goroutine: Goroutine, is_inline: bool) -> None:
        if is_inline or goroutine.printed_itself:
            dump = DumpBuilder(goroutine.offset, False)
            self._add(dump, goroutine)
            self._close_dump(dump, goroutine, self.single)
            return
        intro, before = self._intro, self._dump
        if before is not None and self._belongs_to_another(before, goroutine):
            self._end_dump()
        if self._dump is None:
            # A fatal error in a second thread shows the running goroutine again.
            is_fatal = intro is not None or (before is not None and before.is_fatal)
            self._dump = DumpBuilder(goroutine.offset if intro is None else intro, is_fatal)
        self._note_if_cut(self._dump)
        self._add(self._dump, goroutine)
        self._last = goroutine

    def _add(self, dump: DumpBuilder, goroutine: Goroutine) -> None:
        dump.add(goroutine)
        dump.end = self._gap
        self._intro = None

    @staticmethod
    def _belongs_to_another(dump: DumpBuilder, goroutine: Goroutine) -> bool:
        return goroutine.id in dump.ids or (goroutine.is_running and bool(goroutine.frames) and not dump.is_fatal)

    def _note_if_cut(self, dump: DumpBuilder) -> None:
        """Record a doubt if the last goroutine may be incomplete."""
        if self._last is not None and self._last.seems_cut():
            dump.note(self._last.offset, self._last.id, "its outermost frame is missing: lines may be lost")

    def _end_dump(self) -> None:
        if self._dump is not None:
            self._close_dump(self._dump, self._last, self.dumps)
        self._dump = self._last = None

    def _close_dump(self, dump: DumpBuilder, last: Goroutine | None, dumps: list[DumpBuilder]) -> None:
        at_end = _NOTHING.match(self._data, dump.end) is not None
        if at_end:
            dump.end = len(self._data)
        if last is not None and last.seems_cut():
            if at_end:
                dump.damage(last.offset, last.id, CUT)
            elif dumps is self.single:
                dump.note(last.offset, last.id, "its outermost frame is missing")
            else:
                self._note_if_cut(dump)
        bound = self._limits.single_stacks if dumps is self.single else self._limits.dumps
        if len(dumps) < bound:
            dumps.append(dump)
        else:
            self.left_out += 1

    def _end(self) -> None:
        start = self._data.rfind(b"\n") + 1
        tail = self._data[start:]
        is_header = bool(tail) and (MARK.startswith(tail) or (tail.startswith(MARK) and b"[" not in tail))
        if self._dump is not None and is_header and not self._data[self._gap : start].strip(b"\n"):
            self._dump.damage(start, None, "the input ends within the header of a goroutine")
        self._end_dump()
