# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversion of debug=1 blocks to the model: equal stacks become one group."""

from __future__ import annotations

import re
import sys

from ..model import MOST_ERRORS, Dump, Frame, Group, ParseError
from .blocks import QUOTED, Block, FrameRow
from .live_reader import has_writer
from .reader import DumpReader, ReaderState

_PAIR = re.compile(rb"(%s):(%s)" % (QUOTED, QUOTED))
_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def text(data: bytes) -> str:
    """Decode untrusted bytes; bytes that are not UTF-8 are replaced."""
    return data.decode("utf-8", "replace")


def unquote(quoted: bytes) -> str:
    """Return the string that Go's %q has quoted."""

    def one(match: re.Match[bytes]) -> bytes:
        byte, short, long, letter = match.groups()
        if byte:
            return bytes([int(byte, 16)])
        if letter is None:
            return chr(min(int(short or long, 16), 0x10FFFF)).encode("utf-8", "replace")
        return _ESCAPED.get(letter, letter)

    return text(_ESCAPE.sub(one, quoted[1:-1]))


def labels_of(labels: bytes | None) -> dict[str, str]:
    """Parse labels as Go prints them: {"key":"value", "key":"value"}."""
    return {unquote(key): unquote(value) for key, value in _PAIR.findall(labels or b"")}


def frame_of(row: FrameRow) -> Frame:
    """Return the frame of a row. An address without a symbol stands for its function."""
    if row.function is None:
        return Frame(f"0x{row.pc:x}", "?", 0)
    # Interned: every dump repeats the same few functions and files.
    function = sys.intern(text(row.function[: row.function.rindex(b"+0x")]))
    return Frame(function, sys.intern(text(row.file)), row.line)


def groups_of(blocks: list[Block]) -> list[Group]:
    """Merge blocks that differ only in addresses within the same lines; the largest group comes first."""
    groups: dict[tuple[tuple[Frame, ...], bytes | None], Group] = {}
    for block in blocks:
        frames = tuple(frame_of(row) for row in block.rows)
        group = groups.get((frames, block.labels))
        if group is None:
            groups[frames, block.labels] = Group(block.count, frames, labels=labels_of(block.labels))
        else:
            group.count += block.count
    return sorted(groups.values(), key=lambda group: -group.count)


def dump_of(reader: DumpReader, line: int = 1, source: str | None = None, needs_writer: bool = True) -> Dump:
    """Return the dump that a reader has read so far, in any state.

    line: where the dump begins in the input.
    needs_writer: it is a dump of all goroutines, so the one that writes it is among them. If no block has it, the
    blocks do not prove that they add up to the total.
    """
    problems = reader.problems
    if not problems and needs_writer and not has_writer(reader):
        problems = ["the goroutine that wrote the dump is missing"]
    return Dump(
        form="debug1",
        total=reader.total,
        goroutines=sum(block.count for block in reader.blocks),
        complete=reader.state is ReaderState.COMPLETE and not problems,
        groups=groups_of(reader.blocks),
        errors=[ParseError(line, None, problem) for problem in problems[:MOST_ERRORS]],
        line=line,
        source=source,
    )
