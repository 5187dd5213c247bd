# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for verdicts on worker pools. Pure.

The table RULES is in order of severity. Counts and times in the evidence are of the last episode (see pools.py).
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

# The services' default process timeout. A request should not run longer.
STUCK_SECONDS = 60.0
# Ten rounds of the watchdog are five minutes: longer than any request may take, and than most tasks take.
STUCK_CYCLES = 10
STUCK_REPORTS = 2
# A pool that was not idle for this long is stuck, even by one line of the watchdog.
HOURS_SECONDS = 3600.0
# Request pools have eight workers, so this many detached ones are a whole pool.
STUCK_DETACHED = 8
# A growing queue: reports, seconds and tasks at least; or GROWS_LONG_SECONDS, whatever the number of tasks.
GROWS_REPORTS, GROWS_SECONDS, GROWS_TASKS, GROWS_LONG_SECONDS = 10, 10.0, 100, 60.0
# The services log the oldest task while more tasks than these wait.
MANY_TASKS = 50
# If the watchdog does not log a pool for this many rounds, the pool was idle in between.
DRAIN_ROUNDS = 2.5
# A line may be read this many seconds after it was written, so a shorter silence proves nothing.
DELIVERY_SECONDS = 3.0
# The watchdog logs a pool at the second round in which it is busy.
FIRST_ROUNDS = 2.0
# A service is busy for this many rounds after its start, because all its cron jobs run at once. They keep the pools
# of a real region busy for ten minutes.
START_ROUNDS = 20.0


@dataclass(frozen=True)
class RuleContext:
    """Facts for the rules besides the pool. Moments are in seconds since 1970.

    interval: seconds between rounds of the watchdog. alive: the last sign of life; a frozen service is silent, too.
    busy_since: the earliest result of busy_since() for the pools of the instance; None if no pool is busy. blind: the
    end of the last gap, which does not count as silence. started: when the process began.
    """

    now: float | None
    interval: float
    alive: float | None = None
    busy_since: float | None = None
    blind: float = -math.inf
    started: float | None = None

    def is_over(self, moment: float | None) -> bool:
        """Return whether the watchdog was silent since `moment` for so long that the pool must have been idle."""
        return self.is_silent(moment, max(DRAIN_ROUNDS * self.interval, DELIVERY_SECONDS))

    def is_silent(self, moment: float | None, seconds: float) -> bool:
        """Return whether a live service logged nothing for more than `seconds` after `moment`."""
        if moment is None or self.alive is None:
            return False
        return self.alive - max(moment, self.blind) > seconds

    @property
    def is_start(self) -> bool:
        """True if the process began recently, so its pools are busy because of the start."""
        if self.started is None or self.now is None:
            return False
        return 0 <= self.now - self.started <= START_ROUNDS * self.interval


@dataclass(frozen=True)
class Evidence:
    """Evidence of a rule: a sentence, the time of its last line, and the number of tasks concerned."""

    text: str
    moment: float | None
    weight: int = 0


@dataclass(frozen=True)
class PoolRule:
    """A rule for pools: if `check` returns evidence, the pool gets this verdict.

    when: for people. ends: it is over once the watchdog is silent about the pool; lost tasks stay lost.
    """

    id: str
    verdict: str
    when: str
    check: Callable[[Pool, RuleContext], Evidence | None] = field(compare=False)
    ends: bool = True


def _count(seen: Occurrences, what: str, event: str) -> str:
    """Return the count and times of the last episode, and the total if that is higher."""
    before = f" ({seen.count} since {timestamps.utc(seen.first)})" if seen.count > seen.run else ""
    return f"{counted(seen.run, what)} {event}{between(seen.began, seen.last)}{before}"


def _lost(pool: Pool, _context: RuleContext) -> Evidence | None:
    seen = pool.lost
    return Evidence(_count(seen, "task", "lost"), seen.last, seen.count) if seen.count else None


