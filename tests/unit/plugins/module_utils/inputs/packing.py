# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack content in every way in which people send files. Each packer takes bytes and returns bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.inputs import open_inputs

ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "utf-8": bytes,
    "utf-8 with a mark": lambda data: b"\xef\xbb\xbf" + data,
    "utf-16-le": lambda data: b"\xff\xfe" + data.decode().encode("utf-16-le"),
    "utf-16-be": lambda data: b"\xfe\xff" + data.decode().encode("utf-16-be"),
    "utf-32-le": lambda data: b"\xff\xfe\0\0" + data.decode().encode("utf-32-le"),
    "utf-32-be": lambda data: b"\0\0\xfe\xff" + data.decode().encode("utf-32-be"),
    "gb18030": lambda data: b"\x84\x31\x95\x33" + data.decode().encode("gb18030"),
    "utf-16-le without a mark": lambda data: data.decode().encode("utf-16-le"),
    "utf-16-be without a mark": lambda data: data.decode().encode("utf-16-be"),
}


def halves(data: bytes) -> tuple[bytes, bytes]:
    return data[: len(data) // 2], data[len(data) // 2 :]


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "gzip of two members": lambda data: b"".join(map(gzip.compress, halves(data))),
    "gzip with padding": lambda data: gzip.compress(data) + bytes(700),
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "bzip2 of two members": lambda data: b"".join(map(bz2.compress, halves(data))),
    "xz": lzma.compress,
    "xz of two members with padding": lambda data: b"\0\0\0\0".join(map(lzma.compress, halves(data))),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


class Packed(NamedTuple):
    """An archive.

    inside: returns the name of a member in results.
    """

    data: bytes
    inside: str


def tar(files: Mapping[str, bytes], mode: str = "w", **options: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode, **options) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


class Pipe(io.RawIOBase):
    """An output without seek(): a zip written to it has its sizes after the content."""

    def __init__(self) -> None:
        self.made = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.made += data
        return len(data)


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def zipped_to_pipe(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED, zip64: bool = False) -> bytes:
    made = Pipe()
    with zipfile.ZipFile(made, "w", method) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            with archive.open(name, "w", force_zip64=zip64) as out:
                out.write(data)
    return bytes(made.made)


ARCHIVES: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {
    "tar": tar,
    "tar of GNU": lambda files: tar(files, format=tarfile.GNU_FORMAT),
    "tar of ustar": lambda files: tar(files, format=tarfile.USTAR_FORMAT),
    "tar.gz": lambda files: tar(files, "w:gz"),
    "tar.bz2": lambda files: tar(files, "w:bz2"),
    "tar.xz": lambda files: tar(files, "w:xz"),
    "zip": zipped,
    "zip, stored": lambda files: zipped(files, zipfile.ZIP_STORED),
    "zip, bzip2": lambda files: zipped(files, zipfile.ZIP_BZIP2),
    "zip, lzma": lambda files: zipped(files, zipfile.ZIP_LZMA),
    "zip to a pipe": zipped_to_pipe,
    "zip to a pipe, stored": lambda files: zipped_to_pipe(files, zipfile.ZIP_STORED),
    "zip to a pipe, bzip2": lambda files: zipped_to_pipe(files, zipfile.ZIP_BZIP2),
    "zip to a pipe, lzma": lambda files: zipped_to_pipe(files, zipfile.ZIP_LZMA),
    "zip to a pipe, 64 bit": lambda files: zipped_to_pipe(files, zip64=True),
    "zip to a pipe, stored, 64 bit": lambda files: zipped_to_pipe(files, zipfile.ZIP_STORED, zip64=True),
    "tar.gz in a zip": lambda files: zipped({"inner.tar.gz": tar(files, "w:gz")}),
    "zip in a tar.gz": lambda files: tar({"inner.zip": zipped(files)}, "w:gz"),
    "zip, stored, in a zip to a pipe, stored": lambda files: zipped_to_pipe(
        {"inner.zip": zipped_to_pipe(files, zipfile.ZIP_STORED)}, zipfile.ZIP_STORED
    ),
    "gzip in a tar": lambda files: tar({name: gzip.compress(data) for name, data in files.items()}),
}
# Separator between the archive and the file in results.
INNER = {
    "tar.gz in a zip": "inner.tar.gz!",
    "zip in a tar.gz": "inner.zip!",
    "zip, stored, in a zip to a pipe, stored": "inner.zip!",
}


# Longer than every piece that is read at once, and without repetition.
LONG = b"".join(b"line %d of a long text\n" % number for number in range(40_000))
TEXT = LONG[:5000] + "\u4e2d\u6587 \U0001f600\n".encode()


def read(path: str, size: int = 1 << 30, **options) -> list[tuple[str, bytes, str]]:
    """Return inner path, content and problem of each input."""
    found = []
    for one in open_inputs([path], **options):
        if one.problem:
            found.append((one.inner_path, b"", one.problem))
            continue
        content = one.open()
        found.append((one.inner_path, content.read(size), content.problem))
    return found
