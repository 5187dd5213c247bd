# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules on instances: crashes, restarts, signs of life."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.liveness import Liveness
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.verdicts import VERDICTS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from hypothesis import given, settings
from hypothesis import strategies as st
from service_lines import access, busy_for, detached, dropped, line, stucking, waiting
from watch_helpers import SHIPPED, START, quiet_log

from fuzzing import examples

UNANSWERED = {"ping": False, "ping_result": "was not answered within 5 s"}


def test_missing_signs_of_life_precede_ended_trouble():
    watcher = quiet_log()
    watcher.feed(dropped(1) + access(590))
    found = watcher.verdict(START + 600, liveness=Liveness(ready=False))
    assert (found.verdict, found.over) == ("dropping", False)
    assert found.evidence[0] == "not ready"
    assert "over since 2026-11-23T00:00:01Z" in found.evidence[1]


def test_stuck_pool_of_a_frozen_service_is_not_over():
    watcher = quiet_log()
    watcher.feed(b"".join(busy_for(30 * number, number) for number in range(2, 12)))
    assert not watcher.verdict(START + 900).over
    assert watcher.verdict(START + 900, liveness=Liveness(ping=True)).over
    assert not watcher.verdict(START + 900, liveness=Liveness(**UNANSWERED)).over


# Observations of any kind: lines of the log at any second, and what is known besides.
SECONDS = st.integers(0, 599)


BAD = st.one_of(
    st.builds(dropped, SECONDS),
    st.builds(waiting, SECONDS, st.integers(11, 2000)),
    st.builds(busy_for, SECONDS, st.integers(2, 500)),
    st.builds(stucking, SECONDS, st.integers(0, 599)),
    st.builds(detached, SECONDS, st.integers(1, 99)),
    st.builds(line, SECONDS, st.sampled_from([" etcd keepalive failed", " exec: Too many connections"])),
    st.builds(line, SECONDS, st.just(" Too many recursive locks!!!"), st.just("fatal")),
    SECONDS.map(lambda second: line(second, "x").partition(b" ")[0] + b" panic: x\n"),
)


GOOD = st.builds(access, SECONDS)


SIGNS = st.builds(
    Liveness,
    ready=st.sampled_from([None, True, False]),
    process=st.sampled_from(["", "stopped (SIGSTOP)", "a zombie"]),
    state=st.sampled_from(["", "", "terminated"]),
    ping=st.sampled_from([None, True, False]),
    heard=st.none() | st.integers(0, 600).map(lambda second: START + second),
    started=st.none() | st.integers(-5000, 600).map(lambda second: START + second),
    ended=st.none() | st.integers(0, 600).map(lambda second: START + second),
)


OBSERVED = st.tuples(st.lists(BAD | GOOD, max_size=12), st.integers(0, 2), st.integers(0, 2), SIGNS)


def by_time(lines: list[bytes]) -> bytes:
    return b"".join(sorted(lines))


def judged(lines: list[bytes], restarts: int, gaps: int, liveness: Liveness):
    watcher = LogWatcher(SHIPPED)
    watcher.opened(START)
    watcher.feed(by_time(lines))
    for number in range(restarts):
        watcher.container_changed(f"c{number}", number + 1, START + 300)
    for _number in range(gaps):
        watcher.gap("stream_lost", "lost", START, START + 1)
    return watcher.verdict(START + 600, liveness=liveness)


@settings(max_examples=examples(150))
@given(OBSERVED)
def test_healthy_only_without_any_doubt(observed):
    lines, restarts, gaps, liveness = observed
    found = judged(*observed)
    is_quiet = all(b"ServeHTTP" in each for each in lines)
    recent = [each for each in lines if each[14:19] >= b"09:00"]
    lives = liveness.ping is True or bool(recent) or (liveness.heard is not None and liveness.heard >= START + 540)
    allowed = (
        is_quiet
        and lives
        and not restarts
        and not gaps
        and liveness.ready is not False
        and liveness.ping is not False
        and not liveness.process
        and not liveness.state
        and liveness.ended is None
    )
    assert (found.verdict == "healthy") == allowed
    assert found.evidence
    # The first evidence is of the present, unless everything is over.
    assert not found.findings[0].over or all(each.over for each in found.findings)
    assert all(("over since" in each.text or "; over" in each.text) == each.over for each in found.findings)


