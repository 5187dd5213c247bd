# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One unit of work on one instance, with exactly one ledger row for each capture that is owed."""

from __future__ import annotations

import threading
from typing import Any, ContextManager, Iterable

from ...bundle.store import Store
from ...deadline import Deadline
from ...fanout import CapacityLimiter
from ...model import Instance, LedgerRow, row, utc_now, utc_text
from ...reasons import Reason, Verdict, verdict

LEFT_BEHIND = "it did not end when told to, and was left behind"


class Job:
    """Captures that one thread takes from one instance, one after the other. Safe to use from several threads.

    The engine may abandon the thread. close() then records what is known, and rows that the thread still brings are
    dropped. ended: its thread does not work on it any more.
    The engine sets store and deadline (that of the run) before the job starts.
    """

    # True: write each row at once. False: write all rows when the job is closed.
    writes_at_once = True
    store: Store
    deadline: Deadline

    def __init__(self, instance: Instance, captures: Iterable[str], sequence: int = 1) -> None:
        self.instance = instance
        self.sequence = sequence
        self.ended = threading.Event()
        self.lock = threading.RLock()
        self._owed = list(captures)
        self._rows: dict[str, LedgerRow] = {}
        self._closed = False

    def bind(self, store: Store, deadline: Deadline, nodes: CapacityLimiter) -> None:
        """Give the job the surroundings of its run."""
        self.store, self.deadline, self._nodes = store, deadline, nodes

    @property
    def owed(self) -> list[str]:
        """The captures that get a row whatever happens."""
        with self.lock:
            return list(self._owed)

    def owe(self, capture: str) -> None:
        """Add a capture that turned out to be needed."""
        with self.lock:
            self._owed.append(capture)

    def hold_node(self, deadline: Deadline) -> ContextManager[None]:
        """Wait for one of the places on the instance's node; DeadlineExceeded if none gets free in time."""
        return self._nodes.hold(self.instance.node, deadline)

    def has_row(self, capture: str) -> bool:
        """Return whether the capture has its row."""
        with self.lock:
            return capture in self._rows

    def record(self, entry: LedgerRow) -> bool:
        """Record a row. Return False, and drop it, if its capture has one or the job is closed."""
        with self.lock:
            if self._closed or entry.capture in self._rows:
                return False
            self._rows[entry.capture] = entry
            if self.writes_at_once:
                self.store.record([entry])
            return True

    def close(self, outcome: Verdict) -> None:
        """Record a row with this verdict for each owed capture that has none, and drop all later rows."""
        now = utc_text(utc_now())
        with self.lock:
            if self._closed:
                return
            missing = []
            for capture in self._owed:
                if capture not in self._rows:
                    told, details = self.unfinished(capture, outcome)
                    entry = row(self.instance, capture, told, self.sequence_of(capture), started=now, details=details)
                    self._rows[capture] = entry
                    missing.append(entry)
            self._closed = True
            rows = missing if self.writes_at_once else list(self._rows.values())
            if rows:
                self.store.record(rows)
            self.on_closed()

    def abandon(self) -> None:
        """Close the job although its thread still works on it."""
        self.close(verdict(Reason.NO_ANSWER, LEFT_BEHIND))

    def sequence_of(self, capture: str) -> int:
        """Return the sequence number in the row of a capture."""
        del capture
        return self.sequence

    def unfinished(self, capture: str, outcome: Verdict) -> tuple[Verdict, dict[str, Any]]:
        """Return verdict and details of a capture without a row. outcome: the verdict on the job."""
        del capture
        return outcome, {}

    def on_closed(self) -> None:
        """Finish what belongs to the job, with its lock held."""
        return
