# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles in files, folders, parts and bundles: read, their reports written, ledgers completed.

The only part of this room that touches files. Folders and archives come from other machines: they are hostile.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import tarfile
import tempfile
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

from ..bundle.manifest import MANIFEST, archive_files
from ..bundle.merge import pack_to, read_ledger, unpack_part
from ..bundle.store import LEDGER, ledger_bytes, make_directory, safe_name, write_file
from ..model import LedgerRow
from ..reasons import Reason
from ..regular_file import open_regular
from ..text import escaped, path_text
from .proof import COUNTS
from .report import TOP_JSON, Reading, Settings, read_one, stem

_MOST_LEDGER = 256 << 20
_UNREADABLE = (OSError, EOFError, tarfile.TarError, zlib.error)


@dataclass(frozen=True)
class Request:
    """What to read. patterns: names of the profiles in folders and archives. max_bytes: of each file.

    output: where reports go, "" for nowhere. in_place: into the folders and parts themselves, beside the profiles.
    base: a profile, or a folder or archive of them, to tell differences from. functions: rows of returned tables.
    """

    paths: list[str]
    patterns: list[str]
    settings: Settings
    max_bytes: int
    functions: int
    output: str = ""
    in_place: bool = False
    base: str = ""


@dataclass
class _Outcome:
    profiles: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)

    def failed(self, path: str, message: str) -> None:
        self.errors.append({"path": path_text(path), "message": message})


def analyse(request: Request) -> dict[str, Any]:
    """What profile_analysis returns. What cannot be read is among the errors.

    ValueError where the base cannot be read, WriteError and OSError where something cannot be written.
    """
    outcome = _Outcome()
    try:
        base = _Base(request)
    except (*_UNREADABLE, ValueError) as error:
        raise ValueError(f"the base {request.base} cannot be read: {error}") from error
    names: set[str] = set()
    for path in request.paths:
        try:
            _analyse_path(
                path, request, base, outcome, _unused(safe_name(stem(os.path.basename(path.rstrip("/")))), names)
            )
        except ValueError as error:
            outcome.failed(path, str(error))
        except (EOFError, tarfile.TarError, zlib.error) as error:
            outcome.failed(path, f"cannot be read: {error}")
    return {"profiles": outcome.profiles, "errors": outcome.errors}


class WriteError(Exception):
    """A report cannot be written; the message says why."""


class _Unusable(ValueError):
    """A path that cannot be read; the message says why."""


def _analyse_path(path: str, request: Request, base: _Base, outcome: _Outcome, name: str) -> None:
    output = os.path.join(request.output, name) if request.output else ""
    if os.path.isdir(path):
        if request.in_place:
            _check_open(os.path.exists(os.path.join(path, MANIFEST)))
        _folder(path, request, base, outcome, path if request.in_place else output)
    elif not _is_archive(path):
        _file(path, request, base, outcome, name)
    elif request.in_place:
        _part_in_place(path, request, base, outcome)
    else:
        _archive(path, request, base, outcome, output)


def _names_in_archive(path: str) -> set[str]:
    try:
        return {name for name, _stream in archive_files(path)}
    except OSError as error:
        raise _Unusable(f"cannot be read: {error}") from error


def _is_archive(path: str) -> bool:
    """Whether a file is an archive, by its name."""
    return path.endswith((".tar.gz", ".tgz"))


def _check_open(sealed: bool) -> None:
    if sealed:
        raise _Unusable("it is a sealed bundle, which must not change: give an output folder instead")


def _file(path: str, request: Request, base: _Base, outcome: _Outcome, name: str) -> None:
    """A profile by its own path; its reports go into the output folder under a name, or beside it."""
    data = _read_file(path, request.max_bytes)
    title = os.path.basename(path)
    reading = read_one(path_text(title), "", data, request.settings, base.find(title))
    if request.in_place:
        files = _write(os.path.dirname(path) or ".", safe_name(stem(title)), reading)
    else:
        files = _write(request.output, name, reading)
    outcome.profiles.append(_entry(path_text(path), reading, None, files, request))


