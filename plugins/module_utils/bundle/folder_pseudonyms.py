# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace identities in the folder of a bundle by tokens before sealing: in files, paths and ledger rows."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from typing import Any, Iterable, Mapping, Sequence

from ..model import LedgerRow
from ..redact.identity_finder import IdentityFinder
from ..redact.identity_words import CLUSTER, HOST, NAMESPACE, POD, is_component
from ..redact.limits import LIMITS, RedactionLimits
from ..redact.pseudonym_table import PseudonymTable
from ..redact.pseudonymizer import Pseudonymizer
from ..redact.redactor import RedactionError, Redactor, iter_texts
from .folder_redaction import RedactionResult
from .manifest import folder_files
from .store import DIRECTORY_MODE, ledger_bytes, make_directory, write_file

# Name of a process on a host, which reveals nothing: region-4711.
_PROCESS = re.compile(r"(?P<component>.+)-\d+")
# Temporary folder for files that get a new path. Parts cannot contain it, because hidden names are refused.
_WAITING = ".renamed"


def replace_identities(
    folder: str,
    rows: list[LedgerRow],
    run: dict[str, Any],
    redaction: RedactionResult,
    redactor: Redactor,
    tokens: PseudonymTable,
) -> tuple[list[LedgerRow], list[LedgerRow], dict[str, Any]]:
    """Replace identities in the folder. Return the current rows, the rows with tokens, and the run's facts with tokens.

    run: its id stays, because the user has chosen it. redaction: its result, which is updated.
    """
    identities = FolderPseudonymizer(folder, rows, run, tokens, redactor.limits)
    identities.replace_in_files(redaction)
    rows = redaction.rows(rows, redactor)
    hidden = identities.rows(rows)
    about = {key: value if key == "id" else identities.value(value) for key, value in run.items()}
    for kind, count in identities.counts().items():
        redaction.replaced[kind] = redaction.replaced.get(kind, 0) + count
    return rows, hidden, about


