# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gzip stream, unpacked within bounds: a few kilobytes may stand for gigabytes."""

from __future__ import annotations

import zlib
from typing import NamedTuple

GZIP = b"\x1f\x8b"
_STEP = 1 << 20


class Unpacked(NamedTuple):
    """What was read. is_cut: the stream's end is missing; problem: what else is wrong with it, or "".

    is_too_large: there is more of it than was to be read; then there is no content.
    """

    content: bytes
    is_cut: bool
    problem: str
    is_too_large: bool = False

    @property
    def is_whole(self) -> bool:
        return not self.is_cut and not self.problem


def unpack(data: bytes, most: int) -> Unpacked:
    """The content of one gzip stream, of which no more than about `most` bytes are read.

    Whole means: up to its end, the checksum and the length are right, and nothing comes after it.
    """
    if not data.startswith(GZIP[: len(data)]):
        return Unpacked(b"", False, f"it is not compressed with gzip; it begins with {data[:16]!r}")
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    parts: list[bytes] = []
    size = at = 0
    try:
        while at < len(data) and not stream.eof and size <= most:
            rest = data[at : at + _STEP]
            at += len(rest)
            while size <= most:
                part = stream.decompress(rest, _STEP)
                rest = stream.unconsumed_tail
                if not part and not rest:
                    break
                parts.append(part)
                size += len(part)
    except zlib.error as error:
        return Unpacked(b"".join(parts), False, f"the gzip stream is damaged ({error})")
    if size > most:
        problem = f"{len(data)} bytes unpack to more than {most}, and no more was read"
        return Unpacked(b"", False, problem, is_too_large=True)
    content = b"".join(parts)
    if not stream.eof:
        return Unpacked(content, True, "")
    behind = len(stream.unused_data) + len(data) - at
    if behind:
        return Unpacked(content, False, f"{behind} bytes come after the end of the gzip stream")
    return Unpacked(content, False, "")
