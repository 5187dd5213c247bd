# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs that users reported to the maintainers, with the expected verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher

REPORTS = Path(__file__).parents[3] / "fixtures" / "reports"


def watched(file: str, timestamped: bool = False) -> LogWatcher:
    watcher = LogWatcher(load_patterns(), timestamped)
    watcher.feed((REPORTS / file).read_bytes())
    watcher.flush()
    return watcher


@pytest.mark.parametrize(
    ("file", "rule", "says"),
    [
        ("log-cron-11382-cycles.log", "busy_for_hours", ["CronJobWorkers", "95 h", "11382 rounds of 30 s"]),
        ("log-queue-only-grows.log", "queue_grows", ["opslog_write_worker", "1209", "1268", "cannot keep up"]),
        ("log-go-panic.log", "process_ended", ["panic", "SIGSEGV", "SGuest).GetHost", "guests.go:1201"]),
        ("log-fatal-recursive-locks.log", "process_ended", ["Too many recursive locks", "server-"]),
    ],
)
def test_reported_log_is_stuck(file, rule, says):
    found = watched(file).verdict()
    assert (found.verdict, found.rule, found.over) == ("stuck", rule, False)
    assert [word for word in says if word not in found.evidence[0]] == []


def test_crash_lines_are_critical_hits():
    for file, pattern in (("log-go-panic.log", "runtime_panic"), ("log-fatal-recursive-locks.log", "service_fatal")):
        hits = LogWatcher(load_patterns(), False).feed((REPORTS / file).read_bytes())
        assert [(hit.pattern_id, hit.severity) for hit in hits] == [(pattern, "critical")]
