# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that a part contains data of its own cluster only.

Otherwise one hostile machine could forge data of the whole fleet: hide captures of another cluster behind files of the
same name, or add documents to those that an audit evaluates.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
import zlib
from typing import Any, Iterable

from ..model import LedgerRow
from ..regular_file import read_at_most
from .manifest import archive_files
from .merge import LIMITS, MergeLimits, read_ledger
from .store import LEDGER, safe_name

# Documents whose own statements an audit evaluates (health/audit.py): name -> keys that lead to the cluster.
_JUDGED = {"status.json": ("instance", "cluster"), "cluster.json": ("cluster",)}
_MOST_DOCUMENT = 64 << 20
# Number of a further part of one access point: the second is NAME-2 (plugins/action/bundle_capture.py).
_NUMBER = re.compile(r"-[0-9]+\Z")


def part_name(part: str) -> str:
    """Return the name of a part, packed or not, from its path."""
    name = part.rstrip("/").rpartition("/")[2]
    return name[: -len(".tar.gz")] if name.endswith(".tar.gz") else name


def access_point_of(part: str) -> str:
    """Return the access point of a part, from its name."""
    return _NUMBER.sub("", part_name(part))


def check_origin(part: str, cluster: str, limits: MergeLimits = LIMITS) -> None:
    """Raise ValueError unless all files, rows and audited documents of a packed part belong to this cluster."""
    room, files = limits.bytes, limits.files
    try:
        for path, stream in archive_files(part):
            # Reaching the next file decompresses this one, whether it is read here or not.
            room, files = room - stream.seek(0, os.SEEK_END), files - 1
            stream.seek(0)
            if room < 0 or files < 0:
                raise ValueError(f"the part of {cluster} is larger than the limits of a part")
            if path == LEDGER:
                _check_rows(read_ledger(read_at_most(stream, limits.ledger, "the ledger of a part")), cluster)
                continue
            if path.partition("/")[0] != safe_name(cluster) or "/" not in path:
                raise ValueError(f"the part of {cluster} holds a file of another cluster: {path!r}")
            keys = _JUDGED.get(path.rpartition("/")[2])
            if keys:
                data = read_at_most(stream, _MOST_DOCUMENT, f"{path!r} in a part")
                _check_document(data, keys, cluster, path)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"the part of {cluster} cannot be read: {error}") from error


def _check_rows(rows: Iterable[LedgerRow], cluster: str) -> None:
    for entry in rows:
        if entry.cluster != cluster:
            raise ValueError(f"the part of {cluster} holds a row of another cluster: {entry.cluster!r}")


def _check_document(data: bytes, keys: tuple[str, ...], cluster: str, path: str) -> None:
    """Raise ValueError if a document names another cluster.

    An unreadable document is accepted: the audit reports it.
    """
    try:
        named: Any = json.loads(data)
    except (ValueError, RecursionError):
        return
    for key in keys:
        named = named.get(key) if isinstance(named, dict) else None
    if named is not None and named != cluster:
        raise ValueError(f"the part of {cluster} holds a document of another cluster: {path!r}")


def conflicting_rows(parts: Iterable[tuple[str, list[LedgerRow]]]) -> dict[tuple[str, str], list[LedgerRow]]:
    """Return the rows that two access points have for the same capture of the same instance.

    parts: path and rows of each part. The result maps both access points to the rows of the later one.
    """
    first: dict[tuple[Any, ...], str] = {}
    found: dict[tuple[str, str], list[LedgerRow]] = {}
    for part, rows in parts:
        name = access_point_of(part)
        for entry in rows:
            key = (entry.cluster, entry.namespace, entry.component, entry.instance, entry.container, entry.capture,
                   entry.sequence)  # fmt: skip
            other = first.setdefault(key, name)
            if other != name and entry.instance:
                found.setdefault((other, name), []).append(entry)
    return found
