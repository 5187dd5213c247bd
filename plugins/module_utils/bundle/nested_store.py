# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run captures inside another run, and record their artifacts and rows in the store of that run."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Iterable, Iterator, Sequence

from ..model import Artifact, LedgerRow
from .store import Spool, Store


class NestedStore(Store):
    """A store inside the store of another run. number: of the nested run, from 1 on.

    Rows are recorded in the outer store at once; final holds their final form. Sequence numbers and paths of artifacts
    are moved, so that a later nested run does not overwrite an earlier one.
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


def final_rows(rows: Sequence[LedgerRow], nested: Sequence[NestedStore]) -> list[LedgerRow]:
    """Return the rows of a run, with those of its nested runs in their final form."""
    replaced = {id(entry) for store in nested if store.final is not None for entry in store.recorded}
    return [entry for entry in rows if id(entry) not in replaced] + [
        entry for store in nested for entry in store.final or ()
    ]
