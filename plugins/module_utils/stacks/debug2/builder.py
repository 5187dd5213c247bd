# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump in the runtime's text form while it is read: its goroutines, grouped."""

from __future__ import annotations

from ..model import IDS_KEPT, MOST_ERRORS, Dump, Group, ParseError
from .goroutine import Goroutine, labels_of_header

# runtime/pprof writeGoroutineStacks stops at a buffer of this size and writes what fits.
DEBUG2_LIMIT = 64 << 20


class _GroupEntry:
    """Goroutines of one group: their number, their first ids, their shortest and longest wait."""

    def __init__(self, sample: Goroutine) -> None:
        self.sample = sample
        self.count = 0
        self.wait_min = self.wait_max = sample.wait
        self.ids: list[tuple[int, bytes]] = []  # place in the dump, id

    def add(self, count: int, wait: int, ids: list[tuple[int, bytes]]) -> None:
        self.count += count
        self.wait_min = min(self.wait_min, wait)
        self.wait_max = max(self.wait_max, wait)
        if len(self.ids) < IDS_KEPT or ids[0] < self.ids[-1]:
            self.ids = sorted(self.ids + ids)[:IDS_KEPT]

    def group(self) -> Group:
        return Group(
            count=self.count,
            frames=tuple(self.sample.frames),
            state=self.sample.state,
            wait_min=self.wait_min,
            wait_max=self.wait_max,
            labels=labels_of_header(self.sample.labels),
            created_by=self.sample.created_by,
            ids=[int(number) for _place, number in self.ids],
        )


class DumpBuilder:
    """Builder of one dump from its goroutines.

    Every id occurs once: an id that comes again belongs to another dump.
    """

    def __init__(self, start: int, has_intro: bool) -> None:
        self.start = start
        self.end = start
        self.is_fatal = has_intro
        self.count = 0
        self.ids: set[bytes] = set()
        self.errors: list[tuple[int, bytes | None, str]] = []  # offset, goroutine, what
        self.is_damaged = False
        self._is_profile = False
        self._entries: dict[tuple[object, ...], _GroupEntry] = {}

    def add(self, goroutine: Goroutine) -> None:
        """Add one goroutine that has been read to its end."""
        for problem in goroutine.finish():
            self.damage(goroutine.offset, goroutine.id, problem)
        for doubt in goroutine.doubts:
            self.note(goroutine.offset, goroutine.id, doubt)
        self.add_many(goroutine, 1, [(self.count, goroutine.id)])
        self.count += 1
        self.ids.add(goroutine.id)

    def add_many(self, sample: Goroutine, count: int, ids: list[tuple[int, bytes]]) -> None:
        """Add goroutines that differ from the sample only in their ids; the first of these are kept."""
        self.is_fatal = self.is_fatal or sample.has_pointers
        self._is_profile = self._is_profile or sample.writes_profile
        entry = self._entries.get(sample.key)
        if entry is None:
            entry = self._entries[sample.key] = _GroupEntry(sample)
        entry.add(count, sample.wait, ids)

    def damage(self, offset: int, goroutine: bytes | None, message: str) -> None:
        """Record a problem that proves that the dump is not complete."""
        self.is_damaged = True
        self.note(offset, goroutine, message)

    def note(self, offset: int, goroutine: bytes | None, message: str) -> None:
        """Record a problem that makes the dump doubtful; only the first MOST_ERRORS are kept."""
        if len(self.errors) < MOST_ERRORS:
            self.errors.append((offset, goroutine, message))

    def dump(self, is_single: bool = False) -> Dump:
        """Return the model. Its lines, and those of its errors, are still offsets."""
        is_single = is_single or (self.count == 1 and not self._is_profile)
        form = "fatal" if self.is_fatal else "stack" if is_single else "debug2"
        if form == "debug2" and self.end - self.start == DEBUG2_LIMIT:
            self.damage(self.end, None, f"it is cut at {DEBUG2_LIMIT} bytes: Go writes no more")
        return Dump(
            form=form,
            goroutines=self.count,
            complete=False if self.is_damaged else None,
            groups=sorted((entry.group() for entry in self._entries.values()), key=lambda group: -group.count),
            errors=[
                ParseError(offset, None if number is None else int(number), message)
                for offset, number, message in sorted(self.errors, key=lambda error: error[0])
            ],
            line=self.start,
        )