def _folder(folder: str, request: Request, base: _Base, outcome: _Outcome, output: str, shown: str = "") -> None:
    """All profiles of a folder, by their ledger and by their names. shown: the part that is unpacked in it, if any."""
    ledger = os.path.join(folder, LEDGER)
    rows = read_ledger(_read_file(ledger, _MOST_LEDGER)) if os.path.isfile(ledger) else []
    by_path = {row.path: row for row in rows if row.path}
    readings: dict[str, Reading] = {}
    for path in _names_in(folder, request.patterns):
        try:
            data = _read_file(os.path.join(folder, *path.split("/")), request.max_bytes)
        except _Unusable as error:
            outcome.failed(os.path.join(shown or folder, path), str(error))
            continue
        readings[path], entry = _one(path, data, by_path.get(path), request, base, output)
        entry["path"] = path_text(os.path.join(shown or folder, path))
        if shown:
            entry["files"] = [shown + file[len(folder) :] for file in entry["files"]]
        outcome.profiles.append(entry)
    if request.in_place and rows:
        write_file(
            ledger, ledger_bytes(_completed(row, readings[row.path]) if row.path in readings else row for row in rows)
        )


def _part_in_place(path: str, request: Request, base: _Base, outcome: _Outcome) -> None:
    """A packed part is unpacked, read and packed anew; until the new one is whole, the old one stays."""
    _check_open(MANIFEST in _names_in_archive(path))
    scratch = tempfile.mkdtemp(prefix="cloudpods-", dir=os.path.dirname(path) or ".")
    try:
        rows = unpack_part(scratch, path)
        write_file(os.path.join(scratch, LEDGER), ledger_bytes(rows))
        _folder(scratch, request, base, outcome, scratch, path)
        pack_to(scratch, path)
    finally:
        shutil.rmtree(scratch)


def _archive(path: str, request: Request, base: _Base, outcome: _Outcome, output: str) -> None:
    """All profiles of a packed part or sealed bundle, which stays as it is."""
    rows: dict[str, LedgerRow] = {}
    try:
        for name, stream in archive_files(path):
            if name == LEDGER:
                rows = {row.path: row for row in read_ledger(stream.read(_MOST_LEDGER)) if row.path}
        for name, stream in archive_files(path):
            if not _matches(name, request.patterns):
                continue
            try:
                data = _bounded(stream.read(request.max_bytes + 1), request.max_bytes)
            except _Unusable as error:
                outcome.failed(os.path.join(path, name), str(error))
                continue
            _reading, entry = _one(name, data, rows.get(name), request, base, output)
            outcome.profiles.append(dict(entry, path=path_text(os.path.join(path, name))))
    except OSError as error:
        raise _Unusable(f"cannot be read: {error}") from error


def _one(
    path: str, data: bytes, row: LedgerRow | None, request: Request, base: _Base, output: str
) -> tuple[Reading, dict[str, Any]]:
    title = f"{row.component} {row.instance} {stem(os.path.basename(path))}" if row else path
    reading = read_one(path_text(title), _kind_of_row(row), data, request.settings, base.find(path))
    parts = [safe_name(part) for part in path.split("/")]
    files = _write(os.path.join(output, *parts[:-1]) if output else "", stem(parts[-1]), reading)
    return reading, _entry(path, reading, row, files, request)


def _kind_of_row(row: LedgerRow | None) -> str:
    if row is None:
        return ""
    kind = str(row.details.get("kind") or row.capture.rpartition(":")[2])
    return kind if kind in COUNTS else ""


def _completed(row: LedgerRow, reading: Reading) -> LedgerRow:
    """The row with what is known now. Its verdict changes only where none could be given before."""
    details = dict(row.details, **reading.proof.details)
    if reading.files:
        details.update(_busiest(reading), load_value=reading.load.value if reading.load else 0.0)
        details.update(parsed=stem(row.path) + TOP_JSON)
    row = replace(row, details=details)
    if row.reason != Reason.NOT_READ_HERE.value:
        return row
    verdict = reading.proof.verdict
    return replace(row, status=verdict.status.value, reason=verdict.reason.value, message=verdict.message)