WORSE = [{"ready": False}, {"ping": False}, {"process": "stopped (SIGSTOP)"}, {"state": "terminated"}]


@settings(max_examples=examples(100))
@given(OBSERVED, st.sampled_from(WORSE) | st.just("gap"))
def test_worse_observation_never_improves_the_verdict(observed, worse):
    lines, restarts, gaps, liveness = observed
    before = VERDICTS.index(judged(*observed).verdict)
    if worse == "gap":
        gaps += 1
    else:
        liveness = Liveness(**{**vars(liveness), **worse})
    assert VERDICTS.index(judged(lines, restarts, gaps, liveness).verdict) >= before


@settings(max_examples=examples(50))
@given(OBSERVED)
def test_restart_is_never_healthy(observed):
    lines, restarts, *rest = observed
    assert judged(lines, restarts + 1, *rest).verdict != "healthy"


@settings(max_examples=examples(100))
@given(OBSERVED, SECONDS)
def test_lost_task_is_never_forgotten(observed, second):
    lines, *rest = observed
    assert judged([*lines, dropped(second)], *rest).verdict == "dropping"


REPORTS = Path(__file__).parents[3] / "fixtures" / "reports"


def crash_loop(crashes: int) -> tuple[LogWatcher, float]:
    """Return a watcher of a service that panics every two minutes, and the time at its end."""
    watcher = LogWatcher(load_patterns())
    log = (REPORTS / "log-panic-crash-loop.log").read_bytes()
    moment = 1795914000.0  # 2026-11-29T01:00:00Z
    watcher.opened(moment)
    for number in range(crashes):
        watcher.feed(log.replace(b"T01:00", b"T01:%02d" % (2 * number)).replace(b" 01:00", b" 01:%02d" % (2 * number)))
        watcher.container_changed(f"containerd://{number}", number + 1, moment + 120 * number + 10)
    return watcher, moment + 120 * (crashes - 1) + 60


def test_crash_loop_by_panic_is_stuck():
    watcher, now = crash_loop(5)
    found = watcher.verdict(now, liveness=Liveness(ping=True, ready=True))
    assert (found.verdict, found.rule, found.over) == ("stuck", "crash_loop", False)
    assert "5 restarts" in found.evidence[0]
    assert "index out of range [255]" in found.evidence[0]
    assert "cpu.processorsGet (cpu_linux.go:118), called by main.main (main.go:21)" in found.evidence[0]
    assert watcher.is_certain(now)


def test_single_crash_is_over_after_ten_minutes():
    watcher, now = crash_loop(1)
    lives = Liveness(ping=True, ready=True)
    found = watcher.verdict(now, liveness=lives)
    assert (found.verdict, found.rule, found.over) == ("busy", "process_crashed", False)
    later = watcher.verdict(now + 700, liveness=lives)
    assert (later.verdict, later.rule, later.over) == ("busy", "process_crashed", True)


@pytest.mark.parametrize("restarts", [1, 2, 3])
def test_restarts_without_crash_lines_are_not_healthy(restarts):
    watcher = LogWatcher(load_patterns())
    watcher.opened(START)
    for number in range(restarts):
        watcher.container_changed(f"containerd://{number}", number + 1, START + 30 + number)
    found = watcher.verdict(START + 100, liveness=Liveness(ping=True, ready=True))
    assert (found.verdict, found.rule) == (("stuck", "crash_loop") if restarts > 2 else ("unknown", "restarted"))


def test_evidence_has_how_the_container_ended():
    watcher = LogWatcher(load_patterns())
    watcher.opened(START)
    ended = Liveness(ping=True, ready=True, ended=START + 10, end="OOMKilled, exit code 137")
    found = watcher.verdict(START + 100, liveness=ended)
    assert (found.verdict, found.rule) == ("unknown", "restarted")
    assert "OOMKilled, exit code 137" in found.evidence[0]
