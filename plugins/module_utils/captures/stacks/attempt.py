# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt on one instance: how far it has come, and its rows, each recorded once whatever happens."""

from __future__ import annotations

import datetime
import threading
from typing import Any

from ...bundle.store import Store
from ...model import Instance, LedgerRow, row, utc_now, utc_text
from ...reasons import Reason, verdict

STACK, VERSION = "stack", "version"


class Attempt:
    """One dump of one instance that is asked for.

    The thread that works on it may be given up. give_up() then says what is known, and what that thread still brings
    later is left out. sent: when the signal was sent. seen: what may explain that no dump comes. doing: the capture
    that is at work now. is_answered: some of the dump came. ended: nobody works on it any more, so that the instance
    may be signalled again.
    """

    def __init__(self, instance: Instance, sequence: int, store: Store) -> None:
        self.instance = instance
        self.sequence = sequence
        self.sent: datetime.datetime | None = None
        self.seen = ""
        self.is_answered = False
        self.ended = threading.Event()
        self.doing = STACK
        self._store = store
        self._lock = threading.Lock()
        self._given_up = False
        self._recorded: set[str] = set()

    def record(self, entry: LedgerRow) -> None:
        """Put its row into the ledger, unless it was given up before."""
        with self._lock:
            if not self._given_up:
                self._store.record([entry])
                self._recorded.add(entry.capture)

    def give_up(self, reason: Reason, detail: str = "") -> None:
        """Nobody waits for it any more: what has no row yet gets one that says so."""
        with self._lock:
            self._given_up = True
            if self.doing in self._recorded:
                return
            details: dict[str, Any] = {}
            if self.doing == VERSION:
                details["image_id"] = self.instance.image_id
                reason = Reason.NO_VERSION if reason is Reason.TIMEOUT else reason
            elif self.sent is not None:
                details["signal_sent"] = utc_text(self.sent)
                if reason is Reason.TIMEOUT:
                    reason, detail = Reason.NO_DUMP, "; ".join(filter(None, (detail, self.seen)))
            outcome = verdict(reason, detail)
            sequence = self.sequence if self.doing == STACK else 1
            started = utc_text(utc_now())
            self._store.record([row(self.instance, self.doing, outcome, sequence, started=started, details=details)])
