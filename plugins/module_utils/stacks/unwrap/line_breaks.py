# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore the lines of a dump that were doubled, lost their empty lines, or were broken by a terminal or a mail."""

from __future__ import annotations

import io
import itertools
import re
from collections import Counter
from typing import Iterator

from .. import dump_headers
from ..debug1.blocks import LOG_LINE, MARK
from .source_text import SourceText, changed

_RUN = re.compile(rb"\n+")
_TAB = 8
_SHORTEST = 40  # columns of a terminal or a mail
_BROKEN = "its lines were broken, and not all of them could be joined"
_UNENDED = "the empty line at its end was lost, so its last line may be cut"
_MOST_ANCHORS = 50
_SAMPLE = 20000  # lines after the first anchor that determine the width
_MOST_PIECES = 200  # of one line
_ADDRESSES = re.compile(rb"\d{1,18} @(?: 0x[0-9a-f]{1,32})*\n$")
_ROW = re.compile(rb"[ \t]*#[ \t]*0x[0-9a-f]")
_LOCATED_ROW = re.compile(rb"[ \t]*#[ \t]*0x[0-9a-f]+[ \t]+\S.*:\d+\n?$")
_WHOLE_ROW = re.compile(rb"[ \t]*#[ \t]*0x[0-9a-f]+(?:[ \t]+\S.*\+0x[0-9a-f]+[ \t]+\S.*:\d+)?\n$")
# Cells of a row, none of which contains a blank.
_IS_ROW = re.compile(rb"[ \t]*#[ \t]*0x[0-9a-f]+[ \t]+\S+\+0x[0-9a-f]+[ \t]+\S+:\d+[ \t]*$")
_MORE_CELLS = re.compile(rb"[ \t]*\S+\+0x[0-9a-f]+(?:[ \t]+\S+:\d+)?[ \t]*$|[ \t]*\S+:\d+[ \t]*$")
_OFFSET = re.compile(rb"[ \t]*\+0x[0-9a-f]+[ \t]*$")
_OPEN_CREATOR = re.compile(rb"created by \S+ in(?: goroutine)?$")
_MORE_ADDRESSES = re.compile(rb"[ \t]*0x[0-9a-f]+(?: 0x[0-9a-f]+)*[ \t]*$")
_NO_END = re.compile(rb"^[ \t]*#[^\n]*\n\d{1,18} @ [^\n]*\n(?:[ \t]*#[^\n]*\n)+\d{1,18} @ ", re.MULTILINE)
_END = re.compile(rb"^[ \t]*#[^\n]*\n\n", re.MULTILINE)
_CALL = re.compile(rb"[A-Za-z_\x80-\xff][^\t\n ]*\([0-9a-fx,{}.?_ ]*\)\n$")
_CREATED = re.compile(rb"created by \S+(?: in goroutine \d+)?\n$")
_LOCATION = re.compile(
    rb"[ \t]*\S[^\n]*:\d{1,18}(?: \+0x[0-9a-f]+)?(?: fp=0x[0-9a-f]+ sp=0x[0-9a-f]+)?(?: pc=0x[0-9a-f]+)?\n$"
)
_POINTERS = re.compile(rb" ?(?:\+0x|fp=0x|sp=0x|pc=0x)")
_ARGUMENTS = rb"[0-9a-fx,{}.?_ ]*"
_OPEN_CALL = re.compile(rb"[A-Za-z_\x80-\xff][^\t\n ]*\(%s\n$" % _ARGUMENTS)
_OPEN_CALLS = re.compile(_OPEN_CALL.pattern.replace(b"[A", b"^[A", 1), re.MULTILINE)
_MORE_ARGUMENTS = re.compile(rb"%s\)?\n$" % _ARGUMENTS)
# The beginning of a line of a dump, complete or not.
_BEGINS = re.compile(
    rb"\n|goroutine |created by |\d{1,18} @|[ \t]*#|panic: |fatal error: |\[|exit status|\.\.\.|[ \t]+/"
    rb"|[A-Za-z_][\w.\-/]*[./][^\s]*\("
)


def undouble(text: SourceText) -> SourceText | None:
    """Return the text without the empty line after each of its lines; None if it has none."""
    data = text.data
    if b"\n\n" not in data or not _is_doubled(data):
        return None

    def lines() -> Iterator[tuple[bytes, int]]:
        empty = 0
        for number, line in enumerate(io.BytesIO(data)):
            empty = empty + 1 if line == b"\n" else 0
            if empty % 2 == 0:
                yield line, number

    return changed(lines()).within(text)


