# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge the parts that the access points left into one bundle, and seal it.

A part is a folder, or a tar of one, with artifacts and a ledger. Parts from other machines are untrusted: only regular
files with safe relative names are accepted, and no file is written twice. part_origin.py checks that a part contains
only data of its own cluster.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from typing import IO, Any, Iterator

from ..model import LedgerRow
from ..regular_file import read_at_most
from .manifest import CHUNK, MANIFEST, archive_files, build, folder_files
from .store import FILE_MODE, LEDGER, archive_of, json_bytes, make_directory, write_file

_PATH = re.compile(r"(?!\.)[A-Za-z0-9._-]+(/(?!\.)[A-Za-z0-9._-]+)*\Z")
PART_TOP = "part"


@dataclass(frozen=True)
class MergeLimits:
    """Upper bounds for one part: total bytes, number of files, path components of a file, bytes of its ledger.

    A compressed part of a few bytes may decompress to any size.
    """

    bytes: int = 8 << 30
    files: int = 50_000
    depth: int = 10
    ledger: int = 64 << 20


LIMITS = MergeLimits()


def pack_part(root: str, archive_path: str = "") -> str:
    """Pack the folder of a part into one private tar.gz, remove the folder, and return the path of the archive.

    archive_path: by default beside the folder, with its name.
    """
    archive_path = archive_path or archive_of(root)
    pack_to(root, archive_path)
    shutil.rmtree(root)
    return archive_path


def pack_to(root: str, archive_path: str) -> None:
    """Pack the part in the folder root into one private tar.gz. An existing file is replaced atomically."""
    _write_archive(root, PART_TOP, archive_path)


def _write_archive(root: str, top: str, archive_path: str) -> None:
    """Write the archive under an unpredictable name (mkstemp: O_EXCL, mode 0600), then rename it."""
    descriptor, temporary = tempfile.mkstemp(prefix=".cloudpods-", dir=os.path.dirname(archive_path) or ".")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _pack(root, top, stream)
        os.replace(temporary, archive_path)
    except BaseException:
        os.unlink(temporary)
        raise


def _pack(root: str, top: str, stream: IO[bytes]) -> None:
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6, format=tarfile.PAX_FORMAT) as archive:
        for path, source in folder_files(root):
            member = archive.gettarinfo(arcname=f"{top}/{path}", fileobj=source)
            member.mode, member.uid, member.gid, member.uname, member.gname = FILE_MODE, 0, 0, "", ""
            archive.addfile(member, source)


class DuplicateFileError(ValueError):
    """Another part has a file of that name."""


def merge_part(
    bundle: str, part: str, limits: MergeLimits = LIMITS, *, top: bool = False, aside: str = ""
) -> list[LedgerRow]:
    """Move the files and rows of one part into the folder of the bundle. ValueError states what is wrong with the part.

    A bad part stays where it is, and nothing of it is in the bundle. DuplicateFileError: another part has a file of the
    same name. top: the part may have files beside its folders, as reports made on the controller have. A part from
    another machine must not have them, because it could pass for such a report. aside: put the files into a folder of
    this name below the folder of the cluster.
    """
    if os.path.isdir(part):
        rows = _take(bundle, folder_files(part), limits, top, aside)
        shutil.rmtree(part)
        return rows
    rows = unpack_part(bundle, part, limits, aside)
    os.unlink(part)
    return rows


def unpack_part(folder: str, part: str, limits: MergeLimits = LIMITS, aside: str = "") -> list[LedgerRow]:
    """Copy the files of a packed part into a folder and return its rows. The part stays. ValueError for a bad part."""
    try:
        return _take(folder, archive_files(part), limits, False, aside)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"the part {os.path.basename(part)} cannot be read: {error}") from error


def read_ledger(data: bytes) -> list[LedgerRow]:
    """Return the rows of a part's ledger. ValueError: a line is not a row, or names something outside of the part."""
    return [_row(line) for line in data.splitlines()]


def _take(
    bundle: str, files: Iterator[tuple[str, IO[bytes]]], limits: MergeLimits, top: bool, aside: str
) -> list[LedgerRow]:
    """Write all files of a part, or none of them."""
    rows: list[LedgerRow] = []
    written: list[str] = []
    room = limits.bytes
    try:
        for path, stream in files:
            _check_path(path, limits, top)
            if path == LEDGER:
                rows = read_ledger(read_at_most(stream, limits.ledger, "the ledger of a part"))
                continue
            target = os.path.join(bundle, *_placed(path, aside).split("/"))
            if os.path.lexists(target):
                raise DuplicateFileError(f"two parts hold a file of the same name: {path}")
            if len(written) == limits.files:
                raise ValueError(f"a part holds more than {limits.files} files")
            make_directory(os.path.dirname(target))
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            written.append(target)
            with os.fdopen(descriptor, "wb") as out:
                os.fchmod(out.fileno(), FILE_MODE)
                room -= _copy(stream, out, room)
    except BaseException:
        for target in written:
            os.unlink(target)
        raise
    return [_row_placed(entry, aside) for entry in rows] if aside else rows


def _placed(path: str, aside: str) -> str:
    """Return the path in the bundle of a file of a part."""
    cluster, slash, rest = path.partition("/")
    return f"{cluster}/{aside}/{rest}" if aside and slash else path


def _row_placed(entry: LedgerRow, aside: str) -> LedgerRow:
    details = dict(entry.details)
    if details.get("parsed"):
        details["parsed"] = _placed(details["parsed"], aside)
    return dataclasses.replace(entry, path=_placed(entry.path, aside), details=details)


def _check_path(path: str, limits: MergeLimits, top: bool) -> None:
    """Raise ValueError unless a part may have a file of this name."""
    parts = path.count("/") + 1
    if not _PATH.match(path) or path == MANIFEST or (parts == 1 and path != LEDGER and not top):
        raise ValueError(f"a part holds a file with an unsafe name: {path!r}")
    if parts > limits.depth:
        raise ValueError(f"a part holds folders more than {limits.depth} deep")


def _copy(stream: IO[bytes], out: IO[bytes], room: int) -> int:
    """Copy a file and return its size. ValueError: it is larger than the room that is left."""
    copied = 0
    for chunk in iter(lambda: stream.read(CHUNK), b""):
        copied += len(chunk)
        if copied > room:
            raise ValueError("a part exceeds the size limit")
        out.write(chunk)
    return copied


def _row(line: bytes) -> LedgerRow:
    """Return a row of a part's ledger. ValueError: it is malformed, or names something outside of the bundle."""
    try:
        entry = LedgerRow.from_dict(json.loads(line))
    except RecursionError as error:
        raise ValueError("a row of the ledger is nested too deeply") from error
    for path in (entry.path, entry.details.get("parsed", "")):
        if path and not _PATH.match(path):
            raise ValueError(f"a row of the ledger names a file with an unsafe name: {path!r}")
    return entry


def seal(bundle: str, run: dict[str, Any], redaction: dict[str, Any]) -> str:
    """Write the manifest of everything in the folder of the bundle, and its archive. Return the path of the archive.

    run, redaction: see manifest.build().
    """
    manifest = build(folder_files(bundle), run, redaction)
    write_file(os.path.join(bundle, MANIFEST), json_bytes(manifest, indent=1))
    archive_path = archive_of(bundle)
    _write_archive(bundle, os.path.basename(bundle.rstrip("/")), archive_path)
    return archive_path
