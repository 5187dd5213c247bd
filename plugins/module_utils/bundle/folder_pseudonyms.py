# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace the identities in a bundle's folder by tokens, before it is sealed: in files, in their paths, in the rows."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from typing import Any, Iterable, Mapping, Sequence

from ..model import LedgerRow
from ..redact.identity_finder import IdentityFinder
from ..redact.identity_words import CLUSTER, HOST, NAMESPACE, POD, is_component
from ..redact.pseudonym_table import PseudonymTable
from ..redact.pseudonymizer import Pseudonymizer
from ..redact.redactor import RedactionError, Redactor, texts_of
from .folder_redaction import RedactionResult
from .manifest import folder_files
from .store import DIRECTORY_MODE, ledger_bytes, make_directory, write_file

# The name of a process on a host, which tells nothing: region-4711.
_PROCESS = re.compile(r"(?P<component>.+)-\d+")
# Where files wait that get a new path. No part may hold a hidden one.
_WAITING = ".renamed"


def replace_identities(
    folder: str,
    rows: list[LedgerRow],
    run: dict[str, Any],
    looked: RedactionResult,
    redactor: Redactor,
    tokens: PseudonymTable,
) -> tuple[list[LedgerRow], list[LedgerRow], dict[str, Any]]:
    """Replace them in the folder; the rows as they are now, the same with tokens, and what is said of the run.

    run: its id stays, as its user has named it. looked: gets what came of it.
    """
    identities = FolderPseudonymizer(folder, rows, run, tokens)
    identities.replace_in_files(looked)
    rows = looked.rows(rows, redactor)
    hidden = identities.rows(rows)
    about = {key: value if key == "id" else identities.value(value) for key, value in run.items()}
    for kind, count in identities.counts().items():
        looked.replaced[kind] = looked.replaced.get(kind, 0) + count
    return rows, hidden, about


class FolderPseudonymizer:
    """The work on one bundle. tokens: of the map, which gets new ones. folder: of the bundle."""

    def __init__(self, folder: str, rows: Sequence[LedgerRow], run: dict[str, Any], tokens: PseudonymTable) -> None:
        self._folder = folder
        gatherer = IdentityFinder(tokens)
        for entry in rows:
            if _is_process(entry.component, entry.instance):
                gatherer.stays(entry.instance)
        for name, kind, prefix in _stated(rows):
            gatherer.stated(name, kind, prefix)
        gatherer.text(ledger_bytes(rows))
        gatherer.text(json.dumps(run).encode())
        for path, stream in folder_files(folder):
            data = stream.read()
            gatherer.text(path.encode())
            for piece in texts_of(data):
                gatherer.text(piece)
        self._pseudonyms = Pseudonymizer(tokens, gatherer)
        self._paths: dict[str, str] = {}

    def replace_in_files(self, looked: RedactionResult) -> None:
        """Replace them in every file and path. A file that cannot be looked through is removed."""
        paths = [path for path, _stream in folder_files(self._folder)]
        taken: dict[str, bool] = {}
        for path in paths:
            full = os.path.join(self._folder, *path.split("/"))
            with open(full, "rb") as source:
                data = source.read()
            try:
                made = self._pseudonyms.data(data, path)
            except RedactionError as error:
                looked.failed[path] = str(error)
                os.unlink(full)
                continue
            self._paths[path] = _free(self._path(path), taken)
            taken.update(_with_folders(self._paths[path]))
            if made != data:
                write_file(full, made)
                looked.change(path, made)
        self._move()

    def _path(self, path: str) -> str:
        """A path with tokens. Its components are names, also short ones."""
        return "/".join(self._pseudonyms.name(part) for part in path.split("/"))

    def _move(self) -> None:
        """Give the files their new paths, by way of a folder of their own: one's new path may be another's old one."""
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
        """The rows with tokens, and with the paths that the files have now."""
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
            # Some hold the name of a database.
            capture=self._pseudonyms.text(entry.capture),
            message=self._pseudonyms.text(entry.message),
            path=self._new_path(entry.path),
            details=details,
        )

    def _new_path(self, path: str) -> str:
        return self._paths.get(path) or self._path(path) if path else ""

    def value(self, value: Any) -> Any:
        """Plain values with tokens."""
        return self._pseudonyms.value(value)

    def counts(self) -> dict[str, int]:
        """How often something of each kind was replaced so far."""
        return dict(self._pseudonyms.counts)


def _stated(rows: Iterable[LedgerRow]) -> Iterable[tuple[str, str, str]]:
    """The names in rows, with kinds, and with what stays before their tokens: of a pod, its component."""
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
    """A path and all folders above it, and whether each is a folder."""
    parts = path.split("/")
    return {"/".join(parts[: number + 1]): number < len(parts) - 1 for number in range(len(parts))}


def _free(path: str, taken: Mapping[str, bool]) -> str:
    """The path, or one like it where that is taken: as something is really called like a token.

    taken: paths, and whether each is a folder.
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
    """Tell whether the path is taken. Two files may share a folder, but not a name."""
    return path in taken and not (is_folder and taken[path])
