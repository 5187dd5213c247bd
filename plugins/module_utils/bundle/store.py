# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a bundle: private (0700/0600 whatever the umask), complete or absent.

No I/O but the file system. Names come from clusters and are untrusted; they are made safe here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import re
import threading
from typing import Any, Callable, Iterable, Iterator, Sequence

from ..model import Artifact, LedgerRow
from ..reasons import Reason, verdict
from ..redact.redactor import RedactionError, Redactor
from .folder_checks import ownership_problem
from .interrupted_rows import interruption_row, mark_interrupted

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
LEDGER = "ledger.jsonl"

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def safe_name(text: str) -> str:
    """Return one path component of harmless characters; never empty, hidden, "." or ".."."""
    name = _UNSAFE.sub("_", text)[:200]
    return "_" + name[1:] if name.startswith(".") else name or "_"


def archive_of(folder: str) -> str:
    """Return the path of the archive beside a folder."""
    return folder.rstrip("/") + ".tar.gz"


def make_directory(path: str) -> None:
    """Create a private directory and its missing parents. PermissionError: other users could replace it."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    problem = ownership_problem(path or ".")
    if problem:
        raise PermissionError(problem)
    for directory in reversed(missing):
        try:
            os.mkdir(directory, DIRECTORY_MODE)
        except FileExistsError:
            continue
        os.chmod(directory, DIRECTORY_MODE)


def write_file(path: str, data: bytes) -> None:
    """Write a private file atomically: under a temporary name, then renamed."""
    temporary = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), FILE_MODE)
            stream.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class Spool:
    """Private file that is written piece by piece under a temporary name, and removed unless it is kept.

    size: bytes so far. keep: function that stores the content under its name. Not thread-safe.
    """

    def __init__(self, path: str, keep: Callable[[bytes], Artifact]) -> None:
        self._keep = keep
        self._temporary = f"{path}.{os.getpid()}-{threading.get_ident()}.spool"
        self.size = 0
        descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE)
        self._stream = os.fdopen(descriptor, "w+b")
        os.fchmod(descriptor, FILE_MODE)

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self.size += len(data)

    def content(self) -> bytes:
        """Return the bytes written so far."""
        self._stream.flush()
        self._stream.seek(0)
        return self._stream.read()

    def keep(self) -> Artifact:
        """Store the content under its name. content() stays unredacted."""
        return self._keep(self.content())

    def close(self) -> None:
        """Remove the temporary file. May be called more than once."""
        self._stream.close()
        self.remove()

    def remove(self) -> None:
        """Unlink the temporary file from another thread. A concurrent writer continues into the unlinked file."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)


