# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches of services in memory, on a thread."""

from __future__ import annotations

import datetime
import threading
from pathlib import Path

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import (
    FollowLimits,
    LogWatchOptions,
    TriggerOptions,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.discovery import discover
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.logs.log_watch import (
    LogWatch,
    LogWatchReport,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress
from fake_transport import FakeTransport, Service

from patience import patience, wait_until

LIMITS = FollowLimits(listing=0.05, shortest_listing=0.01)


STACKS = TriggerOptions(("capture_stacks",), timeout=patience())


def said(message: str, ago: float = 0.0) -> bytes:
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=ago)
    return f"[error {moment:%Y-%m-%d %H:%M:%S} appsrv.(*W).Run(workers.go:266)]{message}\n".encode()


def lost(pool: str = "P", ago: float = 0.0) -> bytes:
    return said(f"{pool}: queue full, task dropped", ago)


class Watch:
    """A watch on a thread."""

    def __init__(self, transport: FakeTransport, folder: Path, scenario: str = "", **options) -> None:
        options = {"since": 0, "duration": 10.0, "until": "duration", "limits": LIMITS, **options}
        named = {"scenario": scenario} if scenario else {"components": ["region", "keystone"]}
        selection, deadline = select(**named), Deadline(patience())
        self.store = Store(str(folder / "part"))
        self.progress = Progress()
        found = discover(transport, selection, deadline)
        self.watch = LogWatch(
            transport, found, selection, self.store, LogWatchOptions(**options), deadline, self.progress
        )
        self.report = LogWatchReport()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.report = self.watch.run()

    def until_followed(self, *services: Service) -> None:
        """Wait until the logs of these are open."""
        names = {service.instance.name for service in services}

        def followed() -> bool:
            watched = list(self.watch._watched.values())
            return names <= {each.instance.name for each in watched if each.opened}

        wait_until("the followers", followed)

    def join(self) -> LogWatchReport:
        """Its report, when it ends by itself."""
        self._thread.join(patience())
        assert not self._thread.is_alive()
        return self.report

    def end(self) -> LogWatchReport:
        self.watch.stop()
        return self.join()


def rows(report: LogWatchReport, capture: str = "log_watch") -> dict[str, str]:
    return {row.instance: row.reason for row in report.rows if row.capture == capture}


def signals(transport: FakeTransport, service) -> int:
    return transport.done_to(service.instance.name).count("signal")