def _is_doubled(data: bytes) -> bool:
    """Return whether an empty line follows each of the first lines of a dump.

    Where the dump has an empty line, there are twice as many.
    """
    for anchor in _first(dump_headers.ANCHOR.finditer(data), _MOST_ANCHORS):
        runs = [len(run.group()) for run in _first(_RUN.finditer(data, anchor.end()), 12)]
        if runs and all(run % 2 == 0 for run in runs[:-1]) and 2 * sum(run == 2 for run in runs) > len(runs):
            return True
    return False


def _first(found: Iterator[re.Match[bytes]], most: int) -> Iterator[re.Match[bytes]]:
    for _number, each in zip(range(most), found):
        yield each


def separate_blocks(text: SourceText) -> SourceText | None:
    """Insert the missing empty line before each block of a debug=1 dump.

    The empty line at its end proved that the dump is complete. That proof is lost.
    """
    if not _is_without_empty_lines(text.data):
        return None

    def lines() -> Iterator[tuple[bytes, int]]:
        before = b""
        number = 0
        for number, line in enumerate(io.BytesIO(text.data)):
            if _ROW.match(before) and line != b"\n" and not _ROW.match(line):
                yield b"\n", number
            yield line, number
            before = line
        if _ROW.match(before):
            yield b"\n", number

    return changed(lines()).within(text)._replace(loss=text.loss or "the empty lines between its blocks were lost")


def end_blocks(text: SourceText) -> SourceText | None:
    """Insert the missing empty line after the last block of a debug=1 dump.

    People and editors cut it off. It proved that the last line is whole. That proof is lost.
    """
    lines = list(io.BytesIO(text.data))
    last: int | None = None
    ends: set[int] = set()
    for number, line in enumerate([*lines, MARK]):
        if last is not None and line.startswith(MARK):
            if lines[last + 1 : last + 2] != [b"\n"] and _LOCATED_ROW.match(lines[last]):
                ends.add(last)
            last = None
        elif _ROW.match(line):
            last = number
    if not ends:
        return None
    ended = ((line.rstrip(b"\n") + b"\n\n" if number in ends else line, number) for number, line in enumerate(lines))
    return changed(ended).within(text)._replace(loss=text.loss or _UNENDED)


def _is_without_empty_lines(data: bytes) -> bool:
    """Return whether there are adjacent blocks and no empty line. A single one may have been lost."""
    return _NO_END.search(data) is not None and _END.search(data) is None


def unfold(text: SourceText) -> SourceText | None:
    """Join, by a blank each, lines that a mail broke at blanks and tabs; None if there are none.

    Only if each line is whole then. Terminals break lines within words, and those must not be joined by a blank.
    """
    lines: list[tuple[bytes, int]] = []
    is_folded = False
    for number, line in enumerate(io.BytesIO(text.data)):
        before, first = lines[-1] if lines else (b"", 0)
        if number - first <= _MOST_PIECES and _goes_on_behind_a_blank(before, line):
            lines[-1] = before.rstrip() + b" " + line.lstrip(b" \t"), first
            is_folded = True
        else:
            lines.append((line, number))
    if not is_folded or not all(_is_one_line(line) for line, _number in lines):
        return None
    return changed(
        (re.sub(rb"\t+", b" ", line) if _ROW.match(line) else line, number) for line, number in lines
    ).within(text)


def _goes_on_behind_a_blank(line: bytes, following: bytes) -> bool:
    if line.startswith(b"created by"):
        return _CREATED.match(line.rstrip() + b" " + following.rstrip() + b"\n") is not None or (
            _OPEN_CREATOR.match(line.rstrip() + b" " + following.rstrip()) is not None
        )
    if dump_headers.BLOCK_HEAD.match(line):
        return _MORE_ADDRESSES.match(following) is not None
    if _OFFSET.match(following):
        return _LOCATION.match(line) is not None and b" +0x" not in line
    return _ROW.match(line) is not None and _MORE_CELLS.match(following) is not None and not _IS_ROW.match(line)


def _is_one_line(line: bytes) -> bool:
    if dump_headers.BLOCK_HEAD.match(line):
        return _ADDRESSES.match(line.rstrip() + b"\n") is not None
    return not _ROW.match(line) or _IS_ROW.match(line) is not None


