# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the events of a followed log mean to the watcher of that log."""

from __future__ import annotations

import time

from ...transports.follow import Event, Gap, Lines, Opened, WriterChanged
from ...watch.watcher import Hit, LogWatcher


def take(watcher: LogWatcher, event: Event) -> list[Hit]:
    """Tell the watcher; the hits in new lines. The end of a log tells it nothing."""
    if isinstance(event, Lines):
        return watcher.feed(event.data)
    if isinstance(event, Opened):
        watcher.opened(event.since, event.is_empty)
    elif isinstance(event, Gap):
        watcher.gap(event.kind, event.message, event.since, event.until)
    elif isinstance(event, WriterChanged):
        watcher.container_changed(event.container_id, event.restarts, time.time())
    return []
