# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gzip stream holds, piece by piece, and the stream anew with other bytes at some places. Pure."""

from __future__ import annotations

import contextlib
import zlib
from typing import Iterator, Sequence, Tuple

GZIP_BITS = zlib.MAX_WBITS | 16
PIECE = 4 << 20
# Where, and what stands there instead (of the same length).
Patch = Tuple[int, bytes]


def unpacked(data: bytes) -> Iterator[bytes]:
    """The content in pieces, of all its members, up to its end or to where it is damaged or cut."""
    rest = data
    with contextlib.suppress(zlib.error):
        while rest.startswith(b"\x1f\x8b"):
            member = zlib.decompressobj(GZIP_BITS)
            while rest and not member.eof:
                piece = member.decompress(rest, PIECE)
                rest = member.unconsumed_tail
                if piece:
                    yield piece
                elif not rest:
                    return
            rest = member.unused_data


def repacked(data: bytes, patches: Sequence[Patch]) -> bytes:
    """The stream with these patches (in order). One that was cut, or damaged, is cut behind what could be read."""
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP_BITS)
    made: list[bytes] = []
    place = 0
    waiting = list(patches)
    for piece in unpacked(data):
        end = place + len(piece)
        changed = bytearray(piece)
        for start, text in waiting:
            low, high = max(start, place), min(start + len(text), end)
            if low < high:
                changed[low - place : high - place] = text[low - start : high - start]
        waiting = [patch for patch in waiting if patch[0] + len(patch[1]) > end]
        made.append(packer.compress(bytes(changed)))
        place = end
    return b"".join([*made, packer.flush(zlib.Z_FINISH if is_whole(data) else zlib.Z_SYNC_FLUSH)])


def is_whole(data: bytes) -> bool:
    """Whether the stream comes to its end, its checksum with it."""
    member = zlib.decompressobj(GZIP_BITS)
    rest = data
    try:
        while rest and not member.eof:
            member.decompress(rest, PIECE)
            rest = member.unconsumed_tail
    except zlib.error:
        return False
    return member.eof
