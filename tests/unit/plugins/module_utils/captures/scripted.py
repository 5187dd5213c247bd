# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs whose events a test writes, as the transports follow them."""

from __future__ import annotations

import queue
import time

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import Discovery
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Lines, LogFollower, Opened
from fake_transport import FakeTransport

BUSY = "WorkerManager {pool} has been busy for {cycles} cycles..."
WAITS = "{pool}: BUSY activeWork 8 detachedWork 0 max 8 queue: 11"
FULL = "{pool}: queue full, task dropped"


class Script(LogFollower):
    """A log whose events a test writes. It ends when it is stopped."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(deadline)
        self.written: queue.Queue = queue.Queue()
        self.written.put(Opened(time.time()))

    def events(self):
        while (event := self.written.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def _cut_off(self) -> None:
        self.written.put(None)

    def say(self, *messages: str, ago: float = 0) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime(time.time() - ago))
        head = "[warning 2026-11-23 00:22:28 appsrv.(*SWorkerManager).run(workers.go:332)]"
        text = "".join(f"{stamp} {head}{message}\n" for message in messages)
        self.written.put(Lines(text.encode()))


class Cloud(FakeTransport):
    """follows: the scripts, by instance; asked: (instance, seconds to look back) for each time one was followed."""

    def __init__(self) -> None:
        super().__init__()
        self.follows: dict[str, Script] = {}
        self.back: list[tuple[str, int]] = []
        self.problems: list = []
        self.refuses: dict[str, CaptureError] = {}

    def discover(self, selection, deadline):
        return Discovery(super().discover(selection, deadline).instances, list(self.problems))

    def follow_log(self, instance, seconds, look, deadline):
        self.back.append((instance.name, seconds))
        if instance.name in self.refuses:
            raise self.refuses[instance.name]
        script = self.follows[instance.name] = Script(deadline)
        script.look = lambda: look(deadline)
        return script
