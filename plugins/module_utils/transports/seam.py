# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins the parts of one log that are read one after the other and overlap. Sans-I/O.

Each line begins with a stamp of RFC 3339 and a blank. The end of what was passed on is remembered, so that a part that
begins before it gives nothing twice; and a part that does not hold the last line passed on does not join: something
in between is missing.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter, deque

# So much of the end of what was passed on is remembered: more than lines of the same second can be out of order.
REMEMBERED = 256 << 10
# Lines are told apart by so many bytes, the stamp among them.
KEY = 200
_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)(?= |$)")


class Stamp:
    """When a line was written. text: to the second, as sinceTime takes it; order: sorts the stamps of one log."""

    def __init__(self, match: re.Match[bytes]) -> None:
        second, fraction, zone = (part.decode() for part in match.groups(b""))
        self.text = second + zone
        self.order = (second, fraction.ljust(9, "0"))
        self._fraction = float(f"0.{fraction or 0}")

    @property
    def moment(self) -> float | None:
        """Seconds since 1970; None where there is no such day."""
        try:
            whole = datetime.datetime.strptime(self.text.replace("Z", "+0000"), "%Y-%m-%dT%H:%M:%S%z")
        except ValueError:
            return None
        return whole.timestamp() + self._fraction


def stamp_of(line: bytes) -> Stamp | None:
    """The stamp that a line begins with."""
    match = _STAMP.match(line)
    return Stamp(match) if match else None


def last_stamp(block: bytes) -> Stamp | None:
    """The stamp of the last of these whole lines that has one."""
    end = len(block)
    while end > 0:
        begin = block.rfind(b"\n", 0, end - 1) + 1
        stamp = stamp_of(block[begin : begin + KEY])
        if stamp is not None:
            return stamp
        end = begin
    return None


def lines_since(block: bytes, moment: float) -> bytes:
    """These whole lines without the first ones that were written before that moment (seconds since 1970).

    The API server's sinceTime is exact to the second only (metav1.Time), so a stream may begin earlier than was asked.
    """
    at = 0
    while at < len(block):
        stamp = stamp_of(block[at : at + KEY])
        if stamp is None or stamp.moment is None or stamp.moment >= moment:
            break
        at = block.find(b"\n", at) + 1 or len(block)
    return block[at:]


class Seam:
    """begin() before each part; take() gives what is new of it.

    last: the stamp of the last line that was passed on. joins: whether the part holds that line (True also where there
    was none), None as long as it is not known.
    """

    def __init__(self) -> None:
        self.last: Stamp | None = None
        self.joins: bool | None = True
        self._tail: deque[bytes] = deque()
        self._kept = 0
        self._known: Counter[bytes] = Counter()
        self._newest = b""
        self._oldest: tuple[str, str] = ("", "")

    def copy(self) -> Seam:
        """The same, whatever this one takes from now on."""
        made = Seam()
        made.last, made._tail, made._kept = self.last, self._tail.copy(), self._kept
        return made

    def begin(self) -> None:
        """A part of the log begins that may hold what was passed on."""
        lines = b"".join(self._tail).splitlines()
        if self._kept >= REMEMBERED and len(lines) > 1:
            del lines[0]  # it may be the end of a line
        self._known = Counter(line[:KEY] for line in lines)
        # What has no stamp is no line of the log, but what a server on the way says of its troubles.
        stamped = [line for line in lines if stamp_of(line) is not None]
        first = stamp_of(stamped[0]) if stamped else None
        self._oldest = first.order if first else ("", "")
        self._newest = stamped[-1][:KEY] if stamped else b""
        self.joins = None if stamped else True

    def take(self, block: bytes) -> bytes:
        """The lines of this block of whole lines that were not passed on before."""
        if self._known:
            block = self._new(block)
        self.note(block)
        return block

    def note(self, block: bytes) -> None:
        """These lines are passed on."""
        if not block:
            return
        self.last = last_stamp(block) or self.last
        self._tail.append(block[-REMEMBERED:])
        self._kept += len(self._tail[-1])
        while self._kept - len(self._tail[0]) >= REMEMBERED:
            self._kept -= len(self._tail.popleft())

    def _new(self, block: bytes) -> bytes:
        """In one file all lines that were passed on come before all that were not."""
        at = 0
        while at < len(block):
            end = block.find(b"\n", at) + 1 or len(block)
            line = block[at:end].rstrip(b"\n")[:KEY]
            stamp = stamp_of(line)
            if self._known[line] > 0:
                self._known[line] -= 1
                self.joins = self.joins or (True if line == self._newest else None)
            elif self.joins or (stamp is not None and stamp.order > self._oldest):
                break
            at = end
        if at < len(block):
            self.joins = bool(self.joins)
            self._known.clear()
        return block[at:]
