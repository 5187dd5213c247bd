# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fast way through goroutines that nobody wrote into: whole regions at a time, with the same result.

Goroutines mostly stand in a few places and differ in arguments, so each distinct text without arguments is read
once, by the same code as everything else, and the rest is counted. A frame is

    name(arguments)<newline><tab>file:line +0x1f

so what is between `)<newline><tab>` and the last `(` before it is the arguments, unless there is a newline in it.
That would be text of another shape; it shows in the number of newlines, and then the region is refused.
"""

from __future__ import annotations

import re
from collections import defaultdict

from ..model import IDS_KEPT
from .builder import DumpBuilder
from .goroutine import MOST_DIGITS, Goroutine, read_clean

SMALLEST = 1 << 15  # bytes; less is not worth the trouble
_REGION = 4 << 20
_CHUNK = 1 << 17
_MOST_KNOWN = 20000
_MARK = b"\n\ngoroutine "
_FRAME = b")\n\t"
_PARENT = re.compile(rb" in goroutine \d+\n")


class FastPath:
    """Knows the texts it has read once."""

    def __init__(self) -> None:
        self._known: dict[bytes, Goroutine | None] = {}

    def absorb(self, data: bytes, start: int, end: int, run: DumpBuilder) -> tuple[int, int]:
        """Add the goroutines from `start`, where a header stands, to the run.

        Returns where the first goroutine stands that was not added, and up to where it is no use to try again.
        The last goroutine before `end` is always left: it may be cut.
        """
        stop = data.rfind(_MARK, start, min(start + _REGION, end))
        if stop < 0:
            return start, min(start + _REGION, end)
        places: dict[bytes, list[int]] = defaultdict(list)
        ids: list[bytes] = []
        at = start
        while at < stop:
            following = stop if stop - at <= _CHUNK else data.rfind(_MARK, at, at + _CHUNK)
            if following < 0:
                return start, stop
            found = _blocks(data[at + len(_MARK) - 2 : following])
            if found is None:
                return start, stop
            for place, text in enumerate(found[1], len(ids)):
                places[text].append(place)
            ids.extend(found[0])
            at = following + 2
        return (stop + 2, stop + 2) if self._add(run, data.count(b"\n", start, stop), ids, places) else (start, stop)

    def _add(self, run: DumpBuilder, newlines: int, ids: list[bytes], places: dict[bytes, list[int]]) -> bool:
        distinct = set(ids)
        if len(distinct) != len(ids) or not run.ids.isdisjoint(distinct):
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
            run.add_many(sample, len(found), [(run.count + place, ids[place]) for place in found[:IDS_KEPT]])
        run.count += len(ids)
        run.ids |= distinct
        return True

    def _sample(self, text: bytes) -> Goroutine | None:
        text = _PARENT.sub(b"\n", text)
        if text not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[text] = _read(b"goroutine 1 " + text.replace(_FRAME, b"()\n\t"))
        return self._known[text]


def _read(block: bytes) -> Goroutine | None:
    """The goroutine, unless there is more to say of it than its place."""
    goroutine = read_clean(block)
    if goroutine is None or goroutine.is_running or goroutine.printed_itself or goroutine.seems_cut():
        return None
    return goroutine


def _blocks(chunk: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]] | None:
    """Ids of the goroutines in the chunk, which begins with an id, and their texts after the id without arguments."""
    frames = chunk.split(_FRAME)
    last = frames.pop()
    names = [frame.rpartition(b"(")[0] for frame in frames]
    names.append(last)
    blocks = [block.partition(b" ") for block in _FRAME.join(names).split(_MARK)]
    ids, _spaces, texts = zip(*blocks)
    is_plain = b"".join(ids).isdigit() and all(ids) and max(map(len, ids)) <= MOST_DIGITS
    return (ids, texts) if is_plain else None
