# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the parts that each access point left to one sealed bundle.

A part is a folder, or a tar of one, with artifacts and a ledger. Parts that came from other machines are hostile:
only regular files with harmless relative names are taken, and no file is written twice.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
import zlib
from typing import IO, Any, Iterator

from ..model import LedgerRow
from .manifest import MANIFEST, archive_files, build, folder_files
from .store import FILE_MODE, LEDGER, json_bytes, make_directory, write_file

_PATH = re.compile(r"(?!\.)[A-Za-z0-9._-]+(/(?!\.)[A-Za-z0-9._-]+)*\Z")
PART_TOP = "part"


def pack_part(root: str) -> str:
    """Make one private tar.gz beside the folder for the transfer, remove the folder; the archive's path."""
    archive_path = root.rstrip("/") + ".tar.gz"
    pack_to(root, archive_path)
    shutil.rmtree(root)
    return archive_path


def pack_to(root: str, archive_path: str) -> None:
    """Make one private tar.gz of the part in the folder root; what was there under that name is replaced as a whole."""
    _write_archive(root, PART_TOP, archive_path)


def _write_archive(root: str, top: str, archive_path: str) -> None:
    temporary = archive_path + ".part"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(stream.fileno(), FILE_MODE)
        _pack(root, top, stream)
    os.replace(temporary, archive_path)


def _pack(root: str, top: str, stream: IO[bytes]) -> None:
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=6, format=tarfile.PAX_FORMAT) as archive:
        for path, source in folder_files(root):
            member = archive.gettarinfo(arcname=f"{top}/{path}", fileobj=source)
            member.mode, member.uid, member.gid, member.uname, member.gname = FILE_MODE, 0, 0, "", ""
            archive.addfile(member, source)


def merge_part(bundle: str, part: str) -> list[LedgerRow]:
    """Take one part's files and rows into the bundle's folder. ValueError says what is wrong with a bad part."""
    if os.path.isdir(part):
        rows = _take(bundle, folder_files(part))
        shutil.rmtree(part)
        return rows
    rows = unpack_part(bundle, part)
    os.unlink(part)
    return rows


def unpack_part(folder: str, part: str) -> list[LedgerRow]:
    """Take the files of a packed part into a folder, and leave the part; its rows. ValueError for a bad one."""
    try:
        return _take(folder, archive_files(part))
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"the part {os.path.basename(part)} cannot be read: {error}") from error


def read_ledger(data: bytes) -> list[LedgerRow]:
    """The rows of a part's ledger. ValueError when a line is none, or names anything outside of the part."""
    return [_row(line) for line in data.splitlines()]


def _take(bundle: str, files: Iterator[tuple[str, IO[bytes]]]) -> list[LedgerRow]:
    rows: list[LedgerRow] = []
    for path, stream in files:
        if not _PATH.match(path) or path == MANIFEST:
            raise ValueError(f"a part holds a file with an unsafe name: {path!r}")
        if path == LEDGER:
            rows = read_ledger(stream.read())
            continue
        target = os.path.join(bundle, *path.split("/"))
        if os.path.lexists(target):
            raise ValueError(f"two parts hold a file of the same name: {path}")
        make_directory(os.path.dirname(target))
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(descriptor, "wb") as out:
            os.fchmod(out.fileno(), FILE_MODE)
            shutil.copyfileobj(stream, out, 1 << 20)
    return rows


def _row(line: bytes) -> LedgerRow:
    """A row of a part's ledger, which names nothing outside of the bundle. ValueError when it is none."""
    try:
        entry = LedgerRow.from_dict(json.loads(line))
    except RecursionError as error:
        raise ValueError("a row of the ledger is nested too deeply") from error
    for path in (entry.path, entry.details.get("parsed", "")):
        if path and not _PATH.match(path):
            raise ValueError(f"a row of the ledger names a file with an unsafe name: {path!r}")
    return entry


def seal(bundle: str, run: dict[str, Any]) -> str:
    """Write the manifest of everything in the bundle's folder, and the archive beside it; the archive's path."""
    write_file(os.path.join(bundle, MANIFEST), json_bytes(build(folder_files(bundle), run), indent=1))
    archive_path = bundle.rstrip("/") + ".tar.gz"
    _write_archive(bundle, os.path.basename(bundle.rstrip("/")), archive_path)
    return archive_path
