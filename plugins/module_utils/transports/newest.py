# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest part of a log, out of one that is read from old to new. Sans-I/O."""

from __future__ import annotations

import collections


class Newest:
    """Fed with a log, keeps the newest max_bytes of it (and at most one feed more, while it is fed)."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._chunks: collections.deque[bytes] = collections.deque()
        self._kept = 0
        self.seen = 0

    def add(self, data: bytes) -> None:
        self._chunks.append(data)
        self._kept += len(data)
        self.seen += len(data)
        # The byte before the newest ones is kept, too: it tells whether they begin with a line.
        while self._kept - len(self._chunks[0]) > self._max_bytes:
            self._kept -= len(self._chunks.popleft())

    def text(self) -> bytes:
        """What was kept. Where something was left out, it begins with a whole line, if there is one."""
        kept = b"".join(self._chunks)
        if self.seen <= self._max_bytes:
            return kept
        tail = kept[-self._max_bytes - 1 :]
        return tail.partition(b"\n")[2] or tail[1:]
