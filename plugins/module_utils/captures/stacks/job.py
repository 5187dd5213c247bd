# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One goroutine dump of one instance: how far it has come, and how it is recorded when it does not end."""

from __future__ import annotations

import datetime
from typing import Any

from ...capture_names import STACK, VERSION
from ...fanout import Barrier
from ...model import Instance, utc_text
from ...reasons import Reason, Verdict, verdict
from ..engine.job import LEFT_BEHIND, Job


class StackJob(Job):
    """One dump, and the version for the first replica of an image.

    barrier: shared with the other instances that are signalled at the same moment. sent: when the signal was sent.
    seen: facts that may explain a missing dump. is_answered: at least the header of the dump came.
    """

    def __init__(self, instance: Instance, sequence: int, previous: StackJob | None = None) -> None:
        super().__init__(instance, [STACK], sequence)
        self.previous = previous
        self.barrier = Barrier(1, 0.0)
        self.sent: datetime.datetime | None = None
        self.seen = ""
        self.is_answered = False

    @property
    def is_free(self) -> bool:
        """Return whether no earlier dump of the instance is awaited."""
        return self.previous is None or self.previous.ended.is_set()

    def sequence_of(self, capture: str) -> int:
        return self.sequence if capture == STACK else 1

    def abandon(self) -> None:
        with self.lock:
            if self.has_row(STACK):
                outcome = verdict(Reason.NO_VERSION, LEFT_BEHIND)
            elif not self.is_free:
                outcome = verdict(Reason.DUMP_AWAITED)
            elif self.sent is not None:
                outcome = verdict(Reason.NO_DUMP, "; ".join(filter(None, (LEFT_BEHIND, self.seen))))
            else:
                outcome = verdict(Reason.TIMEOUT, LEFT_BEHIND)
            self.close(outcome)

    def unfinished(self, capture: str, outcome: Verdict) -> tuple[Verdict, dict[str, Any]]:
        if capture == VERSION:
            return outcome, {"image_id": self.instance.image_id}
        return outcome, {"signal_sent": utc_text(self.sent)} if self.sent else {}
