# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles in files, folders, archives, parts and bundles: read, their reports written, ledgers completed.

The only part of this room that writes files. Folders and archives come from other machines: they are hostile.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

from ..bundle.manifest import MANIFEST, archive_files
from ..bundle.merge import PART_TOP, pack_to, read_ledger, unpack_part
from ..bundle.store import LEDGER, ledger_bytes, make_directory, safe_name, write_file
from ..inputs.containers import HEAD
from ..inputs.inputs import INSIDE, is_archive
from ..inputs.signatures import PROFILE, signature_of
from ..model import LedgerRow
from ..reasons import Reason
from ..regular_file import open_regular, read_at_most
from ..text import escaped, path_text
from .profile_inputs import MOST_LEDGER, Base, FoundProfile, profiles_in
from .report import TOP_JSON, ProfileReading, ReportSettings, read_unpacked, stem
from .validation import COUNTS

_UNREADABLE = (OSError, EOFError, tarfile.TarError, zlib.error)


@dataclass(frozen=True)
class AnalysisRequest:
    """What to read. patterns: names of the profiles in folders and archives. max_bytes: of each file.

    output: where reports go, "" for nowhere. in_place: into the folders and parts themselves, beside the profiles.
    base: a profile, or a folder or archive of them, to tell differences from. functions: rows of returned tables.
    """

    paths: list[str]
    patterns: list[str]
    settings: ReportSettings
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


def analyse(request: AnalysisRequest) -> dict[str, Any]:
    """What profile_analysis returns. What cannot be read is among the errors.

    ValueError where the base cannot be read, WriteError and OSError where something cannot be written.
    """
    outcome = _Outcome()
    try:
        base = Base.read(request.base, request.patterns, request.max_bytes)
    except ValueError as error:
        raise ValueError(f"the base {request.base} cannot be read: {error}") from error
    names: set[str] = set()
    for path in request.paths:
        name = _unused(safe_name(stem(os.path.basename(path.rstrip("/")))), names)
        try:
            _Work(request, base, outcome).path(path, name)
        except ValueError as error:
            outcome.failed(path, str(error))
    return {"profiles": outcome.profiles, "errors": outcome.errors}


class WriteError(Exception):
    """A report cannot be written; the message says why."""


@dataclass
class _Work:
    """The work on one of the paths."""

    request: AnalysisRequest
    base: Base
    outcome: _Outcome

    def path(self, path: str, name: str) -> None:
        """Read all profiles of a path. name: of their folder in the output, or of a single one's reports.

        ValueError for a path that cannot be read, or not be changed.
        """
        request = self.request
        if os.path.isdir(path):
            if request.in_place:
                _check_open(os.path.exists(os.path.join(path, MANIFEST)))
            self.folder(path, path if request.in_place else _below(request.output, name))
        elif not is_archive(path):
            self.file(path, name)
        elif request.in_place:
            self.part_in_place(path)
        else:
            for found in profiles_in(path, request.patterns, request.max_bytes):
                self.one(found, _below(request.output, name))

    def file(self, path: str, name: str) -> None:
        """A profile by its own path; its reports go into the output folder under a name, or beside it."""
        request = self.request
        title = os.path.basename(path)
        folder = (os.path.dirname(path) or ".") if request.in_place else request.output
        for found in profiles_in(path, request.patterns, request.max_bytes):
            if self.is_readable(found):
                reading = self.read(found, title, title)
                if self.is_profile(found, reading):
                    files = _write(folder, safe_name(stem(title)) if request.in_place else name, reading)
                    self.outcome.profiles.append(_entry(path_text(path), reading, None, files, request))

    def folder(self, folder: str, output: str, shown: str = "") -> None:
        """All profiles of a folder. shown: the part that is unpacked in it, if any, and its top folder."""
        request = self.request
        readings: dict[str, ProfileReading] = {}
        for found in profiles_in(folder, request.patterns, request.max_bytes, shown):
            if request.in_place and INSIDE in found.place:
                self.outcome.failed(found.name, "it is in an archive: give an output folder for its reports")
                continue
            reading = self.one(found, output)
            if reading:
                readings[found.place] = reading
        if shown:
            start = path_text(folder) + "/"
            for entry in self.outcome.profiles:
                entry["files"] = [
                    shown + file[len(start) :] if file.startswith(start) else file for file in entry["files"]
                ]
        ledger = os.path.join(folder, LEDGER)
        if request.in_place and os.path.isfile(ledger):
            with open_regular(ledger) as stream:
                rows = read_ledger(read_at_most(stream, MOST_LEDGER, "the ledger"))
            write_file(
                ledger,
                ledger_bytes(_completed(row, readings[row.path]) if row.path in readings else row for row in rows),
            )

    def part_in_place(self, path: str) -> None:
        """A packed part is unpacked, read and packed anew; until the new one is whole, the old one stays."""
        try:
            _check_open(MANIFEST in {name for name, _stream in archive_files(path)})
        except _UNREADABLE as error:
            raise ValueError(
                f"cannot be read: {error}; reports are written into parts (.tar.gz), for others give an output folder"
            ) from error
        scratch = tempfile.mkdtemp(prefix="cloudpods-", dir=os.path.dirname(path) or ".")
        try:
            rows = unpack_part(scratch, path)
            write_file(os.path.join(scratch, LEDGER), ledger_bytes(rows))
            self.folder(scratch, scratch, f"{path}{INSIDE}{PART_TOP}/")
            pack_to(scratch, path)
        finally:
            shutil.rmtree(scratch)

    def one(self, found: FoundProfile, output: str) -> ProfileReading | None:
        """Read one of many, and write its reports; None where it cannot be read or is no profile."""
        if not self.is_readable(found):
            return None
        row = found.row
        title = f"{row.component} {row.instance} {stem(os.path.basename(row.path))}" if row else found.place
        reading = self.read(found, title, found.within)
        if not self.is_profile(found, reading):
            return None
        parts = [safe_name(part) for part in found.output.replace(INSIDE, "/").split("/")]
        files = _write(os.path.join(output, *parts[:-1]) if output else "", stem(parts[-1]), reading)
        self.outcome.profiles.append(_entry(path_text(found.name), reading, row, files, self.request))
        return reading

    def read(self, found: FoundProfile, title: str, path: str) -> ProfileReading:
        kind = _kind_of_row(found.row)
        return read_unpacked(path_text(title), kind, found.unpacked, self.request.settings, self.base.find(path))

    def is_readable(self, found: FoundProfile) -> bool:
        if found.problem:
            self.outcome.failed(found.name, found.problem)
        return not found.problem

    def is_profile(self, found: FoundProfile, reading: ProfileReading) -> bool:
        """Whether it is one, as far as can be told; if not, an error says what it is.

        What a ledger has a row of was meant to be one, so it gets a verdict whatever it is.
        """
        if found.row or reading.top or reading.validation.reason is not Reason.PROFILE_BAD:
            return True
        signature = signature_of(found.unpacked.content[:HEAD])
        if not signature or signature is PROFILE:
            return True
        self.outcome.failed(found.name, f"it is {signature.text}")
        return False