def _refused(pool: Pool, _context: RuleContext) -> Evidence | None:
    seen = pool.refused
    return Evidence(_count(seen, "request", "refused with 429"), seen.last, seen.count) if seen.count else None


def _queue_grows(pool: Pool, _context: RuleContext) -> Evidence | None:
    queue = pool.queue
    (_began, first), (moment, last) = queue.first, queue.last
    is_long = queue.seconds >= GROWS_LONG_SECONDS or (queue.seconds >= GROWS_SECONDS and last >= GROWS_TASKS)
    if queue.reports < GROWS_REPORTS or last <= first or not is_long:
        return None
    over = f"over {duration(queue.seconds)} ({counted(queue.reports, 'report')})"
    workers = counted(queue.workers, "worker")
    return Evidence(f"the queue only grows: {first} -> {last} {over}; its {workers} cannot keep up", moment, last)


def _stuck_task(pool: Pool, _context: RuleContext) -> Evidence | None:
    task = pool.tasks.oldest
    if task is None or task.age < STUCK_SECONDS:
        return None
    since = f" since {timestamps.utc(task.started)}" if task.started is not None else ""
    named = f"{duration(task.age)} when it was last named ({counted(task.seen.run, 'line')})"
    return Evidence(f"the oldest task runs{since}, {named}: {task.text}", task.seen.last, MANY_TASKS)


def _for_hours(pool: Pool, context: RuleContext) -> Evidence | None:
    moment, cycles = pool.cycles.last
    if cycles * context.interval < HOURS_SECONDS:
        return None
    return Evidence(f"busy for {rounds(cycles, context.interval)} without a pause", moment, 1)


def _grows(pool: Pool, context: RuleContext) -> Evidence | None:
    cycles = pool.cycles
    if cycles.reports < STUCK_REPORTS or cycles.last[1] < STUCK_CYCLES:
        return None
    (_began, first), (moment, last) = cycles.first, cycles.last
    return Evidence(f"busy for {rounds(last, context.interval)}, growing from {first} without a pause", moment, 1)


def _detached(pool: Pool, _context: RuleContext) -> Evidence | None:
    seen = pool.detached_now
    if seen.count < STUCK_DETACHED:
        return None
    text = f"{counted(seen.count, 'worker')} detached{between(seen.first, seen.last)}"
    return Evidence(f"{text}; each still runs outside of its pool", seen.last, seen.count)


def _waits(pool: Pool, context: RuleContext) -> Evidence | None:
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
        text = f"busy for {rounds(pool.cycles.last[1] or pool.cycles.most, context.interval)}{drained}"
        parts.append(Evidence(text, pool.cycles.seen.last))
    if not parts:
        return None
    # Present trouble and ended trouble do not share a sentence.
    current = [part for part in parts if not context.is_over(part.moment)] or parts
    known = [part.moment for part in current if part.moment is not None]
    return Evidence(
        "; ".join(part.text for part in current), max(known, default=None), max(part.weight for part in current)
    )


