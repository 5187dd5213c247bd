# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read profiles in files, folders, archives, parts and bundles, write their reports and complete ledgers.

The only module of this package that writes files. Folders and archives come from other machines: they are untrusted.
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
from ..sanitize import escaped, path_text
from .profile_inputs import MOST_LEDGER, BaseProfiles, FoundProfile, profiles_in
from .report import TOP_JSON, ProfileReading, ReportSettings, read_unpacked, stem
from .validation import COUNTS

_UNREADABLE = (OSError, EOFError, tarfile.TarError, zlib.error)


@dataclass(frozen=True)
class AnalysisRequest:
    """The parameters of one analysis.

    patterns: names of the profiles in folders and archives. max_bytes: limit for each file.
    output: folder for reports, "" for none. in_place: write reports into the folders and parts, beside the profiles.
    base: a profile, or a folder or archive of profiles, to compare with. functions: rows of returned tables.
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
class _AnalysisResults:
    """Results collected so far."""

    profiles: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)

    def failed(self, path: str, message: str) -> None:
        """Record an error of a path."""
        self.errors.append({"path": path_text(path), "message": message})


def analyse(request: AnalysisRequest) -> dict[str, Any]:
    """Return what profile_analysis returns. Unreadable profiles are among the errors.

    Raises ValueError if the base cannot be read, WriteError and OSError if something cannot be written.
    """
    results = _AnalysisResults()
    try:
        base = BaseProfiles.read(request.base, request.patterns, request.max_bytes)
    except ValueError as error:
        raise ValueError(f"the base {request.base} cannot be read: {error}") from error
    names: set[str] = set()
    for path in request.paths:
        name = _unused(safe_name(stem(os.path.basename(path.rstrip("/")))), names)
        try:
            _PathAnalysis(request, base, results).path(path, name)
        except ValueError as error:
            results.failed(path, str(error))
    return {"profiles": results.profiles, "errors": results.errors}


class WriteError(Exception):
    """A report cannot be written; the message has the reason."""


@dataclass
class _PathAnalysis:
    """Analysis of one of the paths."""

    request: AnalysisRequest
    base: BaseProfiles
    results: _AnalysisResults

    def path(self, path: str, name: str) -> None:
        """Read all profiles of a path. Raises ValueError if it cannot be read, or not be changed.

        name: name of the folder in the output, or of a single profile's reports.
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
        """Read a profile that the user named, and write its reports into the output folder or beside it."""
        request = self.request
        title = os.path.basename(path)
        folder = (os.path.dirname(path) or ".") if request.in_place else request.output
        for found in profiles_in(path, request.patterns, request.max_bytes):
            if self.is_readable(found):
                reading = self.read(found, title, title)
                if self.is_profile(found, reading):
                    files = _write(folder, safe_name(stem(title)) if request.in_place else name, reading)
                    self.results.profiles.append(_entry(path_text(path), reading, None, files, request))

    def folder(self, folder: str, output: str, shown: str = "") -> None:
        """Read all profiles of a folder.

        shown: path of the part that is unpacked in it, if any, with its top folder.
        """
        request = self.request
        readings: dict[str, ProfileReading] = {}
        for found in profiles_in(folder, request.patterns, request.max_bytes, shown):
            if request.in_place and INSIDE in found.inner_path:
                self.results.failed(found.name, "it is in an archive: set an output folder for its reports")
                continue
            reading = self.one(found, output)
            if reading:
                readings[found.inner_path] = reading
        if shown:
            start = path_text(folder) + "/"
            for entry in self.results.profiles:
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
        """Unpack a packed part, read it and pack it again. The old part stays until the new one is complete."""
        try:
            _check_open(MANIFEST in {name for name, _stream in archive_files(path)})
        except _UNREADABLE as error:
            raise ValueError(
                f"cannot be read: {error}; only parts (.tar.gz) take reports: for other archives set an output folder"
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
        """Read one of many profiles and write its reports; None if it is unreadable or no profile."""
        if not self.is_readable(found):
            return None
        row = found.row
        title = f"{row.component} {row.instance} {stem(os.path.basename(row.path))}" if row else found.inner_path
        reading = self.read(found, title, found.ledger_path)
        if not self.is_profile(found, reading):
            return None
        parts = [safe_name(part) for part in found.output.replace(INSIDE, "/").split("/")]
        files = _write(os.path.join(output, *parts[:-1]) if output else "", stem(parts[-1]), reading)
        self.results.profiles.append(_entry(path_text(found.name), reading, row, files, self.request))
        return reading

    def read(self, found: FoundProfile, title: str, path: str) -> ProfileReading:
        """Read a profile, and compare it with its base if there is one."""
        kind = _kind_of_row(found.row)
        return read_unpacked(path_text(title), kind, found.unpacked, self.request.settings, self.base.find(path))

    def is_readable(self, found: FoundProfile) -> bool:
        """Return whether the file could be read; if not, record the error."""
        if found.problem:
            self.results.failed(found.name, found.problem)
        return not found.problem

    def is_profile(self, found: FoundProfile, reading: ProfileReading) -> bool:
        """Return whether it is a profile, as far as can be told; if not, record an error that names its format.

        A file with a ledger row was meant to be a profile, so it gets a verdict in any case.
        """
        if found.row or reading.top or reading.validation.reason is not Reason.PROFILE_BAD:
            return True
        signature = signature_of(found.unpacked.content[:HEAD])
        if not signature or signature is PROFILE:
            return True
        self.results.failed(found.name, f"it is {signature.text}")
        return False


def _below(output: str, name: str) -> str:
    return os.path.join(output, name) if output else ""


def _check_open(sealed: bool) -> None:
    if sealed:
        raise ValueError("it is a sealed bundle, which must not change: set an output folder")


def _kind_of_row(row: LedgerRow | None) -> str:
    if row is None:
        return ""
    kind = str(row.details.get("kind") or row.capture.rpartition(":")[2])
    return kind if kind in COUNTS else ""


def _completed(row: LedgerRow, reading: ProfileReading) -> LedgerRow:
    """Return the row with all details. Its verdict changes only if none could be given before."""
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
    """Write the reports into the folder ("": nowhere) under names with this beginning; return their paths."""
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
    """Return the name, with a number if it is taken."""
    number, candidate = 1, name
    while candidate in names:
        number += 1
        candidate = f"{name}-{number}"
    names.add(candidate)
    return candidate
