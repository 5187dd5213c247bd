# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a bundle: private (0700/0600 whatever the umask), whole or not there at all.

Pure but for the file system. Names come from clusters, so they are hostile: they are made safe here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
from typing import Any, Callable, Iterable, Iterator, Sequence

from ..model import Artifact, LedgerRow

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
LEDGER = "ledger.jsonl"

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def safe_name(text: str) -> str:
    """One path component made of harmless characters; never empty, hidden, "." or ".."."""
    name = _UNSAFE.sub("_", text)[:200]
    return "_" + name[1:] if name.startswith(".") else name or "_"


def archive_of(folder: str) -> str:
    """Return the path of the archive that belongs beside a folder."""
    return folder.rstrip("/") + ".tar.gz"


def make_directory(path: str) -> None:
    """The directory and its missing parents, private to the user."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        try:
            os.mkdir(directory, DIRECTORY_MODE)
        except FileExistsError:
            continue
        os.chmod(directory, DIRECTORY_MODE)


def write_file(path: str, data: bytes) -> None:
    """Write a private file under a temporary name, then rename it: a reader sees all of it or nothing."""
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
    """A private file that is written piece by piece under a temporary name. It is there when it is kept, or never.

    size: bytes so far. Not for several threads at a time.
    """

    def __init__(self, path: str, name: str, check: Callable[[], None]) -> None:
        self._path = path
        self._name = name
        self._check = check
        self._temporary = f"{path}.{os.getpid()}-{threading.get_ident()}.spool"
        self._hash = hashlib.sha256()
        self.size = 0
        descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE)
        self._stream = os.fdopen(descriptor, "w+b")
        os.fchmod(descriptor, FILE_MODE)

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._hash.update(data)
        self.size += len(data)

    def content(self) -> bytes:
        """What was written so far."""
        self._stream.flush()
        self._stream.seek(0)
        return self._stream.read()

    def keep(self) -> Artifact:
        """Give it its name."""
        self._stream.flush()
        self._check()
        os.replace(self._temporary, self._path)
        return Artifact(self._name, self.size, self._hash.hexdigest())

    def close(self) -> None:
        """Remove what was not kept. May be called more than once."""
        self._stream.close()
        self.remove()

    def remove(self) -> None:
        """The same from another thread, while this one may still write: into nothing, from now on."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)


def json_bytes(document: Any, indent: int | None = None) -> bytes:
    """Stable JSON. With an indent it reads better, and is made by Python's slow encoder: for small documents only."""
    return (json.dumps(document, indent=indent, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def ledger_bytes(rows: Iterable[LedgerRow]) -> bytes:
    """One line of JSON a row."""
    lines = [json.dumps(entry.as_dict(), sort_keys=True, ensure_ascii=False) + "\n" for entry in rows]
    return "".join(lines).encode("utf-8", "replace")


class Store:
    """Where one module call leaves its artifacts and ledger rows. Safe to use from several threads."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._closed = False
        self._spools: set[Spool] = set()
        self.rows: list[LedgerRow] = []
        make_directory(root)

    def keep(self, folders: Sequence[str], name: str, data: bytes) -> Artifact:
        """Write one artifact below the root; its path is relative to the root, with "/"."""
        parts = self._place(folders, name)
        write_file(os.path.join(self.root, *parts), data)
        return Artifact("/".join(parts), len(data), hashlib.sha256(data).hexdigest())

    @contextlib.contextmanager
    def spool(self, folders: Sequence[str], name: str) -> Iterator[Spool]:
        """One artifact that comes piece by piece, which is not held in memory; removed unless it is kept."""
        parts = self._place(folders, name)
        made = Spool(os.path.join(self.root, *parts), "/".join(parts), self._check_open)
        with self._lock:
            self._spools.add(made)
        try:
            yield made
        finally:
            made.close()
            with self._lock:
                self._spools.discard(made)

    def _place(self, folders: Sequence[str], name: str) -> list[str]:
        """The safe parts of a path, whose folder is there."""
        parts = [safe_name(folder) for folder in folders] + [safe_name(name)]
        with self._lock:
            self._check_open()
            make_directory(os.path.join(self.root, *parts[:-1]))
        return parts

    def record(self, rows: Iterable[LedgerRow]) -> None:
        """Append rows to the ledger, on disk at once: what was seen survives whatever happens next."""
        with self._lock:
            self._check_open()
            rows = list(rows)
            self.rows += rows
            descriptor = os.open(self._ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
            with os.fdopen(descriptor, "ab") as stream:
                os.fchmod(stream.fileno(), FILE_MODE)
                stream.write(ledger_bytes(rows))

    def finish(self, rows: Sequence[LedgerRow]) -> None:
        """Replace the ledger by its final form. From now on nothing is written: an abandoned thread must not change
        what was counted."""
        with self._lock:
            self._closed = True
            for spool in self._spools:
                spool.remove()
            write_file(self._ledger, ledger_bytes(rows))

    @property
    def _ledger(self) -> str:
        return os.path.join(self.root, LEDGER)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the store is closed")
