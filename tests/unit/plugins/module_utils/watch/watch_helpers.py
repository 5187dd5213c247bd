# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watchers that are fed with lines, for the tests of log watching."""

from __future__ import annotations

import tracemalloc

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.liveness import Liveness
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from service_lines import POOL, access

SHIPPED = load_patterns()
START = 1795392000.0  # 2026-11-23T00:00:00Z
ANSWERS = Liveness(ping=True, ready=True)


def watch(*parts: bytes, timestamped: bool = True) -> LogWatcher:
    """Return a watcher that has read these parts of a log."""
    watcher = LogWatcher(SHIPPED, timestamped)
    watcher.opened(START)
    for part in parts:
        watcher.feed(part)
    return watcher


def evidence(*parts: bytes, at: float, liveness: Liveness = ANSWERS) -> tuple[str, ...]:
    return watch(*parts).verdict(START + at, liveness=liveness).evidence


def the_pool(watcher: LogWatcher, name: str = POOL) -> dict:
    (pool,) = [pool for pool in watcher.document()["pools"] if pool["name"] == name]
    return pool


def peak_memory(watcher: LogWatcher, feeds) -> int:
    """Return the peak of bytes allocated while the watcher was fed."""
    tracemalloc.start()
    try:
        for data in feeds:
            watcher.feed(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def quiet_log(last: float | None = None) -> LogWatcher:
    """Return a watcher of a log without trouble. last: the second of its only line, None without lines."""
    return watch(*([] if last is None else [access(last)]))
