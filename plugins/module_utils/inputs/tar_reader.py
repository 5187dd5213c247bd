# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a tar archive as a forward stream. Nothing is extracted and no link is followed.

Unlike tarfile, it returns the beginning of a member that is cut, and limits the headers that it reads into memory. It
takes ustar, pax, GNU and V7 archives, several of them one after the other, and the numbers of GNU. Sources: POSIX pax,
"Basic Tar Format" of GNU tar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from .containers import TAR_BLOCK, is_tar_header
from .members import Member
from .streams import Budget, Cut, Damaged, Lookahead, Section, TooMuch

_REGULAR = (b"\0", b"0", b"7")
# Links, devices, folders and pipes have no content, even if their header states a size.
_EMPTY = (b"1", b"2", b"3", b"4", b"5", b"6")
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK, _GNU_SPARSE = b"x", b"g", b"L", b"K", b"S"
_ZEROS = bytes(TAR_BLOCK)
_SPARSE = "it is a sparse file, which is not supported in an archive: pack it without --sparse"


def tar_members(stream: Lookahead, budget: Budget) -> Iterator[Member]:
    """Yield every regular file. Raises Damaged if the archive is cut or damaged."""
    extended = _ExtendedHeaders()
    for block in _headers(stream, budget):
        kind, size = block[156:157], _number(block[124:136])
        if kind in (_PAX_GLOBAL, _GNU_LINK):
            _skip(stream, size, -size % TAR_BLOCK)
        elif kind in (_PAX, _GNU_NAME):
            _read_extended(extended, kind, _header(stream, size, budget), budget)
        else:
            name = extended.name or _text(_header_name(block), budget)
            size = 0 if kind in _EMPTY else size if extended.size < 0 else extended.size
            if kind == _GNU_SPARSE:
                _skip_map(stream, block)
            section = Section(stream, size, f"{name} in the tar archive")
            if kind in (*_REGULAR, _GNU_SPARSE) and not name.endswith("/"):
                yield Member(name, section, _SPARSE if extended.is_sparse or kind == _GNU_SPARSE else "")
            _skip(stream, section.left, -size % TAR_BLOCK)
            extended = _ExtendedHeaders()


def _headers(stream: Lookahead, budget: Budget) -> Iterator[bytes]:
    """Yield every header up to the end of the last archive in the stream.

    The caller must read the data after a header before it requests the next one.
    """
    has_ended = False
    while True:
        block = stream.exactly(TAR_BLOCK)
        if not block and has_ended:
            return
        if block == _ZEROS[: len(block)] and (has_ended or len(block) == TAR_BLOCK):
            has_ended = True
            continue
        if len(block) < TAR_BLOCK:
            raise Cut("the tar archive is cut: its end mark is missing")
        if not is_tar_header(block):
            raise Damaged("the tar archive is damaged: the checksum of a header is wrong")
        budget.member()
        has_ended = False
        yield block


@dataclass
class _ExtendedHeaders:
    """Values that extended headers state for the next file.

    size: -1 for none.
    """

    name: str = ""
    size: int = -1
    is_sparse: bool = False


def _read_extended(extended: _ExtendedHeaders, kind: bytes, data: bytes, budget: Budget) -> None:
    if kind == _GNU_NAME:
        extended.name = _text(data.split(b"\0", 1)[0], budget)
        return
    records = dict(_records(data))
    extended.name = _text(records.get(b"GNU.sparse.name") or records.get(b"path", b""), budget) or extended.name
    extended.size = _decimal(records[b"size"]) if b"size" in records else extended.size
    extended.is_sparse = any(key.startswith(b"GNU.sparse.") for key in records)


def _header_name(block: bytes) -> bytes:
    name, prefix = block[:100].split(b"\0", 1)[0], block[345:500].split(b"\0", 1)[0]
    # The GNU format has times in place of the POSIX prefix, and another magic.
    return prefix + b"/" + name if prefix and block[257:263] == b"ustar\0" else name


def _text(name: bytes, budget: Budget) -> str:
    return name[: budget.limits.name].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Parse octal digits, or base 256 with the first bit set, as GNU writes above 8 GiB. Raises Damaged."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big") if field[0] == 0x80 else _no_number()
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        return _no_number()
    return int(digits or b"0", 8)


def _no_number() -> int:
    raise Damaged("the tar archive is damaged: a size is no number")


def _decimal(text: bytes) -> int:
    """Parse a number of a pax header. Raises Damaged."""
    return int(text) if text.isdigit() and len(text) < 20 else _no_number()


def _header(stream: Lookahead, size: int, budget: Budget) -> bytes:
    """Return the content of an extended header. Raises Damaged if it is too long or cut."""
    if size > budget.limits.header:
        raise TooMuch(f"the tar archive has a header of {size} bytes, more than {budget.limits.header}")
    data = stream.exactly(size)
    if len(data) < size:
        raise Cut("the tar archive is cut within a header")
    _skip(stream, -size % TAR_BLOCK)
    return data


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    r"""Yield the records `LENGTH KEY=VALUE\n` of a pax header, up to the first malformed one."""
    offset = 0
    while offset < len(data):
        length, blank, _rest = data[offset : offset + 20].partition(b" ")
        if not blank or not length.isdigit() or not len(length) + 2 < int(length) <= len(data) - offset:
            return
        key, _sign, value = data[offset + len(length) + 1 : offset + int(length) - 1].partition(b"=")
        yield key, value
        offset += int(length)


def _skip_map(stream: Lookahead, block: bytes) -> None:
    """Skip the blocks of GNU's map of a sparse file. Each has a flag for the next one."""
    more = block[482:483]
    while more not in (b"", b"\0"):
        more = stream.exactly(TAR_BLOCK)[504:505]


def _skip(stream: Lookahead, *sizes: int) -> None:
    for size in sizes:
        if stream.skip(size) < size:
            raise Cut("the tar archive is cut")
