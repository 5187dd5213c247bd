# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert text of any encoding to UTF-8 while it is read."""

from __future__ import annotations

import codecs

from .encodings import UTF_8_MARK, Encoding
from .streams import Readable

_MARK = "\ufeff"


class Utf8(Readable):
    """Text as UTF-8 without byte order marks, also within the text, as in files that were concatenated."""

    def __init__(self, raw: Readable, encoding: Encoding) -> None:
        self._raw = raw
        # Replace invalid characters, so that the rest can be read.
        self._decoder = codecs.getincrementaldecoder(encoding.name)("replace")
        self._change = self._without_marks if encoding.mark == UTF_8_MARK else self._decoded
        self._held = b""
        self._is_over = False

    def read(self, size: int) -> bytes:
        """Return about this many bytes, b"" only at the end."""
        while not self._is_over:
            part = self._raw.read(size)
            self._is_over = not part
            made = self._change(part)
            if made:
                return made
        return b""

    def _decoded(self, part: bytes) -> bytes:
        return self._decoder.decode(part, not part).replace(_MARK, "").encode("utf-8")

    def _without_marks(self, part: bytes) -> bytes:
        data = (self._held + part).replace(UTF_8_MARK, b"")
        # A mark may be cut between two parts.
        held = next((count for count in (2, 1) if part and data.endswith(UTF_8_MARK[:count])), 0)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]
