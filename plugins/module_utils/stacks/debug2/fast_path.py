# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fast path for goroutines without other text between them: whole regions at once, with the same result.

Most goroutines are in a few places and differ in arguments. So each distinct text without arguments is read once, by
the regular parser, and the rest is counted. A frame is

    name(arguments)<newline><tab>file:line +0x1f

Everything between `)<newline><tab>` and the last `(` before it is the arguments, unless it contains a newline. A
newline would mean text of another shape. It shows in the number of newlines, and then the region is rejected.
"""

from __future__ import annotations

import re
from collections import defaultdict

from ..limits import DEFAULT_LIMITS, ParseLimits
from ..model import IDS_KEPT
from .builder import DumpBuilder
from .goroutine import MOST_DIGITS, Goroutine, read_clean

_MOST_KNOWN = 20000
_MARK = b"\n\ngoroutine "
_FRAME = b")\n\t"
_PARENT = re.compile(rb" in goroutine \d+\n")


class FastPath:
    """Cache of the goroutine texts that were read once."""

    def __init__(self, limits: ParseLimits = DEFAULT_LIMITS) -> None:
        self._region = limits.region_bytes
        self._chunk = limits.chunk_bytes
        self._known: dict[bytes, Goroutine | None] = {}

    def add_region(self, data: bytes, start: int, end: int, builder: DumpBuilder) -> tuple[int, int]:
        """Add the goroutines from `start`, where a header is, to the dump.

        Return the offset of the first goroutine that was not added, and the offset before which another attempt is no
        use. The last goroutine before `end` is always left, since it may be cut.
        """
        region_end = min(start + self._region, end)
        stop = data.rfind(_MARK, start, region_end)
        if stop < 0:
            return start, region_end
        places: dict[bytes, list[int]] = defaultdict(list)
        ids: list[bytes] = []
        at = start
        while at < stop:
            following = stop if stop - at <= self._chunk else data.rfind(_MARK, at, at + self._chunk)
            if following < 0:
                return start, stop
            found = _blocks(data[at + len(_MARK) - 2 : following])
            if found is None:
                return start, stop
            for place, text in enumerate(found[1], len(ids)):
                places[text].append(place)
            ids.extend(found[0])
            at = following + 2
        is_added = self._add(builder, data.count(b"\n", start, stop), ids, places)
        return (stop + 2, stop + 2) if is_added else (start, stop)

    def _add(self, builder: DumpBuilder, newlines: int, ids: list[bytes], places: dict[bytes, list[int]]) -> bool:
        distinct = set(ids)
        if len(distinct) != len(ids) or not builder.ids.isdisjoint(distinct):
            return False
        samples = []
        for text, found in places.items():
            newlines -= text.count(b"\n") * len(found)
            sample = self._sample(text)
            if sample is None:
                return False
            samples.append((sample, found))
        if newlines != 2 * (len(ids) - 1):
            return False
        for sample, found in samples:
            builder.add_many(sample, len(found), [(builder.count + place, ids[place]) for place in found[:IDS_KEPT]])
        builder.count += len(ids)
        builder.ids |= distinct
        return True

    def _sample(self, text: bytes) -> Goroutine | None:
        text = _PARENT.sub(b"\n", text)
        if text not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[text] = _read(b"goroutine 1 " + text.replace(_FRAME, b"()\n\t"))
        return self._known[text]


def _read(block: bytes) -> Goroutine | None:
    """Return the goroutine, unless it has properties besides its place; then None."""
    goroutine = read_clean(block)
    if goroutine is None or goroutine.is_running or goroutine.printed_itself or goroutine.seems_cut():
        return None
    return goroutine


def _blocks(chunk: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]] | None:
    """Return the ids of the goroutines in the chunk, and their texts after the id without arguments.

    The chunk begins with an id. Return None if it has another shape.
    """
    frames = chunk.split(_FRAME)
    last = frames.pop()
    names = [frame.rpartition(b"(")[0] for frame in frames]
    names.append(last)
    blocks = [block.partition(b" ") for block in _FRAME.join(names).split(_MARK)]
    ids, _spaces, texts = zip(*blocks)
    is_plain = b"".join(ids).isdigit() and all(ids) and max(map(len, ids)) <= MOST_DIGITS
    return (ids, texts) if is_plain else None