RULES = (
    PoolRule(
        "tasks_lost",
        DROPPING,
        "A pool's queue was full at least once; each line is a lost task. It comes before any line of the watchdog.",
        _lost,
        ends=False,
    ),
    PoolRule(
        "requests_refused",
        DROPPING,
        "A client got the answer that the request queue is full.",
        _refused,
        ends=False,
    ),
    PoolRule(
        "queue_grows",
        STUCK,
        f"The number of waiting tasks grew and never fell in {GROWS_REPORTS} reports or more: to {GROWS_TASKS} or more "
        f"over {GROWS_SECONDS:.0f} s, or for {GROWS_LONG_SECONDS:.0f} s. The pool cannot keep up.",
        _queue_grows,
    ),
    PoolRule(
        "oldest_task",
        STUCK,
        f"The oldest task runs for {STUCK_SECONDS:.0f} s or more while more than {MANY_TASKS} tasks wait. Hundreds of "
        "lines that name it are one finding.",
        _stuck_task,
    ),
    PoolRule(
        "workers_detached",
        STUCK,
        f"{STUCK_DETACHED} requests or more ran into the process timeout. They still run outside of the pool, which "
        "may look idle.",
        _detached,
    ),
    PoolRule(
        "busy_for_hours",
        STUCK,
        "The number of cycles in one line of the watchdog is an hour or more.",
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
        "Tasks waited, requests ran into the timeout, or the watchdog found the pool busy; or a worse finding is over.",
        _waits,
    ),
)
STARTS = "starts"
# Rules that a start alone meets: pools are busy from their first round on, and tasks wait.
_OF_A_START = ("cycles_grow", "tasks_wait")
STARTS_WHEN = (
    f"The process began less than {START_ROUNDS:.0f} rounds of the watchdog ago, and the pool is only busy or has "
    "waiting tasks: all cron jobs of a service begin at once."
)


def busy_since(pool: Pool, context: RuleContext) -> float | None:
    """Return the earliest time since which the pool may have been busy without a pause; None if it is not busy.

    In seconds since 1970. At cycle N, the watchdog has found the pool busy N times in a row. Half a round is added,
    since the watchdog may be late.
    """
    moment, cycles = pool.cycles.last
    if not pool.cycles.reports or context.is_over(moment):
        return None
    return -math.inf if moment is None else moment - (cycles + 0.5) * context.interval


def judge_pool(pool: Pool, context: RuleContext, inferred: Pool | None = None) -> LogVerdict | None:
    """Return the verdict on a pool, with the evidence of all rules that hold; None if no rule holds.

    inferred: for the pool without a name, the pool that its lines are about.
    """
    held = [(rule, evidence) for rule in RULES for evidence in [rule.check(pool, context)] if evidence is not None]
    if not held:
        return None
    about = pool if pool.name else inferred
    # The watchdog logs all busy pools, so an unnamed stuck task may belong to any pool that it still logs.
    since = context.busy_since if about is None else busy_since(about, context)
    findings = [_finding(rule, evidence, _has_ended(evidence.moment, since, context)) for rule, evidence in held]
    return settle(_as_start(findings, pool, context), pool.name)


def _has_ended(moment: float | None, since: float | None, context: RuleContext) -> bool:
    """Return whether trouble with its last line at `moment` is over. since: the result of busy_since().

    If the pool has been busy since before that line, the trouble goes on. If it became busy later, it was idle in
    between, and the trouble is over.
    """
    if moment is None or not context.is_over(moment):
        return False
    return since is None or since > moment


def _finding(rule: PoolRule, evidence: Evidence, ended: bool) -> LogFinding:
    if not ended:
        return LogFinding(rule.verdict, rule.id, evidence.text, False, evidence.weight)
    verdict, weight = (BUSY, 0) if rule.ends else (rule.verdict, evidence.weight)
    return LogFinding(verdict, rule.id, f"{evidence.text}; over since {timestamps.utc(evidence.moment)}", True, weight)


def _as_start(findings: list[LogFinding], pool: Pool, context: RuleContext) -> list[LogFinding]:
    """Return the findings; if they only show a start, with the finding `starts` in place of the present ones."""
    present = [finding for finding in findings if not finding.over]
    if not present or any(finding.rule not in _OF_A_START for finding in present):
        return findings
    if context.now is None or context.started is None or not context.is_start:
        return findings
    queue = pool.queue
    drains = f"; the queue drains ({queue.peak} -> {queue.last[1]})" if 0 < queue.last[1] < queue.peak else ""
    text = f"started {duration(context.now - context.started)} ago{drains}: {present[0].text}"
    weight = max(finding.weight for finding in present)
    return [LogFinding(BUSY, STARTS, text, False, weight), *(each for each in findings if each.over)]
