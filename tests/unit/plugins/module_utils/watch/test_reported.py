# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs that users reported to the maintainers, with the verdicts and words that they have to lead to."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.liveness import Liveness
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher

REPORTS = Path(__file__).parents[3] / "fixtures" / "reports"
# What the kubelet answers, with status 200, where it cannot read a log (yunionio/cloudpods#16520).
NO_LOG = (
    b'failed to try resolving symlinks in path "/var/log/pods/onecloud_default-region_1f0e29fa/region/0.log": '
    b"lstat /var/log/pods/onecloud_default-region_1f0e29fa: no such file or directory"
)
START = 1764378000.0  # 2025-11-29T01:00:00Z


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
def test_reported_logs(file, rule, says):
    found = watched(file).verdict()
    assert (found.verdict, found.rule, found.over) == ("stuck", rule, False)
    assert [word for word in says if word not in found.evidence[0]] == []


def test_crash_lines_are_critical_hits():
    for file, pattern in (("log-go-panic.log", "runtime_panic"), ("log-fatal-recursive-locks.log", "service_fatal")):
        hits = LogWatcher(load_patterns(), False).feed((REPORTS / file).read_bytes())
        assert [(hit.pattern_id, hit.severity) for hit in hits] == [(pattern, "critical")]


def crash_loop(crashes: int) -> tuple[LogWatcher, float]:
    """The log of a service that panics every two minutes, and the time at its end."""
    watcher = LogWatcher(load_patterns())
    log = (REPORTS / "log-panic-crash-loop.log").read_bytes()
    moment = 1795914000.0  # 2026-11-29T01:00:00Z
    watcher.opened(moment)
    for number in range(crashes):
        watcher.feed(log.replace(b"T01:00", b"T01:%02d" % (2 * number)).replace(b" 01:00", b" 01:%02d" % (2 * number)))
        watcher.container_changed(f"containerd://{number}", number + 1, moment + 120 * number + 10)
    return watcher, moment + 120 * (crashes - 1) + 60


def test_a_crash_loop_by_panic_is_never_healthy():
    watcher, now = crash_loop(5)
    found = watcher.verdict(now, liveness=Liveness(ping=True, ready=True))
    assert (found.verdict, found.rule, found.over) == ("stuck", "crash_loop", False)
    assert "5 restarts" in found.evidence[0]
    assert "index out of range [255]" in found.evidence[0]
    assert "cpu.processorsGet (cpu_linux.go:118), called by main.main (main.go:21)" in found.evidence[0]
    assert watcher.is_certain(now)


def test_one_crash_is_trouble_until_the_next_process_has_run_for_long():
    watcher, now = crash_loop(1)
    lives = Liveness(ping=True, ready=True)
    found = watcher.verdict(now, liveness=lives)
    assert (found.verdict, found.rule, found.over) == ("busy", "process_crashed", False)
    later = watcher.verdict(now + 700, liveness=lives)
    assert (later.verdict, later.rule, later.over) == ("busy", "process_crashed", True)


@pytest.mark.parametrize("restarts", [1, 2, 3])
def test_restarts_without_a_word_are_not_healthy(restarts):
    watcher = LogWatcher(load_patterns())
    watcher.opened(START)
    for number in range(restarts):
        watcher.container_changed(f"containerd://{number}", number + 1, START + 30 + number)
    found = watcher.verdict(START + 100, liveness=Liveness(ping=True, ready=True))
    assert (found.verdict, found.rule) == (("stuck", "crash_loop") if restarts > 2 else ("unknown", "restarted"))


def test_how_the_container_ended_is_said():
    watcher = LogWatcher(load_patterns())
    watcher.opened(START)
    ended = Liveness(ping=True, ready=True, ended=START + 10, end="OOMKilled, exit code 137")
    found = watcher.verdict(START + 100, liveness=ended)
    assert (found.verdict, found.rule) == ("unknown", "restarted")
    assert "OOMKilled, exit code 137" in found.evidence[0]


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_text_without_the_stamps_that_were_asked_for_is_no_log(ending):
    watcher = LogWatcher(load_patterns())
    watcher.opened(START)
    watcher.feed(NO_LOG + ending)
    watcher.flush()
    found = watcher.verdict(START + 123, liveness=Liveness(ping=True, ready=True))
    assert (found.verdict, found.rule) == ("unknown", "gap")
    assert "failed to try resolving symlinks" in found.evidence[0]
    assert found.evidence[0].endswith("(not_readable)")
    assert (watcher.lines, watcher.gaps) == (0, 1)
    assert "no such file or directory" in watcher.foreign


def test_a_log_that_begins_after_such_a_text_is_read():
    watcher = LogWatcher(load_patterns())
    watcher.opened(START)
    watcher.feed(NO_LOG + b"\n2025-11-29T01:00:01.000000000Z panic: x\n")
    assert (watcher.lines, watcher.hits, watcher.foreign) == (1, 1, "")