def _below(output: str, name: str) -> str:
    return os.path.join(output, name) if output else ""


def _check_open(sealed: bool) -> None:
    if sealed:
        raise ValueError("it is a sealed bundle, which must not change: give an output folder instead")


def _kind_of_row(row: LedgerRow | None) -> str:
    if row is None:
        return ""
    kind = str(row.details.get("kind") or row.capture.rpartition(":")[2])
    return kind if kind in COUNTS else ""


def _completed(row: LedgerRow, reading: ProfileReading) -> LedgerRow:
    """The row with what is known now. Its verdict changes only where none could be given before."""
    details = dict(row.details, **reading.validation.details)
    if reading.files:
        details.update(_busiest(reading), load_value=reading.usage.value if reading.usage else 0.0)
        details.update(parsed=stem(row.path) + TOP_JSON)
    row = replace(row, details=details)
    if row.reason != Reason.NOT_READ_HERE.value:
        return row
    verdict = reading.validation.verdict
    return replace(row, status=verdict.status.value, reason=verdict.reason.value, message=verdict.message)


def _busiest(reading: ProfileReading) -> dict[str, Any]:
    return {
        "load": escaped(reading.usage.text) if reading.usage else "",
        "top_function": reading.busiest[0],
        "top_percent": reading.busiest_percent,
    }


def _entry(
    path: str, reading: ProfileReading, row: LedgerRow | None, files: list[str], request: AnalysisRequest
) -> dict[str, Any]:
    most = request.functions or None
    return {
        "path": path,
        "cluster": row.cluster if row else "",
        "component": row.component if row else "",
        "instance": row.instance if row else "",
        "kind": reading.kind,
        "status": reading.validation.status.value,
        "reason": reading.validation.reason.value,
        "message": reading.validation.message,
        "samples": reading.validation.details.get("samples", 0),
        "duration": reading.validation.details.get("duration", 0.0),
        **_busiest(reading),
        "top": reading.top.to_dict(most) if reading.top else None,
        "diff": reading.change.to_dict(most, reading.chance) if reading.change else None,
        "problem": reading.problem,
        "files": [path_text(file) for file in files],
    }


def _write(folder: str, name: str, reading: ProfileReading) -> list[str]:
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


def _unused(name: str, names: set[str]) -> str:
    """The name, with a number where it is taken."""
    number, candidate = 1, name
    while candidate in names:
        number += 1
        candidate = f"{name}-{number}"
    names.add(candidate)
    return candidate
