# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `healthy` needs besides a quiet log, and what is said where it is missing."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.liveness import Liveness
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.verdicts import VERDICTS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from hypothesis import given, settings
from hypothesis import strategies as st
from said import access, busy_for, detached, dropped, line, stucking, waiting

from fuzzing import examples

SHIPPED = load_patterns()
START = 1795392000.0  # 2026-11-23T00:00:00Z
UNANSWERED = {"ping": False, "said": "was not answered within 5 s"}
STOPPED = {"process": "stopped (SIGSTOP)"}


def quiet(last: float | None = None) -> LogWatcher:
    """A log in which nothing bad was said, with its last line so many seconds after its beginning."""
    watcher = LogWatcher(SHIPPED)
    watcher.opened(START)
    if last is not None:
        watcher.feed(access(last))
    return watcher


@pytest.mark.parametrize(
    ("last", "liveness", "verdict", "rule", "says"),
    [
        (590, {}, "healthy", "quiet", ["1 line in 10 min"]),
        (None, {"ping": True, "said": "was answered (HTTP 200)"}, "healthy", "quiet", ["/ping was answered"]),
        (None, {"heard": START + 590}, "healthy", "quiet", []),
        (590, {"ping": True, "ready": True}, "healthy", "quiet", ["ready"]),
        (None, {}, "unknown", "no_sign_of_life", ["silent for 10 min"]),
        (210, {}, "unknown", "no_sign_of_life", ["silent for 6.5 min"]),
        (210, {"heard": START + 220}, "unknown", "no_sign_of_life", ["silent for 6.3 min"]),
        (590, {"ready": False}, "unknown", "not_ready", ["not ready"]),
        (590, UNANSWERED, "unknown", "ping_unanswered", ["/ping was not answered within 5 s"]),
        (590, {"ping": True, "ready": False, "said": "says HTTP 400: scheduler is not ready"}, "unknown", "not_ready",
         ["scheduler is not ready"]),
        (590, {"ping": True, **STOPPED}, "unknown", "process_stopped", ["its process is stopped (SIGSTOP)"]),
        (590, {"state": "waiting: CreateContainerError"}, "unknown", "not_running", ["CreateContainerError"]),
        (590, {"state": "crash_loop", "loops": True}, "stuck", "crash_loop", ["ends repeatedly"]),
        (210, {"ready": False, **UNANSWERED, **STOPPED}, "unknown", "process_stopped",
         ["silent for 6.5 min; not ready; /ping was not answered within 5 s; its process is stopped (SIGSTOP)"]),
    ],
)  # fmt: skip
def test_what_healthy_needs(last, liveness, verdict, rule, says):
    found = quiet(last).verdict(START + 600, liveness=Liveness(**liveness))
    assert (found.verdict, found.rule) == (verdict, rule)
    assert [text for text in says if not any(text in each for each in found.evidence)] == []


def test_a_line_from_the_future_is_no_sign_of_life():
    """The clock of the lines is that of another zone."""
    assert quiet(3000).verdict(START + 600).rule == "no_sign_of_life"


def test_suspicion_stands_before_what_is_over():
    watcher = quiet()
    watcher.feed(dropped(1) + access(590))
    found = watcher.verdict(START + 600, liveness=Liveness(ready=False))
    assert (found.verdict, found.over) == ("dropping", False)
    assert found.evidence[0] == "not ready"
    assert "over since 2026-11-23T00:00:01Z" in found.evidence[1]


def test_what_was_stuck_before_a_freeze_is_not_over():
    watcher = quiet()
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
VITALS = st.builds(
    Liveness,
    ready=st.sampled_from([None, True, False]),
    process=st.sampled_from(["", "stopped (SIGSTOP)", "a zombie"]),
    state=st.sampled_from(["", "", "terminated"]),
    ping=st.sampled_from([None, True, False]),
    heard=st.none() | st.integers(0, 600).map(lambda second: START + second),
    started=st.none() | st.integers(-5000, 600).map(lambda second: START + second),
    ended=st.none() | st.integers(0, 600).map(lambda second: START + second),
)
OBSERVED = st.tuples(st.lists(BAD | GOOD, max_size=12), st.integers(0, 2), st.integers(0, 2), VITALS)


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
def test_no_verdict_is_better_than_what_was_seen_allows(observed):
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
def test_what_is_worse_to_see_makes_no_verdict_better(observed, worse):
    lines, restarts, gaps, liveness = observed
    before = VERDICTS.index(judged(*observed).verdict)
    if worse == "gap":
        gaps += 1
    else:
        liveness = Liveness(**{**vars(liveness), **worse})
    assert VERDICTS.index(judged(lines, restarts, gaps, liveness).verdict) >= before


@settings(max_examples=examples(50))
@given(OBSERVED)
def test_a_restart_makes_nothing_healthy(observed):
    """What was stuck is gone with its process, and that this ended is no good sign."""
    lines, restarts, *rest = observed
    assert judged(lines, restarts + 1, *rest).verdict != "healthy"


@settings(max_examples=examples(100))
@given(OBSERVED, SECONDS)
def test_a_lost_task_is_never_forgotten(observed, second):
    lines, *rest = observed
    assert judged([*lines, dropped(second)], *rest).verdict == "dropping"


def test_the_rules_of_healthy_are_the_only_ones():
    for ping, ready in itertools.product([None, True, False], repeat=2):
        found = quiet(599).verdict(START + 600, liveness=Liveness(ping=ping, ready=ready))
        assert (found.verdict == "healthy") == (ping is not False and ready is not False)
