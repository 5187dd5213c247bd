# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and rewrite binary formats that contain lengths: gzip streams, profiles, any other binary data. Pure.

Sources: RFC 1952 (gzip), the protobuf encoding, and pprof's profile.proto, whose strings are all in field 6.
"""

from __future__ import annotations

import contextlib
import zlib
from typing import Iterator, Sequence, Tuple

GZIP_BITS = zlib.MAX_WBITS | 16
PIECE = 4 << 20
# Offset, and the replacement bytes, which have the same length as what they replace.
Patch = Tuple[int, bytes]


def decompress(data: bytes) -> Iterator[bytes]:
    """Yield the decompressed content of all gzip members, up to the end or to the first damaged byte."""
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


def recompress_patched(data: bytes, patches: Sequence[Patch]) -> bytes:
    """Compress the content of a stream again, with patches in order of their offset.

    The result of a truncated or damaged stream ends after the last readable byte.
    """
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP_BITS)
    made: list[bytes] = []
    place = 0
    waiting = list(patches)
    for piece in decompress(data):
        end = place + len(piece)
        changed = bytearray(piece)
        for start, text in waiting:
            low, high = max(start, place), min(start + len(text), end)
            if low < high:
                changed[low - place : high - place] = text[low - start : high - start]
        waiting = [patch for patch in waiting if patch[0] + len(patch[1]) > end]
        made.append(packer.compress(bytes(changed)))
        place = end
    return b"".join([*made, packer.flush(zlib.Z_FINISH if is_complete(data) else zlib.Z_SYNC_FLUSH)])


def recompress(content: bytes, data: bytes) -> bytes:
    """Compress new content as a replacement of a gzip stream.

    If that stream was truncated or damaged, the result has no end mark either.
    """
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP_BITS)
    return packer.compress(content) + packer.flush(zlib.Z_FINISH if is_complete(data) else zlib.Z_SYNC_FLUSH)


def is_complete(data: bytes) -> bool:
    """Return whether a gzip stream is complete, including its checksum."""
    member = zlib.decompressobj(GZIP_BITS)
    rest = data
    try:
        while rest and not member.eof:
            member.decompress(rest, PIECE)
            rest = member.unconsumed_tail
    except zlib.error:
        return False
    return member.eof


_TEXT_FIELD = 6
_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_TEXT_BYTES = (*range(32, 127), *b"\0\t\r")
_UNPRINTABLE = bytes(each if each in _TEXT_BYTES else 10 for each in range(256))


def mask_unprintable(data: bytes) -> bytes:
    """Replace each byte that is not text by a newline. Offsets stay the same."""
    return data.translate(_UNPRINTABLE)


def mask_outside(data: bytes, texts: Sequence[tuple[int, int]]) -> bytes:
    """Replace everything outside the texts by newlines. Offsets stay the same."""
    made = bytearray(b"\n") * len(data)
    for start, end in texts:
        made[start:end] = data[start:end]
    return bytes(made)


def profile_strings(content: bytes) -> list[tuple[int, int]] | None:
    """Return start and end of each string of a profile. None: it is not a complete profile."""
    try:
        found = [(start, end) for field, _place, start, end in _fields(content) if field == _TEXT_FIELD]
    except IndexError:
        return None
    return found or None


def replace_profile_strings(content: bytes, texts: Sequence[bytes]) -> bytes:
    """Replace the strings of a profile, in the order of texts_of_profile(). They may have any length."""
    made: list[bytes] = []
    last = 0
    waiting = iter(texts)
    for field, place, _start, end in _fields(content):
        if field == _TEXT_FIELD:
            text = next(waiting)
            made += [content[last:place], _number(len(text)), text]
            last = end
    return b"".join([*made, content[last:]])


def _fields(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, end of tag, start of value and end of value of each protobuf field.

    The number is 0 for a field without a length. IndexError: the message is incomplete.
    """
    place = 0
    while place < len(content):
        tag, behind = _varint(content, place)
        start = end = behind
        if tag & 7 == _LENGTH:
            size, start = _varint(content, behind)
            end = start + size
        elif tag & 7 == _VARINT:
            _value, end = _varint(content, behind)
        elif tag & 7 in (_FIXED_64, _FIXED_32):
            end = behind + (8 if tag & 7 == _FIXED_64 else 4)
        else:
            raise IndexError("a field of an unknown form")
        if end > len(content):
            raise IndexError("a field that does not end")
        yield (tag >> 3 if tag & 7 == _LENGTH else 0), behind, start, end
        place = end


def _number(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return a varint and the offset after it. IndexError: it does not end."""
    value = content[place] & 0x7F
    shift = 7
    while content[place] & 0x80:
        place += 1
        value |= (content[place] & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise IndexError("not a number")
    return value, place + 1
