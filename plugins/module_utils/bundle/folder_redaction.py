# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Final search for secrets in every file of a bundle's folder, before it is sealed."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass, field
from typing import Any, Iterable

from ..model import LedgerRow
from ..redact.redactor import RedactionError, Redactor, count_markers, iter_texts
from .manifest import folder_files
from .store import redacted_rows, write_file


@dataclass
class RedactionResult:
    """Result of the search.

    replaced: markers in the files, by rule. changed: path -> size and SHA-256. failed: path -> reason, for files that
    were removed.
    """

    replaced: dict[str, int] = field(default_factory=dict)
    changed: dict[str, tuple[int, str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def count(self, data: bytes) -> None:
        """Add the markers in the content of a file."""
        for piece in iter_texts(data):
            for rule, count in count_markers(piece).items():
                self.replaced[rule] = self.replaced.get(rule, 0) + count

    def change(self, path: str, data: bytes) -> None:
        """Record the new content of a file."""
        self.changed[path] = (len(data), hashlib.sha256(data).hexdigest())

    def rows(self, rows: Iterable[LedgerRow], redactor: Redactor) -> list[LedgerRow]:
        """Return the rows for the current files."""
        return [self._measured(entry) for entry in redacted_rows(rows, redactor, self.failed)]

    def _measured(self, entry: LedgerRow) -> LedgerRow:
        if entry.path not in self.changed:
            return entry
        size, digest = self.changed[entry.path]
        return dataclasses.replace(entry, bytes=size, sha256=digest)

    def about(self, level: str) -> dict[str, Any]:
        """Return the part `redaction` of the manifest."""
        return {"level": level, "replaced": dict(sorted(self.replaced.items()))}


def redact_folder(folder: str, redactor: Redactor) -> RedactionResult:
    """Redact the secrets in each file. Remove a file that cannot be searched."""
    redaction = RedactionResult()
    # List first, because files are replaced in the loop.
    for path in [path for path, _stream in folder_files(folder)]:
        full = os.path.join(folder, *path.split("/"))
        with open(full, "rb") as source:
            data = source.read()
        try:
            made = redactor.data(data, path)
            redaction.count(made)
        except RedactionError as error:
            redaction.failed[path] = str(error)
            os.unlink(full)
            continue
        if made != data:
            write_file(full, made)
            redaction.change(path, made)
    return redaction
