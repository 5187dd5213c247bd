# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the newest part of a log that is read from old to new. Sans-I/O."""

from __future__ import annotations

import collections


class TailBuffer:
    """Keep the newest max_bytes of what is added, and at most one addition more meanwhile.

    seen: how many bytes were added.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._chunks: collections.deque[bytes] = collections.deque()
        self._kept = 0
        self.seen = 0

    def add(self, data: bytes) -> None:
        self._chunks.append(data)
        self._kept += len(data)
        self.seen += len(data)
        # The byte before the kept ones is kept, too: it tells whether they begin with a line.
        while self._kept - len(self._chunks[0]) > self._max_bytes:
            self._kept -= len(self._chunks.popleft())

    def text(self) -> bytes:
        """Return what was kept. If older bytes were left out, it begins with a whole line where there is one."""
        kept = b"".join(self._chunks)
        if self.seen <= self._max_bytes:
            return kept
        tail = kept[-self._max_bytes - 1 :]
        return tail.partition(b"\n")[2] or tail[1:]