def json_bytes(document: Any, indent: int | None = None) -> bytes:
    """Return deterministic JSON.

    With an indent it is more readable, but Python's slow encoder makes it: for small documents only.
    """
    return (json.dumps(document, indent=indent, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def ledger_bytes(rows: Iterable[LedgerRow]) -> bytes:
    """Return one line of JSON for each row."""
    lines = [json.dumps(entry.as_dict(), sort_keys=True, ensure_ascii=False) + "\n" for entry in rows]
    return "".join(lines).encode("utf-8", "replace")


def redacted_rows(rows: Iterable[LedgerRow], redactor: Redactor, failed: dict[str, str]) -> list[LedgerRow]:
    """Redact the rows.

    failed: path of an artifact that could not be redacted -> reason.
    """
    there = [without_artifact(entry, failed[entry.path]) if entry.path in failed else entry for entry in rows]
    # Redact all rows at once: one by one, the rows of a fleet would take minutes.
    data = ledger_bytes(there)
    made = redactor.data(data, LEDGER)
    if made is data:
        return there
    lines = zip(data.split(b"\n"), made.split(b"\n"))
    return [
        dataclasses.replace(entry, message=redactor.text(entry.message), details=redactor.value(entry.details))
        if old != new
        else entry
        for entry, (old, new) in zip(there, lines)
    ]


def without_artifact(entry: LedgerRow, why: str) -> LedgerRow:
    """Return the row of a capture whose artifact had to be left out."""
    outcome = verdict(Reason.NOT_REDACTED, why)
    return dataclasses.replace(
        entry,
        status=outcome.status.value,
        reason=outcome.reason.value,
        message=outcome.message,
        path="",
        bytes=0,
        sha256="",
    )


class Store:
    """Artifacts and ledger rows of one module call. Thread-safe.

    Everything is redacted before it is written. An artifact that cannot be redacted is not written, and its row says
    so.
    """

    def __init__(self, root: str, redactor: Redactor | None = None) -> None:
        self.root = root
        self.redactor = redactor or Redactor()
        self._unredacted: dict[str, str] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._spools: set[Spool] = set()
        self._interrupted: tuple[str, datetime.datetime] | None = None
        self.rows: list[LedgerRow] = []
        make_directory(root)

    def keep(self, folders: Sequence[str], name: str, data: bytes) -> Artifact:
        """Write one artifact. Its path is relative to the root, with "/"."""
        return self._write(self._place(folders, name), data)

    def _write(self, parts: Sequence[str], data: bytes) -> Artifact:
        path = "/".join(parts)
        try:
            data = self.redactor.data(data, path)
        except RedactionError as error:
            with self._lock:
                self._unredacted[path] = str(error)
            return Artifact(path, 0, "")
        self._check_open()
        write_file(os.path.join(self.root, *parts), data)
        return Artifact(path, len(data), hashlib.sha256(data).hexdigest())

    @contextlib.contextmanager
    def spool(self, folders: Sequence[str], name: str) -> Iterator[Spool]:
        """Provide an artifact that arrives in pieces and is not held in memory. It is removed unless it is kept."""
        parts = self._place(folders, name)
        made = Spool(os.path.join(self.root, *parts), lambda data: self._write(parts, data))
        with self._lock:
            self._spools.add(made)
        try:
            yield made
        finally:
            made.close()
            with self._lock:
                self._spools.discard(made)

    def _place(self, folders: Sequence[str], name: str) -> list[str]:
        """Return the safe components of a path, and create its folder."""
        parts = [safe_name(folder) for folder in folders] + [safe_name(name)]
        with self._lock:
            self._check_open()
            make_directory(os.path.join(self.root, *parts[:-1]))
        return parts

    def record(self, rows: Iterable[LedgerRow]) -> None:
        """Append rows to the ledger on disk at once, so that they survive any later failure."""
        rows = list(rows)
        with self._lock:
            self._check_open()
            self.rows += rows
            descriptor = os.open(self._ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
            with os.fdopen(descriptor, "ab") as stream:
                os.fchmod(stream.fileno(), FILE_MODE)
                stream.write(ledger_bytes(self._shown(rows)))

    def _shown(self, rows: Iterable[LedgerRow]) -> list[LedgerRow]:
        if self._interrupted is not None:
            moment = self._interrupted[1]
            rows = [mark_interrupted(entry, moment) for entry in rows]
        return redacted_rows(rows, self.redactor, self._unredacted)

    def interrupt(self, cause: str, moment: datetime.datetime) -> None:
        """Record the interruption of the run, so that the ledger marks it and all captures that had not ended."""
        self._interrupted = cause, moment

    @property
    def is_empty(self) -> bool:
        """Return whether the store has no row and no file."""
        return not self.rows and not any(names for _folder, _folders, names in os.walk(self.root))

    def finish(self, rows: Sequence[LedgerRow]) -> None:
        """Replace the ledger by its final form and close the store.

        Later writes are refused: an abandoned thread must not change what was counted.
        """
        if self._interrupted is not None:
            rows = [*rows, interruption_row(rows[0].cluster if rows else "", *self._interrupted)]
        with self._lock:
            self._closed = True
            for spool in self._spools:
                spool.remove()
            write_file(self._ledger, ledger_bytes(self._shown(rows)))

    @property
    def _ledger(self) -> str:
        return os.path.join(self.root, LEDGER)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the store is closed")
