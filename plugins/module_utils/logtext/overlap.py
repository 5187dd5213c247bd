# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Concatenate overlapping reads of one log without losing or repeating lines. Sans-I/O.

Each line begins with an RFC 3339 timestamp and a blank. The end of the lines that were passed on is remembered. A read
that begins before that end repeats nothing. A read that does not hold the last line passed on does not join: lines in
between are missing.
"""

from __future__ import annotations

from collections import Counter, deque

from .timestamps import PREFIX_BYTES, Timestamp, last_timestamp, timestamp_of

# Bytes remembered of what was passed on: more than lines of the same second can be out of order.
REMEMBERED = 256 << 10
# Bytes by which lines are compared, including the timestamp.
KEY = 200


def lines_since(block: bytes, moment: float) -> bytes:
    """Return these whole lines without the leading ones that were written before the moment (seconds since 1970).

    The API server's sinceTime is exact to the second only (metav1.Time), so a stream may begin earlier than requested.
    """
    at = 0
    while at < len(block):
        timestamp = timestamp_of(block[at : at + PREFIX_BYTES])
        written = timestamp.moment if timestamp else None
        if written is None or written >= moment:
            break
        at = block.find(b"\n", at) + 1 or len(block)
    return block[at:]


class Deduplicator:
    """Pass on the new lines of each read. Call begin() before each read; take() returns what is new in it.

    last: the timestamp of the last line that was passed on. joins: whether the read holds that line (True if there was
    none), None while unknown.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self.last: Timestamp | None = None
        self.joins: bool | None = True
        self._remembered = remembered
        self._tail: deque[bytes] = deque()
        self._kept = 0
        self._known: Counter[bytes] = Counter()
        self._newest = b""
        self._oldest: tuple[str, str] = ("", "")

    def copy(self) -> Deduplicator:
        """Return an independent copy."""
        made = Deduplicator(self._remembered)
        made.last, made._tail, made._kept = self.last, self._tail.copy(), self._kept
        return made

    def begin(self) -> None:
        """Begin another read, which may repeat lines that were passed on."""
        lines = b"".join(self._tail).splitlines()
        if self._kept >= self._remembered and len(lines) > 1:
            del lines[0]  # it may be the end of a line
        self._known = Counter(line[:KEY] for line in lines)
        # Lines without a timestamp are error text of a proxy or the API server.
        dated = [line for line in lines if timestamp_of(line) is not None]
        first = timestamp_of(dated[0]) if dated else None
        self._oldest = first.order if first else ("", "")
        self._newest = dated[-1][:KEY] if dated else b""
        self.joins = None if dated else True

    def take(self, block: bytes) -> bytes:
        """Return the lines of this block of whole lines that were not passed on before."""
        if self._known:
            block = self._new(block)
        self.note(block)
        return block

    def note(self, block: bytes) -> None:
        """Remember these lines as passed on."""
        if not block:
            return
        self.last = last_timestamp(block) or self.last
        self._tail.append(block[-self._remembered :])
        self._kept += len(self._tail[-1])
        while self._kept - len(self._tail[0]) >= self._remembered:
            self._kept -= len(self._tail.popleft())

    def _new(self, block: bytes) -> bytes:
        # In one file all lines that were passed on come before all that were not.
        at = 0
        while at < len(block):
            end = block.find(b"\n", at) + 1 or len(block)
            line = block[at:end].rstrip(b"\n")[:KEY]
            timestamp = timestamp_of(line)
            if self._known[line] > 0:
                self._known[line] -= 1
                self.joins = self.joins or (True if line == self._newest else None)
            elif self.joins or (timestamp is not None and timestamp.order > self._oldest):
                break
            at = end
        if at < len(block):
            self.joins = bool(self.joins)
            self._known.clear()
        return block[at:]
