# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Decide whether an execution trace of Go is complete, as far as its own bytes tell.

Nothing here shows traces. But a trace has neither length nor checksum, and the machines that take one have no Go:
without this check a truncated trace would be kept as complete, and be found unreadable when it is needed.

A trace begins with `go 1.N trace` and three zero bytes, where N is the version of the format. Numbers are base-128
varints.

From 1.22 on, a trace is a sequence of batches: a type byte, generation, thread, time, size, then that many bytes. A
generation (about a second) ends with its batches of stacks and then of texts; from 1.26 on a byte marks its end. Before
1.26 the last batch must therefore be of texts, and a batch that was flushed because it was full is not the last.

Up to 1.21, a trace is a sequence of events: the type in the low six bits of a byte, the number of arguments in the
upper two, the arguments; or, for three, a length and that many bytes. Texts and stacks are among them. The remaining
stacks come after the event with the frequency. Stacks are numbered as they occur, and all are written in the end.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_HEADER = re.compile(rb"go 1\.(\d{1,3}) trace\0\0\0")
_FIRST, _BATCHES, _END_MARKS = 11, 22, 26
_BATCH, _TEXTS, _EXPERIMENT, _END = 1, 4, 49, 52
_MOST_IN_BATCH = 64 << 10
_LONGEST_TEXT = 1024 + 64  # with its numbers; a text of this size did not fit into a full batch

_OLD_FREQUENCY, _OLD_STACK, _OLD_STRING, _OLD_LAST = 2, 3, 37, 49
_OLD_LOG = 48
# The events whose last argument is the number of a stack.
_OLD_STACK_LAST = frozenset(
    (4, 7, 11, 13, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 39, 42, 43, 46, 48)
)  # fmt: skip


class TraceCut(Exception):
    """The end is missing; the message has the evidence."""


class TraceBad(Exception):
    """The bytes are no trace, or damaged."""


class Trace(NamedTuple):
    """Facts of a complete trace.

    unit: of parts: "batches", or before 1.22 "events".
    """

    version: str
    unit: str
    parts: int
    generations: int


def check(data: bytes) -> Trace:
    """Return the facts of a complete trace. Raises TraceCut or TraceBad for any other bytes."""
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
    """Return a varint and its end. Raises IndexError if the data end before."""
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
    reader = _BatchReader(marked=version >= _END_MARKS)
    while at < len(data):
        at = reader.read_next(data, at)
    if not reader.count:
        raise TraceCut("it has nothing but its header")
    if not reader.ended:
        raise TraceCut("the end of a generation is missing")
    return Trace(f"1.{version}", "batches", reader.count, reader.generations)


class _BatchReader:
    """State of a trace in batches.

    marked: the format marks the end of a generation.
    """

    def __init__(self, marked: bool) -> None:
        self.marked = marked
        self.count = self.generations = 0
        self.ended = False
        self._generation = -1

    def read_next(self, data: bytes, at: int) -> int:
        """Read the batch, or the mark, that begins there, and return its end."""
        kind = data[at]
        if kind == _END and self.marked:
            self.ended, self.generations = True, self.generations + 1
            return at + 1
        if kind not in (_BATCH, _EXPERIMENT):
            raise TraceBad(f"at byte {at} there is {kind} instead of a batch")
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
    reader = _EventReader()
    while at < len(data):
        at = reader.read_next(data, at)
    if not reader.frequency:
        raise TraceCut("the event with the frequency, near its end, is missing")
    if len(reader.stacks) < reader.needed:
        raise TraceCut(f"{len(reader.stacks)} of at least {reader.needed} stacks are there")
    return Trace(f"1.{version}", "events", reader.count, 1)


class _EventReader:
    """State of a trace before 1.22.

    needed: the highest number of a stack in an event.
    """

    def __init__(self) -> None:
        self.count = self.needed = 0
        self.stacks: set[int] = set()
        self.frequency = False

    def read_next(self, data: bytes, at: int) -> int:
        """Read the event that begins there, and return its end."""
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
    """Return an event's arguments and their end.

    count: as it is encoded.
    """
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
        raise TraceBad(f"the event that ends at byte {end} has a number without end")
    return values, end


def _skip(data: bytes, at: int) -> int:
    """Return the end of a text that begins with its length."""
    size, at = _number(data, at)
    if at + size > len(data):
        raise TraceCut(f"its last text has {len(data) - at} of {size} bytes")
    return at + size