def rejoin(text: SourceText) -> SourceText | None:
    """Join lines that were broken at one width, as far as the dump's grammar proves it; None if there are none."""
    first = dump_headers.ANCHOR.search(text.data)
    if first is None:
        return None
    before = text.data.count(b"\n", 0, first.start())
    lines = list(io.BytesIO(text.data))
    width = _width(lines[before : before + _SAMPLE])
    if not width and not _OPEN_CALLS.search(text.data):
        return None
    joined = list(_joined(lines, before, width))
    if before + len(joined) == len(lines):
        return None
    whole = changed([*((line, number) for number, line in enumerate(lines[:before])), *joined]).within(text)
    return whole._replace(loss=text.loss or (_BROKEN if _is_broken([line for line, _number in joined]) else None))


def is_broken(text: SourceText) -> bool:
    """Return whether lines of a dump seem to be broken at one width."""
    first = dump_headers.ANCHOR.search(text.data)
    return first is not None and _width(list(itertools.islice(io.BytesIO(text.data[first.start() :]), _SAMPLE))) > 0


def _is_broken(lines: list[bytes]) -> bool:
    """Return whether a line of a debug=1 dump is still in pieces, or unexpected text follows a frame."""
    before = b"\n"
    for line in lines:
        if (_ROW.match(line) and not _WHOLE_ROW.match(line)) or (
            dump_headers.BLOCK_HEAD.match(line) and not _ADDRESSES.match(line)
        ):
            return True
        if _ROW.match(before) and line != b"\n" and not _ROW.match(line) and not LOG_LINE.match(line):
            return True
        before = line
    return False


def _columns(line: bytes) -> int:
    return len(line.rstrip(b"\n").decode("utf-8", "replace").expandtabs(_TAB))


def _width(lines: list[bytes]) -> int:
    """Return the width at which lines were broken: the most frequent one of lines that need the next line."""
    widths: Counter[int] = Counter()
    for line, following in zip(lines, lines[1:]):
        if not LOG_LINE.match(line) and (_POINTERS.match(following) or _goes_on(line, following)):
            widths[_columns(line)] += 1
    widest = max(widths, key=lambda width: (widths[width], width), default=0)
    return widest if widest >= _SHORTEST else 0


def _goes_on(line: bytes, following: bytes) -> bool:
    return not _is_whole(line.rstrip() + b"\n") and not _BEGINS.match(following) and _may_be_cut(line)


def _is_whole(line: bytes) -> bool:
    """Return whether the line is a complete line of a dump."""
    return any(pattern.match(line) for pattern in (_CALL, _LOCATION, _CREATED, _ADDRESSES, _WHOLE_ROW)) or bool(
        dump_headers.ANCHOR.match(line)
    )


def _may_be_cut(line: bytes) -> bool:
    """Return whether the line begins like one of a dump."""
    return any(pattern.match(line) for pattern in (_BEGINS, _ROW)) and line != b"\n"


def _joined(lines: list[bytes], at: int, width: int) -> Iterator[tuple[bytes, int]]:
    """Yield the lines from `at` on, joined, each with the number of its first piece."""
    while at < len(lines):
        line, number = lines[at], at
        at += 1
        for _piece in range(_MOST_PIECES):
            # Some terminals drop the blank at which they break, or break before a wide character.
            if at >= len(lines) or lines[at] == b"\n" or LOG_LINE.match(line):
                break
            following = lines[at]
            whole = line.rstrip(b"\n") + following
            if not (_OPEN_CALL.match(line) and _MORE_ARGUMENTS.match(following)):
                least = width - (_TAB if following.startswith(b"\t") else 1)
                is_full = least <= _columns(lines[at - 1]) <= width
                if not is_full or LOG_LINE.match(following) or _begins_another(line, following, whole):
                    break
            line = whole
            at += 1
        yield line, number


def _begins_another(line: bytes, following: bytes, whole: bytes) -> bool:
    """Return whether the following line is a line of its own and not the rest of this one."""
    if not _may_be_cut(line) and not _is_whole(line):
        return True
    if dump_headers.ANCHOR.match(following) or _ROW.match(following) or dump_headers.BLOCK_HEAD.match(following):
        return True
    return bool(_is_whole(line) and (_is_whole(following) or not _is_whole(whole))) or bool(
        _CALL.match(following) and _is_whole(line)
    )
