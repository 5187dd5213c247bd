# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of a log with timestamps, told apart from an error text that comes in their place. Sans-I/O.

A kubelet answers 200 before it opens the file. If it cannot open it, its error text is the body, or follows the last
line, without a timestamp and mostly without an end of line (kubernetes pkg/kubelet/server, getContainerLogs). So text
without a timestamp is not part of the log.
"""

from __future__ import annotations

from ...reasons import Reason
from ..follow import WholeLines
from ..seam import KEY, stamp_of
from .problem import ApiProblem

# Longest part of such an error text that is kept.
FOREIGN_BYTES = 2000


class NoBytes(ApiProblem):
    """Nothing came in time: a stream of an empty log says nothing, and neither does one of a hung node."""


class NotALog(ApiProblem):
    """A text came in place of the log, or behind its last line."""

    def __init__(self, text: bytes) -> None:
        super().__init__(200, text.decode("utf-8", "replace").strip())
        self.reason = Reason.LOG_UNAVAILABLE


class TimestampedLines(WholeLines):
    """Cuts a stamped stream where its lines end. Lines without a stamp go to `foreign`. Sans-I/O.

    is_shown: a line with a stamp came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.foreign = b""
        self.is_shown = False

    def feed(self, data: bytes) -> bytes:
        was_inside = self.is_inside
        block = self._stamped(super().feed(data), was_inside)
        self.is_shown = self.is_shown or bool(block)
        return block

    def _stamped(self, block: bytes, was_inside: bool) -> bytes:
        begin = 0
        if was_inside:
            # The rest of a line whose beginning was passed on.
            begin = block.find(b"\n") + 1 or len(block)
        last = block.rfind(b"\n", begin, len(block) - 1) + 1 or begin
        # Such a text is the last that comes, so the last line tells whether there is one.
        if last == len(block) or stamp_of(block[last : last + KEY]):
            return block
        lines = block[begin:].splitlines(keepends=True)
        self._note(b"".join(line for line in lines if not stamp_of(line[:KEY])))
        return block[:begin] + b"".join(line for line in lines if stamp_of(line[:KEY]))

    def end(self) -> bytes:
        was_inside, rest = self.is_inside, super().end()
        if was_inside or not rest or stamp_of(rest[:KEY]):
            return rest
        self._note(rest)
        return b""

    def stop(self, broken: bool) -> bytes:
        """As drop(), at the end of a stream. What is held back is foreign, unless it may be the beginning of a line."""
        rest = bytes(self._rest[:FOREIGN_BYTES])
        if not broken and not self.is_inside and not stamp_of(rest[:KEY]) and not rest[:1].isdigit():
            self._note(rest)
        return self.drop()

    def _note(self, text: bytes) -> None:
        self.foreign = (self.foreign + text)[:FOREIGN_BYTES]
