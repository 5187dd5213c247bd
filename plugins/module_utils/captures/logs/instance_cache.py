# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which instances there are now, while they are watched: one list for all who ask, however many they are."""

from __future__ import annotations

import threading

from ...catalog import Selection
from ...deadline import Deadline, DeadlineExceeded
from ...model import Instance, InstanceKey
from ...reasons import CaptureError, Reason, Verdict
from ...transports.base import Discovery, Transport
from ..engine.discovery import discover

# New instances are found by a list every so many seconds. Who asks in between does not bring about more than one a
# second: when an API server comes back, hundreds ask at once.
LIST_SECONDS = 10.0
SHORTEST_SECONDS = 1.0


class Roster:
    """turn() makes a list; look() waits for one that begins after it was asked for. Safe for several threads."""

    def __init__(self, transport: Transport, selection: Selection, found: Discovery) -> None:
        self._transport = transport
        self._selection = selection
        self._condition = threading.Condition()
        self._found = found
        self._begun = self._ended = 0
        self._wanted = 0
        self.closed = False

    @property
    def instances(self) -> list[Instance]:
        """As they were seen last."""
        with self._condition:
            return list(self._found.instances)

    @property
    def problems(self) -> list[tuple[str, Verdict]]:
        """What could not be looked at then."""
        with self._condition:
            return list(self._found.problems)

    def look(self, key: InstanceKey, deadline: Deadline) -> Instance | None:
        """The instance as it is now, None when it is gone. CaptureError when that cannot be seen; DeadlineExceeded."""
        with self._condition:
            wanted = self._begun + 1
            self._wanted = max(self._wanted, wanted)
            self._condition.notify_all()
            while self._ended < wanted and not self.closed:
                deadline.check()
                self._condition.wait(deadline.remaining())
            found = self._found
        instance = next((one for one in found.instances if one.key == key), None)
        if instance is None and (found.problems or self.closed):
            problem = found.problems[0][1] if found.problems else None
            raise CaptureError(problem.reason if problem else Reason.RUN_DEADLINE, problem.message if problem else "")
        return instance

    def turn(self, deadline: Deadline) -> list[Instance]:
        """Wait until it is time, or somebody asks; then list. The instances, those of before where it fails."""
        with self._condition:
            self._condition.wait_for(lambda: self.closed, min(SHORTEST_SECONDS, deadline.remaining()))
            left = Deadline(LIST_SECONDS - SHORTEST_SECONDS, "list", parent=deadline)
            self._condition.wait_for(lambda: self.closed or self._wanted > self._begun, left.remaining())
            if self.closed or deadline.expired:
                return []
            self._begun += 1
        try:
            found = discover(self._transport, self._selection, deadline)
        except CaptureError as error:
            found = Discovery(problems=[("", error.verdict)])
        except DeadlineExceeded:
            return []
        with self._condition:
            self._found = found
            self._ended = self._begun
            self._condition.notify_all()
        return found.instances

    def close(self) -> None:
        """Nobody lists any more: let all who wait go."""
        with self._condition:
            self.closed = True
            self._condition.notify_all()
