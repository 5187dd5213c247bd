# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forms that have lengths inside (gzip streams, profiles, anything binary), and them anew with other bytes at places.

Pure. Sources: RFC 1952 (gzip); encoding of protobuf, and pprof's profile.proto, whose texts are all in field 6.
"""

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


def packed_anew(content: bytes, data: bytes) -> bytes:
    """Another content as a gzip stream. One that was cut, or damaged, is cut behind what could be read."""
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP_BITS)
    return packer.compress(content) + packer.flush(zlib.Z_FINISH if is_whole(data) else zlib.Z_SYNC_FLUSH)


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


_TEXT_FIELD = 6
_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_TEXT_BYTES = (*range(32, 127), *b"\0\t\r")
_UNPRINTABLE = bytes(each if each in _TEXT_BYTES else 10 for each in range(256))


def printable(data: bytes) -> bytes:
    """The same with an end of line in the place of each byte that is of no text; places stay."""
    return data.translate(_UNPRINTABLE)


def only_texts(data: bytes, texts: Sequence[tuple[int, int]]) -> bytes:
    """The same with ends of lines around the texts; places stay."""
    made = bytearray(b"\n") * len(data)
    for start, end in texts:
        made[start:end] = data[start:end]
    return bytes(made)


def texts_of_profile(content: bytes) -> list[tuple[int, int]] | None:
    """Start and end of each text of a profile; None where it is none, or not a whole one."""
    try:
        found = [(start, end) for field, _place, start, end in _fields(content) if field == _TEXT_FIELD]
    except IndexError:
        return None
    return found or None


def profile_with_texts(content: bytes, texts: Sequence[bytes]) -> bytes:
    """A profile anew with other texts, of any length, in the order of texts_of_profile()."""
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
    """Of each field its number (0 where it has no length), and the places behind its tag, of its value, and behind it.

    IndexError where it is no whole message of protobuf.
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
    """A number and the place after it. IndexError where it does not end."""
    value = content[place] & 0x7F
    shift = 7
    while content[place] & 0x80:
        place += 1
        value |= (content[place] & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise IndexError("not a number")
    return value, place + 1
