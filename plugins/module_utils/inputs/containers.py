# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats of archives and compressed files, recognised by their first bytes and never by their names, as data. Pure.

Sources: RFC 1952 (gzip), RFC 1950 (zlib), RFC 8878 (Zstandard), POSIX pax (tar), APPNOTE.TXT of PKWARE (zip), "The .xz
File Format" and the magic numbers of file(1).
"""

from __future__ import annotations

import zlib
from typing import Callable, NamedTuple

# Bytes of a file that determine its form.
HEAD = 4096
COMPRESSED, TAR, ZIP, UNREADABLE = "compressed", "tar", "zip", "unreadable"
TAR_BLOCK = 512
_CHECKSUM = slice(148, 156)
_TRIED = 256


class Form(NamedTuple):
    """One format.

    name: for people. kind: how it is read. magic: its first bytes. test: further check of its head.
    """

    name: str
    kind: str
    magic: bytes = b""
    test: Callable[[bytes], bool] | None = None

    def matches(self, head: bytes) -> bool:
        """Return whether a file with this head has this form."""
        return head.startswith(self.magic) and (self.test is None or self.test(head))


def is_tar_header(block: bytes) -> bool:
    """Return whether the checksum of a tar header is right: the sum of its bytes, its own field as blanks."""
    if len(block) < TAR_BLOCK or not block[0]:
        return False
    field = block[_CHECKSUM].strip(b" \0")
    if not field or field.strip(b"01234567"):
        return False
    stated = int(field, 8)
    rest = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop : TAR_BLOCK]
    # Some old programs summed signed bytes.
    return stated == sum(rest) or stated == sum(rest) - 256 * sum(each > 127 for each in rest)


def _is_bzip2(head: bytes) -> bool:
    # A block begins with digits of pi, the end with digits of its square root.
    block = head[4:10]
    return head[3:4] in b"123456789" and (b"1AY&SY".startswith(block) or b"\x17rE8P\x90".startswith(block))


def _is_zlib(head: bytes) -> bool:
    try:
        return bool(zlib.decompressobj().decompress(head[:_TRIED]))
    except zlib.error:
        return False


def _is_lzma(head: bytes) -> bool:
    """Return whether this is the old xz format, which has no magic number.

    It begins with properties, size of the dictionary, and size of the content or -1.
    """
    if len(head) < 13:
        return False
    dictionary, content = int.from_bytes(head[1:5], "little"), head[5:13]
    return bin(dictionary).count("1") in (1, 2) and dictionary >= 1 << 12 and (
        content == b"\xff" * 8 or int.from_bytes(content, "little") < 1 << 40
    )  # fmt: skip


GZIP = Form("gzip", COMPRESSED, b"\x1f\x8b", lambda head: head[2:3] in (b"", b"\x08"))
# The first match applies.
FORMS: tuple[Form, ...] = (
    GZIP,
    Form("bzip2", COMPRESSED, b"BZh", _is_bzip2),
    Form("xz", COMPRESSED, b"\xfd7zXZ\0"),
    Form("zstd", COMPRESSED, b"\x28\xb5\x2f\xfd"),
    Form("lzma", COMPRESSED, b"\x5d\0\0", _is_lzma),
    Form("zlib", COMPRESSED, b"\x78", _is_zlib),
    Form("zip", ZIP, b"PK\3\4"),
    Form("zip", ZIP, b"PK\5\6"),
    Form("zip", ZIP, b"PK\7\x08PK"),
    Form("tar", TAR, b"", is_tar_header),
    Form("7z", UNREADABLE, b"7z\xbc\xaf\x27\x1c"),
    Form("RAR", UNREADABLE, b"Rar!\x1a\x07"),
    Form("lz4", UNREADABLE, b"\x04\x22\x4d\x18"),
    Form("lzip", UNREADABLE, b"LZIP\x01"),
    Form("lzop", UNREADABLE, b"\x89LZO\0"),
    Form("compress", UNREADABLE, b"\x1f\x9d"),
    Form("snappy", UNREADABLE, b"\xff\x06\0\0sNaPpY"),
    Form("cabinet", UNREADABLE, b"MSCF\0\0\0\0"),
    Form(
        "cpio",
        UNREADABLE,
        b"07070",
        lambda head: head[5:6] in b"127" and not head[6:54].strip(b"0123456789abcdefABCDEF"),
    ),
    Form("cpio", UNREADABLE, b"\xc7\x71"),
)


def detect(head: bytes) -> Form | None:
    """Return the form of a file with this head; None if it is not packed.

    head: HEAD bytes or the whole file.
    """
    return next((form for form in FORMS if form.matches(head)), None)
