# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run within a run: captures that leave their artifacts and rows in the store of the run that started them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Iterable, Iterator, Sequence

from ..model import Artifact, LedgerRow
from .store import Spool, Store


class SharedStore(Store):
    """A store in the store of another run. number: of the run within it, from 1 on.

    Rows are recorded in the other one at once; final is what they come to in the end. Their sequence and the places of
    their artifacts are moved, so that a later run within does not overwrite an earlier one.
    """

    def __init__(self, store: Store, number: int, step: int = 1) -> None:
        super().__init__(store.root)
        self._outer = store
        self._number = number
        self._step = step
        self.recorded: list[LedgerRow] = []
        self.final: list[LedgerRow] | None = None

    def keep(self, folders: Sequence[str], name: str, data: bytes) -> Artifact:
        return self._outer.keep(self._folders(folders), name, data)

    @contextlib.contextmanager
    def spool(self, folders: Sequence[str], name: str) -> Iterator[Spool]:
        with self._outer.spool(self._folders(folders), name) as spool:
            yield spool

    def record(self, rows: Iterable[LedgerRow]) -> None:
        rows = list(rows)
        moved = self._moved(rows)
        with self._lock:
            self._check_open()
            self.rows += rows
            self.recorded += moved
        self._outer.record(moved)

    def finish(self, rows: Sequence[LedgerRow]) -> None:
        with self._lock:
            self._closed = True
            self.final = self._moved(rows)

    def _moved(self, rows: Sequence[LedgerRow]) -> list[LedgerRow]:
        offset = (self._number - 1) * self._step
        return [replace(entry, sequence=entry.sequence + offset) for entry in rows]

    def _folders(self, folders: Sequence[str]) -> list[str]:
        return [*folders, f"hit-{self._number}"]


def settled(rows: Sequence[LedgerRow], within: Sequence[SharedStore]) -> list[LedgerRow]:
    """The rows of a run, in which those of the runs within it are in their final form."""
    replaced = {id(entry) for store in within if store.final is not None for entry in store.recorded}
    return [entry for entry in rows if id(entry) not in replaced] + [
        entry for store in within for entry in store.final or ()
    ]
