# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifest of a bundle, and offline verification of a bundle against it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from dataclasses import dataclass, field
from typing import IO, Any, Iterator, Tuple, cast

from ..inputs.inputs import archive_members, layers_of
from ..regular_file import open_regular, read_at_most
from .store import LEDGER

Measure = Tuple[int, str]

MANIFEST = "manifest.json"
FORMAT = "cloudpods.diagnostics/bundle"
FORMAT_VERSION = 1
CHUNK = 1 << 20
# Maximum bytes of a manifest or ledger, which are held in memory; those of a large fleet are far smaller.
MOST_KEPT = 256 << 20
# Exceptions that reading a malformed bundle may raise.
_NO_BUNDLE = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError, tarfile.TarError,
              zlib.error)  # fmt: skip


@dataclass
class Verification:
    """Result of verifying a bundle.

    missing, added, changed: names of files. problems: other findings, in words. files: number of files read. level,
    replaced: redaction level and replacements by rule, as the manifest states them; empty if it does not.
    """

    missing: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    files: int = 0
    level: str = ""
    replaced: dict[str, int] = field(default_factory=dict)

    @property
    def intact(self) -> bool:
        return not (self.missing or self.added or self.changed or self.problems)


def build(files: Iterator[tuple[str, IO[bytes]]], run: dict[str, Any], redaction: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of these (relative path, open file) pairs.

    run: facts about the run, JSON values. redaction: its level, and the number of replacements by rule.
    """
    present, _kept = _read(files)
    entries = [{"path": path, "bytes": size, "sha256": digest} for path, (size, digest) in sorted(present.items())]
    return {"format": FORMAT, "version": FORMAT_VERSION, "run": run, "redaction": redaction, "files": entries}


def _measure(stream: IO[bytes]) -> Measure:
    digest, size = hashlib.sha256(), 0
    for chunk in iter(lambda: stream.read(CHUNK), b""):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def folder_files(root: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield every file below root. ValueError: something is neither a regular file nor a folder."""
    for directory, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names + [folder for folder in folders if os.path.islink(os.path.join(directory, folder))]):
            full = os.path.join(directory, name)
            path = os.path.relpath(full, root).replace(os.sep, "/")
            if os.path.islink(full) or not os.path.isfile(full):
                raise ValueError(f"{path} is not a regular file")
            with open(full, "rb") as stream:
                yield path, stream


# Layers of an archive that archive_files() can read.
PART_LAYERS = ("gzip", "tar")


def archive_files(path: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield every file of a tar.gz without the top folder. ValueError: anything else is in it.

    The archive is read to the end, so that a truncated trailer or a wrong checksum is detected.
    """
    with open_regular(path) as packed, gzip.GzipFile(fileobj=packed) as stream:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            yield from _members(archive)
        while stream.read(CHUNK):
            pass


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    seen = set()
    for member in archive:
        _top, _slash, path = member.name.partition("/")
        if member.isdir():
            continue
        if not member.isfile() or member.issparse() or not path or path in seen:
            raise ValueError(f"{member.name} is not a regular file, or occurs twice")
        seen.add(path)
        stream = archive.extractfile(member)
        if stream is not None:
            with stream:
                yield path, stream


def _files_of(path: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield every file of a bundle's archive, also if it was repacked in another format."""
    if layers_of(path) in ((), PART_LAYERS):
        yield from archive_files(path)
        return
    for name, content in archive_members(path):
        yield name.partition("/")[2], cast("IO[bytes]", content)


def verify(bundle: str, most_kept: int = MOST_KEPT) -> Verification:
    """Verify a sealed bundle, folder or archive, against its own manifest and ledger. Never raises for a bad bundle.

    most_kept: maximum bytes of a manifest or ledger.
    """
    result = Verification()
    try:
        if os.path.isdir(bundle):
            present, kept = _read(folder_files(bundle), most_kept)
        else:
            present, kept = _read(_files_of(bundle), most_kept)
        result.files = len(present)
        if MANIFEST not in kept:
            result.problems.append(f"the bundle has no {MANIFEST}")
            return result
        _compare(json.loads(kept[MANIFEST]), present, result)
        result.problems += ledger_problems(kept.get(LEDGER, b""), present)
    except _NO_BUNDLE as error:
        result.problems.append(f"the bundle cannot be read: {type(error).__name__}: {error}")
    return result


def _read(
    files: Iterator[tuple[str, IO[bytes]]], most_kept: int = MOST_KEPT
) -> tuple[dict[str, Measure], dict[str, bytes]]:
    """Return size and SHA-256 of each file but the manifest, and the bytes of manifest and ledger."""
    present: dict[str, Measure] = {}
    kept: dict[str, bytes] = {}
    for path, stream in files:
        if path in (MANIFEST, LEDGER):
            kept[path] = read_at_most(stream, most_kept, path)
        if path != MANIFEST:
            present[path] = _measure(io.BytesIO(kept[path]) if path in kept else stream)
    return present, kept


def _compare(manifest: dict[str, Any], present: dict[str, Measure], result: Verification) -> None:
    if manifest.get("format") != FORMAT or manifest.get("version") != FORMAT_VERSION:
        result.problems.append("the manifest has an unknown format")
    redaction = manifest.get("redaction") or {}
    result.level = str(redaction.get("level", ""))
    result.replaced = {str(rule): int(count) for rule, count in (redaction.get("replaced") or {}).items()}
    stated = {entry["path"]: (entry["bytes"], entry["sha256"]) for entry in manifest["files"]}
    result.missing = sorted(set(stated) - set(present))
    result.added = sorted(set(present) - set(stated))
    result.changed = sorted(path for path in set(stated) & set(present) if stated[path] != present[path])


def ledger_problems(ledger: bytes, present: dict[str, Measure]) -> list[str]:
    """Return the ledger lines that are not rows, and the rows whose artifact is missing or differs."""
    problems = []
    for number, line in enumerate(ledger.splitlines(), 1):
        place = f"{LEDGER}, line {number}"
        try:
            entry = json.loads(line)
            path, measure = entry["path"], (entry["bytes"], entry["sha256"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            problems.append(f"{place} is not a row: {error}")
            continue
        if path and present.get(path) != measure:
            problems.append(f"{place}: its artifact {path} is missing or differs from the row")
    return problems