def _busiest(reading: Reading) -> dict[str, Any]:
    return {
        "load": escaped(reading.load.text) if reading.load else "",
        "top_function": reading.busiest[0],
        "top_percent": reading.busiest_percent,
    }


def _entry(path: str, reading: Reading, row: LedgerRow | None, files: list[str], request: Request) -> dict[str, Any]:
    most = request.functions or None
    return {
        "path": path,
        "cluster": row.cluster if row else "",
        "component": row.component if row else "",
        "instance": row.instance if row else "",
        "kind": reading.kind,
        "status": reading.proof.status.value,
        "reason": reading.proof.reason.value,
        "message": reading.proof.message,
        "samples": reading.proof.details.get("samples", 0),
        "duration": reading.proof.details.get("duration", 0.0),
        **_busiest(reading),
        "top": reading.top.to_dict(most) if reading.top else None,
        "diff": reading.change.to_dict(most, reading.chance) if reading.change else None,
        "problem": reading.problem,
        "files": [path_text(file) for file in files],
    }


def _write(folder: str, name: str, reading: Reading) -> list[str]:
    """Write the reports into the folder ("": nowhere), their names beginning with this one; their paths."""
    if not folder or not reading.files:
        return []
    paths = []
    try:
        make_directory(folder)
        for ending, content in reading.files.items():
            paths.append(os.path.join(folder, name + ending))
            write_file(paths[-1], content)
    except OSError as error:
        raise WriteError(f"no report can be written: {error}") from error
    return paths


class _Base:
    """The profiles to compare with: one for all, or by their paths in a folder or archive."""

    def __init__(self, request: Request) -> None:
        self._only: bytes | None = None
        self._by_path: dict[str, bytes] = {}
        self._by_place: dict[tuple[str, str], list[str]] = {}
        path = request.base
        if not path:
            return
        if os.path.isdir(path):
            names = _names_in(path, request.patterns)
            self._by_path = {
                name: _read_file(os.path.join(path, *name.split("/")), request.max_bytes) for name in names
            }
        elif _is_archive(path):
            for name, stream in archive_files(path):
                if _matches(name, request.patterns):
                    self._by_path[name] = _bounded(stream.read(request.max_bytes + 1), request.max_bytes)
        else:
            self._only = _read_file(path, request.max_bytes)
        for name in self._by_path:
            self._by_place.setdefault(_place(name), []).append(name)

    def find(self, path: str) -> bytes | None:
        """The one of the same instance; else that of the only instance of the component."""
        if self._only is not None:
            return self._only
        if path in self._by_path:
            return self._by_path[path]
        others = self._by_place.get(_place(path), [])
        return self._by_path[others[0]] if len(others) == 1 else None


def _place(path: str) -> tuple[str, str]:
    """The folder of the component, and the name of the file, of <cluster>/<component>/<instance>/<file>."""
    folder, _slash, name = path.rpartition("/")
    return folder.rpartition("/")[0], name


def _names_in(folder: str, patterns: list[str]) -> list[str]:
    """The profiles below a folder, by relative paths with "/"; links are not followed."""
    found = []
    for base, folders, names in os.walk(folder):
        folders.sort()
        relative = os.path.relpath(base, folder)
        for name in sorted(names):
            path = name if relative == "." else f"{relative.replace(os.sep, '/')}/{name}"
            if _matches(path, patterns) and not os.path.islink(os.path.join(base, name)):
                found.append(path)
    return found


def _matches(path: str, patterns: list[str]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _read_file(path: str, most: int) -> bytes:
    try:
        with open_regular(path) as stream:
            data = stream.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise _Unusable(f"cannot be read: {error.strerror if isinstance(error, OSError) else error}") from error
    return _bounded(data, most)


def _bounded(data: bytes, most: int) -> bytes:
    if len(data) > most:
        raise _Unusable(f"has more than {most} bytes (max_bytes)")
    return data


def _unused(name: str, names: set[str]) -> str:
    """The name, with a number where it is taken."""
    number, candidate = 1, name
    while candidate in names:
        number += 1
        candidate = f"{name}-{number}"
    names.add(candidate)
    return candidate
