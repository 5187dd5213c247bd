# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Whether an execution trace of Go is whole, as far as its own bytes tell.

It begins with `go 1.N trace` and three zero bytes. Numbers are base-128 varints. N is that of the format:

From 1.22 on, batches follow one another: a byte that says so, generation, thread, time, size, then that many bytes.
A generation (a second or so) ends with its batches of stacks and then of texts; from 1.26 on a byte of its own says
that it has ended. Before 1.26 the last batch must thus be of texts, and one that was flushed because it was full is
not the last. A trace that is cut exactly at the end of a generation is a whole shorter trace.

Up to 1.21, events follow one another: the type in the low six bits of a byte, the number of arguments in the upper
two, the arguments; or, for three, a length and that many bytes. Texts and stacks are among them; after the event that
tells the frequency the remaining stacks come. Stacks are numbered as they are met, and in the end all are written.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_HEADER = re.compile(rb"go 1\.(\d{1,3}) trace\0\0\0")
_FIRST, _BATCHES, _END_MARKS = 11, 22, 26
_BATCH, _TEXTS, _EXPERIMENT, _END = 1, 4, 49, 52
_MOST_IN_BATCH = 64 << 10
_LONGEST_TEXT = 1024 + 64  # with its numbers; what did not fit into a batch that was full

_OLD_FREQUENCY, _OLD_STACK, _OLD_STRING, _OLD_LAST = 2, 3, 37, 49
_OLD_LOG = 48
# The place of the stack among the arguments, from the end, of the events that have one.
_OLD_STACK_LAST = frozenset(
    (4, 7, 11, 13, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 39, 42, 43, 46, 48)
)  # fmt: skip


class TraceCut(Exception):
    """The end is missing; the message says how that is seen."""


class TraceBad(Exception):
    """It is no trace, or damaged."""


class Trace(NamedTuple):
    """What a whole trace has. unit: of what its parts are, "batches", or before 1.22 "events"."""

    version: str
    unit: str
    parts: int
    generations: int


def check(data: bytes) -> Trace:
    """What is in a whole trace; TraceCut or TraceBad for any other bytes."""
    header = _HEADER.match(data)
    if header is None:
        start = b"go 1."
        if len(data) < 16 and (data[:5] == start[: len(data)]):
            raise TraceCut(f"it has {len(data)} bytes")
        raise TraceBad(f"it begins with {data[:16]!r}")
    version = int(header.group(1))
    if version < _FIRST:
        raise TraceBad(f"the format of Go 1.{version} is not known here")
    try:
        if version >= _BATCHES:
            return _check_batches(data, header.end(), version)
        return _check_events(data, header.end(), version)
    except IndexError:
        raise TraceCut("it ends within a number") from None


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A varint, and where it ends. IndexError where the data end before."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise TraceBad(f"the number that ends at byte {at} is too long")


def _check_batches(data: bytes, at: int, version: int) -> Trace:
    seen = _Batches(marked=version >= _END_MARKS)
    while at < len(data):
        at = seen.take(data, at)
    if not seen.count:
        raise TraceCut("it has nothing but its header")
    if not seen.ended:
        raise TraceCut("what ends a generation is missing")
    return Trace(f"1.{version}", "batches", seen.count, seen.generations)


class _Batches:
    """What has been read of a trace in batches. marked: the format marks the end of a generation."""

    def __init__(self, marked: bool) -> None:
        self.marked = marked
        self.count = self.generations = 0
        self.ended = False
        self._generation = -1

    def take(self, data: bytes, at: int) -> int:
        """Read the batch, or the mark, that begins there; where the next one begins."""
        kind = data[at]
        if kind == _END and self.marked:
            self.ended, self.generations = True, self.generations + 1
            return at + 1
        if kind not in (_BATCH, _EXPERIMENT):
            raise TraceBad(f"at byte {at} a batch should begin, and there is {kind}")
        at += 2 if kind == _EXPERIMENT else 1
        generation, at = _number(data, at)
        _thread, at = _number(data, at)
        _time, at = _number(data, at)
        size, at = _number(data, at)
        end = at + size
        if size > _MOST_IN_BATCH:
            raise TraceBad(f"the batch at byte {at} has {size} bytes")
        if end > len(data):
            raise TraceCut(f"its last batch has {len(data) - at} of {size} bytes")
        self.count += 1
        texts = kind == _BATCH and size > 0 and data[at] == _TEXTS
        self.ended = not self.marked and texts and size <= _MOST_IN_BATCH - _LONGEST_TEXT
        if not self.marked and generation != self._generation:
            self.generations, self._generation = self.generations + 1, generation
        return end


def _check_events(data: bytes, at: int, version: int) -> Trace:
    seen = _Events()
    while at < len(data):
        at = seen.take(data, at)
    if not seen.frequency:
        raise TraceCut("the event that tells the frequency, near its end, is missing")
    if len(seen.stacks) < seen.needed:
        raise TraceCut(f"{len(seen.stacks)} of at least {seen.needed} stacks are there")
    return Trace(f"1.{version}", "events", seen.count, 1)


class _Events:
    """What has been read of a trace before 1.22. needed: the highest number of a stack that an event has."""

    def __init__(self) -> None:
        self.count = self.needed = 0
        self.stacks: set[int] = set()
        self.frequency = False

    def take(self, data: bytes, at: int) -> int:
        """Read the event that begins there; where the next one begins."""
        kind, arguments = data[at] & 0x3F, data[at] >> 6
        if not 0 < kind <= _OLD_LAST:
            raise TraceBad(f"at byte {at} there is an event {kind}")
        self.count += 1
        at += 1
        if kind == _OLD_STRING:
            _id, at = _number(data, at)
            return _skip(data, at)
        values, at = _arguments(data, at, arguments)
        if kind == _OLD_FREQUENCY:
            self.frequency = True
        elif kind == _OLD_STACK:
            self.stacks.update(values[:1])
        elif kind in _OLD_STACK_LAST:
            self.needed = max([self.needed, *values[-1:]])
        return _skip(data, at) if kind == _OLD_LOG else at


def _arguments(data: bytes, at: int, count: int) -> tuple[list[int], int]:
    """An event's arguments (count: as it is written), and where they end."""
    values: list[int] = []
    if count < 3:
        while len(values) <= count:
            value, at = _number(data, at)
            values.append(value)
        return values, at
    size, at = _number(data, at)
    end = at + size
    if end > len(data):
        raise TraceCut(f"its last event has {len(data) - at} of {size} bytes")
    while at < end:
        value, at = _number(data, at)
        values.append(value)
    if at > end:
        raise TraceBad(f"the event that ends at byte {end} has a number that goes on")
    return values, end


def _skip(data: bytes, at: int) -> int:
    """Where a text ends that begins with its length."""
    size, at = _number(data, at)
    if at + size > len(data):
        raise TraceCut(f"its last text has {len(data) - at} of {size} bytes")
    return at + size
