# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cache the instance list for all followers; one list call serves them all."""

from __future__ import annotations

import threading
import time

from ...capture_options import FollowLimits
from ...catalog import Selection
from ...deadline import Deadline, DeadlineExceeded
from ...model import Instance, InstanceKey
from ...reasons import CaptureError, Reason, Verdict
from ...transports.base import Discovery, Transport
from ..engine.discovery import discover


class InstanceCache:
    """The newest list, and what older ones saw where it could not look. For several threads.

    refresh() makes a list; get() waits for one that begins after the call.
    """

    def __init__(self, transport: Transport, selection: Selection, found: Discovery, limits: FollowLimits) -> None:
        self._transport = transport
        self._selection = selection
        self._limits = limits
        self._condition = threading.Condition()
        self._found = found
        # When each instance was seen last, in seconds of time.monotonic().
        self._seen: dict[InstanceKey, tuple[float, Instance]] = {}
        self._note(found)
        self._begun = self._ended = 0
        self._wanted = 0
        self.closed = False

    @property
    def instances(self) -> list[Instance]:
        """Return the instances of the newest list, and those seen earlier if it is not complete."""
        with self._condition:
            return [instance for _moment, instance in self._seen.values()]

    def seen_within(self, seconds: float) -> dict[InstanceKey, Instance]:
        """Return those of `instances` that a list showed in these last seconds."""
        begin = time.monotonic() - seconds
        with self._condition:
            return {key: instance for key, (moment, instance) in self._seen.items() if moment >= begin}

    @property
    def problems(self) -> list[tuple[str, Verdict]]:
        """Return what could not be looked at in the newest list."""
        with self._condition:
            return list(self._found.problems)

    def get(self, key: InstanceKey, deadline: Deadline) -> Instance | None:
        """Return the instance as it is now; None if it is gone.

        CaptureError if that cannot be seen; DeadlineExceeded.
        """
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

    def refresh(self, deadline: Deadline) -> list[Instance]:
        """Wait for the interval, or until a thread asks, and list; return the instances of this list."""
        limits = self._limits
        with self._condition:
            shortest = min(limits.shortest_listing, deadline.remaining())
            self._condition.wait_for(lambda: self.closed, shortest)
            left = Deadline(limits.listing - limits.shortest_listing, "list", parent=deadline)
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
            self._note(found)
            self._ended = self._begun
            self._condition.notify_all()
        return found.instances

    def _note(self, found: Discovery) -> None:
        """Note when instances were seen. Only a complete list tells that one is gone."""
        moment = time.monotonic()
        if not found.problems:
            self._seen.clear()
        self._seen.update({instance.key: (moment, instance) for instance in found.instances})

    def close(self) -> None:
        """Let all waiting threads go; nothing is listed from now on."""
        with self._condition:
            self.closed = True
            self._condition.notify_all()
