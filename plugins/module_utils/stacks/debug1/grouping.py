# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the blocks of a debug=1 dump to the model."""

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
    """Hostile bytes as text; what is not UTF-8 is replaced."""
    return data.decode("utf-8", "replace")


def unquote(quoted: bytes) -> str:
    """A string as Go's %q writes it."""

    def one(match: re.Match[bytes]) -> bytes:
        byte, short, long, letter = match.groups()
        if byte:
            return bytes([int(byte, 16)])
        if letter is None:
            return chr(min(int(short or long, 16), 0x10FFFF)).encode("utf-8", "replace")
        return _ESCAPED.get(letter, letter)

    return text(_ESCAPE.sub(one, quoted[1:-1]))


def labels_of(labels: bytes | None) -> dict[str, str]:
    """What Go prints as {"key":"value", "key":"value"}."""
    return {unquote(key): unquote(value) for key, value in _PAIR.findall(labels or b"")}


def frame_of(row: FrameRow) -> Frame:
    """The frame of a row; an address without a symbol stands for its function."""
    if row.function is None:
        return Frame(f"0x{row.pc:x}", "?", 0)
    # Interned: the same few places come again in every dump.
    function = sys.intern(text(row.function[: row.function.rindex(b"+0x")]))
    return Frame(function, sys.intern(text(row.file)), row.line)


def groups_of(blocks: list[Block]) -> list[Group]:
    """Blocks that differ only in addresses within the same lines are one group; the largest first."""
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
    """What a reader has read so far, in any state; `line` is where its dump begins in the input.

    needs_writer: it is a dump of all goroutines, so the one that writes it is among them. If that one is in none of
    the blocks, it is no proof that they add up to some total.
    """
    problems = reader.problems
    if not problems and needs_writer and not has_writer(reader):
        problems = ["the goroutine that wrote it is not in it"]
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
