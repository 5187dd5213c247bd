# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that give verdicts on worker pools, from what their lines add up to. Pure.

The table RULES has the worst first. What the lines told last, how often and when, is of one episode (see pools.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Callable

from ..logtext import timestamps
from ..text import counted, duration
from .evidence_text import between, rounds
from .pools import Occurrences, Pool
from .verdicts import BUSY, DROPPING, STUCK, LogFinding, LogVerdict, settle

# The default of the services' process timeout: what runs longer should have been given up.
STUCK_SECONDS = 60.0
# Ten rounds of the watchdog are five minutes: longer than requests may take and most tasks do.
STUCK_CYCLES = 10
STUCK_REPORTS = 2
# So long a pool has not been idle, by one line of the watchdog alone.
HOURS_SECONDS = 3600.0
# As many as the pools for requests have workers: a whole pool's work runs on outside of it.
STUCK_DETACHED = 8
# A queue that only grows: so many reports over so many seconds, to so many tasks; or for longer, whatever their number.
GROWS_REPORTS, GROWS_SECONDS, GROWS_TASKS, GROWS_LONG_SECONDS = 10, 10.0, 100, 60.0
# The line about the oldest task is printed while more tasks than these wait.
MANY_TASKS = 50
# A pool of which the watchdog is silent for so many rounds was idle at one of them.
DRAIN_ROUNDS = 2.5
# A line may be read up to this many seconds after it was written, so a shorter silence proves nothing.
DELIVERY_SECONDS = 3.0
# The watchdog speaks at the second round at which a pool is busy.
FIRST_ROUNDS = 2.0
# For so many rounds a service that was started works off what begins with its start: all its cron jobs at once, for
# one. Of a real region they are busy for ten minutes.
START_ROUNDS = 20.0


@dataclass(frozen=True)
class RuleContext:
    """What the rules look at. Moments are in seconds since 1970.

    interval: of the watchdog, as far as its lines show it. alive: until when the service showed that it lives: what is
    frozen is silent, too. busy_since: the earliest result of busy_since() for the pools of the instance; None if no
    pool is busy. blind: until when something was not seen; what was not seen was not silent. started: when the process
    began.
    """

    now: float | None
    interval: float
    alive: float | None = None
    busy_since: float | None = None
    blind: float = -math.inf
    started: float | None = None

    def is_over(self, moment: float | None) -> bool:
        """Whether the watchdog was silent for so long since then that the pool must have been idle."""
        return self.is_silent(moment, max(DRAIN_ROUNDS * self.interval, DELIVERY_SECONDS))

    def is_silent(self, moment: float | None, seconds: float) -> bool:
        """Whether a service that lived said nothing for longer than that since then."""
        if moment is None or self.alive is None:
            return False
        return self.alive - max(moment, self.blind) > seconds

    @property
    def is_start(self) -> bool:
        """Whether the process began so short a time ago that it works off what begins with a start."""
        if self.started is None or self.now is None:
            return False
        return 0 <= self.now - self.started <= START_ROUNDS * self.interval


@dataclass(frozen=True)
class Evidence:
    """What a rule has to say about a pool: a sentence, when that was said last, and how many tasks are concerned."""

    text: str
    moment: float | None
    weight: int = 0


@dataclass(frozen=True)
class PoolRule:
    """If `says` has something to say about a pool, the verdict is this one, with what it said as the evidence.

    when: for people. ends: whether it is over once the watchdog has nothing to say any more; what was lost stays lost.
    """

    id: str
    verdict: str
    when: str
    says: Callable[[Pool, RuleContext], Evidence | None] = field(compare=False)
    ends: bool = True


def _count(seen: Occurrences, what: str, told: str) -> str:
    """Return how many of the last episode, when, and how many there were in all where that is more."""
    before = f" ({seen.count} since {timestamps.utc(seen.first)})" if seen.count > seen.run else ""
    return f"{counted(seen.run, what)} {told}{between(seen.began, seen.last)}{before}"


def _lost(pool: Pool, _situation: RuleContext) -> Evidence | None:
    seen = pool.lost
    return Evidence(_count(seen, "task", "lost"), seen.last, seen.count) if seen.count else None


def _refused(pool: Pool, _situation: RuleContext) -> Evidence | None:
    seen = pool.refused
    return Evidence(_count(seen, "request", "refused with 429"), seen.last, seen.count) if seen.count else None


def _queue_grows(pool: Pool, _situation: RuleContext) -> Evidence | None:
    queue = pool.queue
    (_began, first), (moment, last) = queue.first, queue.last
    is_long = queue.seconds >= GROWS_LONG_SECONDS or (queue.seconds >= GROWS_SECONDS and last >= GROWS_TASKS)
    if queue.reports < GROWS_REPORTS or last <= first or not is_long:
        return None
    over = f"over {duration(queue.seconds)} ({counted(queue.reports, 'report')})"
    workers = counted(queue.workers, "worker")
    return Evidence(f"the queue only grows: {first} -> {last} {over}; its {workers} cannot keep up", moment, last)


def _stuck_task(pool: Pool, _situation: RuleContext) -> Evidence | None:
    task = pool.tasks.oldest
    if task is None or task.age < STUCK_SECONDS:
        return None
    since = f" since {timestamps.utc(task.started)}" if task.started is not None else ""
    named = f"{duration(task.age)} when it was named last ({counted(task.seen.run, 'line')})"
    return Evidence(f"the oldest task runs{since}, {named}: {task.text}", task.seen.last, MANY_TASKS)


def _for_hours(pool: Pool, situation: RuleContext) -> Evidence | None:
    moment, cycles = pool.cycles.last
    if cycles * situation.interval < HOURS_SECONDS:
        return None
    return Evidence(f"busy for {rounds(cycles, situation.interval)} without a pause", moment, 1)


def _grows(pool: Pool, situation: RuleContext) -> Evidence | None:
    cycles = pool.cycles
    if cycles.reports < STUCK_REPORTS or cycles.last[1] < STUCK_CYCLES:
        return None
    (_began, first), (moment, last) = cycles.first, cycles.last
    return Evidence(f"busy for {rounds(last, situation.interval)}, growing from {first} without a pause", moment, 1)


def _left_behind(pool: Pool, _situation: RuleContext) -> Evidence | None:
    seen = pool.detached_now
    if seen.count < STUCK_DETACHED:
        return None
    text = f"{counted(seen.count, 'worker')} detached{between(seen.first, seen.last)}"
    return Evidence(f"{text}; each runs on outside of its pool", seen.last, seen.count)


def _waits(pool: Pool, situation: RuleContext) -> Evidence | None:
    parts = []
    if pool.waiting.count:
        queue = pool.queue
        drains = f", {queue.last[1]} of them at last" if 0 < queue.last[1] < queue.peak else ""
        text = f"no free worker of {pool.most_workers}, up to {queue.peak or queue.series.most} tasks waited{drains}"
        parts.append(Evidence(text, pool.waiting.last, queue.last[1]))
    task = pool.tasks.oldest
    if pool.tasks.seen.count:
        named = f", the oldest: {task.text}" if task else ""
        text = f"more than {MANY_TASKS} tasks waited ({counted(pool.tasks.seen.run, 'line')}){named}"
        parts.append(Evidence(text, pool.tasks.seen.last, MANY_TASKS))
    if pool.detached.count:
        text = f"{counted(pool.detached.run, 'request')} ran into the process timeout"
        parts.append(Evidence(text, pool.detached.last, pool.detached.run))
    if pool.cycles.seen.count:
        drained = f", idle again {counted(pool.cycles.drained, 'time')}" if pool.cycles.drained else ""
        text = f"busy for {rounds(pool.cycles.last[1] or pool.cycles.most, situation.interval)}{drained}"
        parts.append(Evidence(text, pool.cycles.seen.last))
    if not parts:
        return None
    # One sentence is of one time: what has ended is left out where something else goes on.
    told = [part for part in parts if not situation.is_over(part.moment)] or parts
    known = [part.moment for part in told if part.moment is not None]
    return Evidence("; ".join(part.text for part in told), max(known, default=None), max(part.weight for part in told))


RULES = (
    PoolRule(
        "tasks_lost",
        DROPPING,
        "A pool's queue was full at least once: each line is a task that is lost. It comes before the watchdog speaks.",
        _lost,
        ends=False,
    ),
    PoolRule(
        "requests_refused",
        DROPPING,
        "A client was told that the request queue is full.",
        _refused,
        ends=False,
    ),
    PoolRule(
        "queue_grows",
        STUCK,
        f"The number of tasks that wait grew and never fell, in {GROWS_REPORTS} reports or more: to {GROWS_TASKS} or "
        f"more over {GROWS_SECONDS:.0f} s, or for {GROWS_LONG_SECONDS:.0f} s. The pool cannot keep up.",
        _queue_grows,
    ),
    PoolRule(
        "oldest_task",
        STUCK,
        f"The task that is named as the oldest runs for {STUCK_SECONDS:.0f} s or more, while over {MANY_TASKS} wait. "
        "Hundreds of lines that name it are one finding.",
        _stuck_task,
    ),
    PoolRule(
        "workers_detached",
        STUCK,
        f"{STUCK_DETACHED} requests or more ran into the process timeout. The pool may look idle: they run on outside.",
        _left_behind,
    ),
    PoolRule(
        "busy_for_hours",
        STUCK,
        "By one line of the watchdog alone: its number of cycles is an hour or more.",
        _for_hours,
    ),
    PoolRule(
        "cycles_grow",
        STUCK,
        f"The watchdog's number of cycles grew over {STUCK_REPORTS} reports or more, to {STUCK_CYCLES} or more, and "
        "the pool was not idle in between.",
        _grows,
    ),
    PoolRule(
        "tasks_wait",
        BUSY,
        "Tasks waited, requests ran into the timeout, or the watchdog found the pool busy; or what was worse is over.",
        _waits,
    ),
)
STARTS = "starts"
# What a start brings about by itself: its pools are busy from their first round on, and tasks wait.
_OF_A_START = ("cycles_grow", "tasks_wait")
STARTS_WHEN = (
    f"The process began less than {START_ROUNDS:.0f} rounds of the watchdog ago, and nothing worse is said of the pool "
    "than that it is busy and tasks wait: all cron jobs of a service begin at once."
)


def busy_since(pool: Pool, situation: RuleContext) -> float | None:
    """Return the earliest time since which the pool may have been busy without a pause; None if it is not busy.

    In seconds since 1970. At cycle N, the watchdog has found the pool busy N times in a row. Half a round is added,
    since the watchdog may be late.
    """
    moment, cycles = pool.cycles.last
    if not pool.cycles.reports or situation.is_over(moment):
        return None
    return -math.inf if moment is None else moment - (cycles + 0.5) * situation.interval


def judge_pool(pool: Pool, situation: RuleContext, inferred: Pool | None = None) -> LogVerdict | None:
    """The verdict on a pool, with the evidence of all rules that hold; None when nothing was said about it.

    inferred: of lines that name no pool, the one that they are about.
    """
    held = [(rule, said) for rule in RULES for said in [rule.says(pool, situation)] if said is not None]
    if not held:
        return None
    about = pool if pool.name else inferred
    # The watchdog speaks of all pools: as long as it does of one, who is stuck without a name may be in that one.
    since = situation.busy_since if about is None else busy_since(about, situation)
    findings = [_finding(rule, said, _has_ended(said.moment, since, situation)) for rule, said in held]
    return settle(_as_start(findings, pool, situation), pool.name)


def _has_ended(moment: float | None, since: float | None, situation: RuleContext) -> bool:
    """Return whether trouble whose last line is of that moment is over. since: the result of busy_since().

    If the pool has been busy since before that line, the trouble goes on. If it became busy later, it was idle in
    between, and the trouble is over.
    """
    if moment is None or not situation.is_over(moment):
        return False
    return since is None or since > moment


def _finding(rule: PoolRule, said: Evidence, ended: bool) -> LogFinding:
    if not ended:
        return LogFinding(rule.verdict, rule.id, said.text, False, said.weight)
    verdict, weight = (BUSY, 0) if rule.ends else (rule.verdict, said.weight)
    return LogFinding(verdict, rule.id, f"{said.text}; over since {timestamps.utc(said.moment)}", True, weight)


def _as_start(findings: list[LogFinding], pool: Pool, situation: RuleContext) -> list[LogFinding]:
    """The findings, where they are of a start with one that says so before them, and none worse than busy."""
    present = [finding for finding in findings if not finding.over]
    if not present or any(finding.rule not in _OF_A_START for finding in present):
        return findings
    if situation.now is None or situation.started is None or not situation.is_start:
        return findings
    queue = pool.queue
    drains = f"; the queue drains ({queue.peak} -> {queue.last[1]})" if 0 < queue.last[1] < queue.peak else ""
    text = f"started {duration(situation.now - situation.started)} ago{drains}: {present[0].text}"
    weight = max(finding.weight for finding in present)
    return [LogFinding(BUSY, STARTS, text, False, weight), *(each for each in findings if each.over)]