class FolderPseudonymizer:
    """Replacement of identities in one bundle.

    folder: of the bundle. tokens: table of the identity map, which gets new entries.
    """

    def __init__(
        self,
        folder: str,
        rows: Sequence[LedgerRow],
        run: dict[str, Any],
        tokens: PseudonymTable,
        limits: RedactionLimits = LIMITS,
    ) -> None:
        self._folder = folder
        finder = IdentityFinder(tokens, limits)
        for entry in rows:
            if _is_process(entry.component, entry.instance):
                finder.exclude(entry.instance)
        for name, kind, prefix in _stated(rows):
            finder.add_name(name, kind, prefix)
        finder.add_text(ledger_bytes(rows))
        finder.add_text(json.dumps(run).encode())
        for path, stream in folder_files(folder):
            data = stream.read()
            finder.add_text(path.encode())
            for piece in iter_texts(data):
                finder.add_text(piece)
        self._pseudonyms = Pseudonymizer(tokens, finder, limits)
        self._paths: dict[str, str] = {}

    def replace_in_files(self, redaction: RedactionResult) -> None:
        """Replace identities in every file and path. Remove a file that cannot be searched."""
        paths = [path for path, _stream in folder_files(self._folder)]
        taken: dict[str, bool] = {}
        for path in paths:
            full = os.path.join(self._folder, *path.split("/"))
            with open(full, "rb") as source:
                data = source.read()
            try:
                made = self._pseudonyms.data(data, path)
            except RedactionError as error:
                redaction.failed[path] = str(error)
                os.unlink(full)
                continue
            self._paths[path] = _free(self._path(path), taken)
            taken.update(_with_folders(self._paths[path]))
            if made != data:
                write_file(full, made)
                redaction.change(path, made)
        self._move()

    def _path(self, path: str) -> str:
        """Replace the identities in a path. Its components are names, also short ones."""
        return "/".join(self._pseudonyms.name(part) for part in path.split("/"))

    def _move(self) -> None:
        """Rename the files to their new paths.

        They are first moved to a temporary folder, because the new path of one may be the old path of another.
        """
        waiting = os.path.join(self._folder, _WAITING)
        os.mkdir(waiting, DIRECTORY_MODE)
        moved = {path: target for path, target in self._paths.items() if path != target}
        for number, path in enumerate(moved):
            os.rename(os.path.join(self._folder, *path.split("/")), os.path.join(waiting, str(number)))
        for folder, _folders, _names in os.walk(self._folder, topdown=False):
            if folder not in (self._folder, waiting) and not os.listdir(folder):
                os.rmdir(folder)
        for number, target in enumerate(moved.values()):
            full = os.path.join(self._folder, *target.split("/"))
            make_directory(os.path.dirname(full))
            os.rename(os.path.join(waiting, str(number)), full)
        os.rmdir(waiting)

    def rows(self, rows: Iterable[LedgerRow]) -> list[LedgerRow]:
        """Return the rows with tokens, and with the new paths of files."""
        return [self._row(entry) for entry in rows]

    def _row(self, entry: LedgerRow) -> LedgerRow:
        details = self._pseudonyms.value(entry.details)
        if entry.details.get("parsed"):
            details["parsed"] = self._new_path(entry.details["parsed"])
        return dataclasses.replace(
            entry,
            cluster=self._pseudonyms.name(entry.cluster),
            namespace=self._pseudonyms.name(entry.namespace),
            node=self._pseudonyms.name(entry.node),
            instance=self._pseudonyms.name(entry.instance),
            component=self._pseudonyms.text(entry.component),
            container=self._pseudonyms.text(entry.container),
            # Some capture names contain the name of a database.
            capture=self._pseudonyms.text(entry.capture),
            message=self._pseudonyms.text(entry.message),
            path=self._new_path(entry.path),
            details=details,
        )

    def _new_path(self, path: str) -> str:
        return self._paths.get(path) or self._path(path) if path else ""

    def value(self, value: Any) -> Any:
        """Replace the identities in plain values."""
        return self._pseudonyms.value(value)

    def counts(self) -> dict[str, int]:
        """Return the replacements of each kind so far."""
        return dict(self._pseudonyms.counts)


def _stated(rows: Iterable[LedgerRow]) -> Iterable[tuple[str, str, str]]:
    """Yield the names in rows with their kind and the prefix of their token.

    The prefix of a pod is its component.
    """
    rows = list(rows)
    for node in dict.fromkeys(entry.node for entry in rows):
        yield node, HOST, ""
    for cluster in dict.fromkeys(entry.cluster for entry in rows):
        yield cluster, CLUSTER, ""
    for namespace in dict.fromkeys(entry.namespace for entry in rows):
        yield namespace, NAMESPACE, ""
    for component, instance in dict.fromkeys((entry.component, entry.instance) for entry in rows):
        known = component if is_component(component) else ""
        if not _is_process(component, instance):
            yield instance, POD, known


def _is_process(component: str, instance: str) -> bool:
    match = _PROCESS.fullmatch(instance)
    return match is not None and match.group("component") == component and is_component(component)


def _with_folders(path: str) -> dict[str, bool]:
    """Return a path and all folders above it; True marks a folder."""
    parts = path.split("/")
    return {"/".join(parts[: number + 1]): number < len(parts) - 1 for number in range(len(parts))}


def _free(path: str, taken: Mapping[str, bool]) -> str:
    """Return the path, or a numbered variant if it is taken, because something real has the name of a token.

    taken: path -> whether it is a folder.
    """
    parts = path.split("/")
    for place in range(len(parts)):
        is_folder = place < len(parts) - 1
        stem, dot, rest = parts[place].partition(".")
        number = 1
        while _clashes("/".join(parts[: place + 1]), is_folder, taken):
            number += 1
            parts[place] = f"{stem}-{number}{dot}{rest}"
    return "/".join(parts)


def _clashes(path: str, is_folder: bool, taken: Mapping[str, bool]) -> bool:
    """Return whether the path is taken. Two files may share a folder, but not a name."""
    return path in taken and not (is_folder and taken[path])
