# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One instance whose profiles are asked for: what is asked, and its rows, each once whatever happens."""

from __future__ import annotations

import threading
from typing import Iterable, Sequence

from ...bundle.store import Store
from ...catalog import Http
from ...model import Instance, LedgerRow, row, utc_now, utc_text
from ...pprof import CAPTURE_PREFIX, Kind
from ...reasons import Verdict
from ...transports.base import HttpTarget

# The names of addresses; beside the kinds, since it is asked for by POST.
NAMES = "names"


def captures_of(kinds: Sequence[Kind], names: bool) -> list[str]:
    """What these are called in the ledger. names: with the names of addresses."""
    return [kind.capture for kind in kinds] + ([CAPTURE_PREFIX + NAMES] if names else [])


class Subject:
    """One instance, and the kinds that are asked of it. Safe to use from several threads.

    closed: why nothing more is asked of it. touched: whether something was done to it that costs it more than an answer
    (a CPU profile, a trace, a collection of garbage).
    """

    def __init__(self, instance: Instance, http: Http, kinds: Sequence[Kind], names: bool, store: Store) -> None:
        self.instance = instance
        self.http = http
        self.snapshots = [kind for kind in kinds if not kind.timed]
        self.timed = [kind for kind in kinds if kind.timed]
        self.names = names
        self.closed: Verdict | None = None
        self.touched = False
        self.looked_at = threading.Event()
        self._store = store
        self._lock = threading.Lock()
        self._recorded: set[str] = set()

    def captures(self, timed: bool) -> list[str]:
        """What rows a turn has to leave."""
        return captures_of(self.timed, names=False) if timed else captures_of(self.snapshots, self.names)

    def target(self, path: str, body: bytes = b"") -> HttpTarget:
        """Where it is asked for this path."""
        return HttpTarget(self.http.scheme, self.http.port_among(self.instance.ports), path, body)

    def record(self, entry: LedgerRow) -> None:
        """Put a row into the ledger, unless there is one already."""
        with self._lock:
            if entry.capture not in self._recorded:
                self._recorded.add(entry.capture)
                self._store.record([entry])

    def end(self, captures: Iterable[str], outcome: Verdict) -> None:
        """Those of these captures that have no row get one with this verdict."""
        started = utc_text(utc_now())
        for capture in captures:
            self.record(row(self.instance, capture, outcome, started=started))
