# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find profiles in files, folders and archives, with their ledger rows, and the base profiles to compare with."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field
from typing import Iterator, Sequence

from ..bundle.merge import read_ledger
from ..bundle.store import LEDGER
from ..inputs.inputs import INSIDE, NOTHING_IN_ARCHIVE, NOTHING_IN_FOLDER, Input, open_inputs
from ..model import LedgerRow
from .unpack import Unpacked, read_content

MOST_LEDGER = 256 << 20


@dataclass(frozen=True)
class FoundProfile:
    """A profile, or the reason why it cannot be read.

    name: its path, in an archive ARCHIVE!PATH. inner_path: its path within what the user named, "" for that itself.
    ledger_path: its path below its ledger. output: path of its reports, relative to the output folder. row: its ledger
    row, if any.
    """

    name: str
    inner_path: str
    ledger_path: str
    output: str
    row: LedgerRow | None
    unpacked: Unpacked
    problem: str = ""


def profiles_in(path: str, patterns: Sequence[str], max_bytes: int, shown: str = "") -> Iterator[FoundProfile]:
    """Yield every profile of a file, folder or archive. Raises ValueError for a damaged ledger.

    patterns: of their names. max_bytes: limit for each, unpacked. shown: the archive that is unpacked in the folder
    `path`.
    """
    ledgers, is_folder = _Ledgers(path, patterns), os.path.isdir(path)
    for found in open_inputs([path], patterns, follow_links=False):
        if found.problem in (NOTHING_IN_FOLDER, NOTHING_IN_ARCHIVE) and ledgers.are_there:
            continue
        row, ledger_path = ledgers.find(found.inner_path)
        name = shown + found.inner_path if shown else found.name
        # Leave out the top folder of a bundle's archive.
        output = ledger_path if ledgers.is_one and not is_folder else found.inner_path
        unpacked = Unpacked(b"") if found.problem else _read(found, max_bytes)
        yield FoundProfile(name, found.inner_path, ledger_path, output, row, unpacked, found.problem)


def _read(found: Input, max_bytes: int) -> Unpacked:
    return read_content(found.open(), max_bytes, bool(found.compressions))


class _Ledgers:
    """The ledger rows of what a user named. A ledger within the folder of another ledger does not count."""

    def __init__(self, path: str, patterns: Sequence[str]) -> None:
        rows: dict[str, dict[str, LedgerRow]] = {}
        for found in open_inputs([path], [LEDGER, *patterns], follow_links=False):
            if found.problem or found.inner_path.replace(INSIDE, "/").rpartition("/")[2] != LEDGER:
                continue
            prefix = found.inner_path[: -len(LEDGER)]
            rows[prefix] = {row.path: row for row in read_ledger(found.open().read(MOST_LEDGER)) if row.path}
        self._rows = {
            prefix: rows[prefix]
            for prefix in rows
            if not any(prefix.startswith(other) for other in rows if other != prefix)
        }

    @property
    def are_there(self) -> bool:
        return bool(self._rows)

    @property
    def is_one(self) -> bool:
        return len(self._rows) == 1

    def find(self, inner_path: str) -> tuple[LedgerRow | None, str]:
        """Return the row of a profile and its path below the ledger; without a row, None and its inner path."""
        for prefix, rows in self._rows.items():
            if inner_path.startswith(prefix):
                ledger_path = inner_path[len(prefix) :]
                return rows.get(ledger_path), ledger_path
        return None, inner_path


@dataclass(frozen=True)
class _PackedProfile:
    """A profile kept for comparison, compressed to a tenth of the memory."""

    packed: bytes
    rest: Unpacked

    def unpacked(self) -> Unpacked:
        return self.rest._replace(content=zlib.decompress(self.packed))


@dataclass
class BaseProfiles:
    """The profiles to compare with: one for all, or by their paths in a folder or archive."""

    _only: _PackedProfile | None = None
    _by_path: dict[str, _PackedProfile] = field(default_factory=dict)
    _by_component: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str, patterns: Sequence[str], max_bytes: int) -> BaseProfiles:
        """Read all of them. Raises ValueError if anything cannot be read.

        path: "" for none.
        """
        base = cls()
        for found in profiles_in(path, patterns, max_bytes) if path else ():
            if found.problem:
                raise ValueError(found.problem if found.name == path else f"{found.name}: {found.problem}")
            kept = _PackedProfile(zlib.compress(found.unpacked.content, 1), found.unpacked._replace(content=b""))
            if not found.inner_path:
                base._only = kept
            base._by_path[found.ledger_path] = kept
        for name in base._by_path:
            base._by_component.setdefault(_component_and_file(name), []).append(name)
        return base

    def find(self, path: str) -> Unpacked | None:
        """Return the profile of the same instance; else that of the only instance of the component."""
        others = self._by_component.get(_component_and_file(path), [])
        only = self._by_path[others[0]] if len(others) == 1 else None
        kept = self._only or self._by_path.get(path) or only
        return kept.unpacked() if kept else None


def _component_and_file(path: str) -> tuple[str, str]:
    """Return cluster and component, and the file name, of [...]<cluster>/<component>/<instance>/<file>."""
    parts = path.replace(INSIDE, "/").split("/")
    return "/".join(parts[-4:-2]), parts[-1]
