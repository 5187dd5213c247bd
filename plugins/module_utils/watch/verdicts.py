# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was seen in logs to verdicts on pools, instances and components. Pure.

The rules are the table RULES, the worst first; docs/log-patterns.md shows them. A verdict says the worst that was
proved. `unknown` is what is left where nothing bad was seen, but not everything was: a gap never makes `healthy`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Sequence

from . import times
from .pools import WATCHDOG_SECONDS, Pool

HEALTHY, UNKNOWN, BUSY, STUCK, DROPPING = "healthy", "unknown", "busy", "stuck", "dropping"
# The better first.
VERDICTS = (HEALTHY, UNKNOWN, BUSY, STUCK, DROPPING)

# The default of the services' process timeout: what runs longer should have been given up.
STUCK_SECONDS = 60.0
# Ten rounds of the watchdog are five minutes: longer than requests may take and most tasks do.
STUCK_CYCLES = 10
STUCK_REPORTS = 2
# As many as the pools for requests have workers: a whole pool's work runs on outside of it.
STUCK_DETACHED = 8
# A pool of which the watchdog is silent for so many rounds was idle at one of them.
DRAIN_ROUNDS = 2.5
# The watchdog speaks at the second round at which a pool is busy.
FIRST_ROUNDS = 2.0


@dataclass(frozen=True)
class Judgement:
    """A verdict. rule: the id in RULES; evidence: sentences for people, the weightiest first.

    over: what was seen had ended before the watching did. parts: of an instance the judgements on its pools, of a
    component those on its instances. name: the pool's, instance's or component's.
    """

    verdict: str
    rule: str
    evidence: tuple[str, ...] = ()
    over: bool = False
    name: str = ""
    parts: tuple[Judgement, ...] = ()

    def document(self) -> dict[str, Any]:
        """For log.json."""
        made: dict[str, Any] = {"verdict": self.verdict, "rule": self.rule, "over": self.over}
        return {**made, "evidence": list(self.evidence)}


@dataclass(frozen=True)
class Situation:
    """What the rules look at.

    interval: of the watchdog, as far as its lines show it. growing: it speaks of some pool of the instance still.
    blind: until when something was not seen; what was not seen was not silent.
    """

    now: float | None
    interval: float
    growing: bool = False
    blind: float = -math.inf

    def is_over(self, moment: float | None) -> bool:
        """Whether the watchdog was silent for so long since then that the pool must have been idle."""
        if moment is None or self.now is None:
            return False
        return self.now - max(moment, self.blind) > DRAIN_ROUNDS * self.interval


@dataclass(frozen=True)
class Rule:
    """If `says` has something to say about a pool, the verdict is this one, with what it said as the evidence.

    when: for people. ends: whether it is over once the watchdog has nothing to say any more; what was lost stays lost.
    """

    id: str
    verdict: str
    when: str
    says: Callable[[Pool, Situation], tuple[str, float | None] | None] = field(compare=False)
    ends: bool = True


def _between(first: float | None, last: float | None) -> str:
    if first is None or last is None:
        return ""
    if int(first) == int(last):
        return f", at {times.utc(last)}"
    return f", from {times.utc(first)} to {times.utc(last)}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _lost(pool: Pool, _situation: Situation) -> tuple[str, float | None] | None:
    if not pool.lost.count:
        return None
    return f"{_number(pool.lost.count, 'task')} lost{_between(pool.lost.first, pool.lost.last)}", pool.lost.last


def _refused(pool: Pool, _situation: Situation) -> tuple[str, float | None] | None:
    seen = pool.refused
    if not seen.count:
        return None
    return f"{_number(seen.count, 'request')} refused with 429{_between(seen.first, seen.last)}", seen.last


def _stuck_task(pool: Pool, _situation: Situation) -> tuple[str, float | None] | None:
    task = pool.tasks.oldest
    if task is None or task.age < STUCK_SECONDS:
        return None
    since = f" since {times.utc(task.started)}" if task.started is not None else ""
    text = f"the oldest task runs{since}, {task.age:.0f} s when it was named last ({_number(task.seen.count, 'line')})"
    return f"{text}: {task.text}", task.seen.last


def _grows(pool: Pool, situation: Situation) -> tuple[str, float | None] | None:
    cycles = pool.cycles
    if cycles.reports < STUCK_REPORTS or cycles.last[1] < STUCK_CYCLES:
        return None
    (_began, first), (moment, last) = cycles.first, cycles.last
    minutes = last * situation.interval / 60
    return f"busy for {last} cycles ({minutes:.1f} minutes), growing from {first} without a pause", moment


def _left_behind(pool: Pool, _situation: Situation) -> tuple[str, float | None] | None:
    seen = pool.detached_now
    if seen.count < STUCK_DETACHED:
        return None
    return f"{_number(seen.count, 'worker')} detached, each runs on outside of its pool", seen.last


def _waits(pool: Pool, _situation: Situation) -> tuple[str, float | None] | None:
    parts, moments = [], []
    if pool.waiting.count:
        parts.append(f"no free worker of {pool.most_workers}, up to {pool.queue.series.most} tasks waited")
        moments.append(pool.waiting.last)
    task = pool.tasks.oldest
    if pool.tasks.seen.count:
        named = f", the oldest: {task.text}" if task else ""
        parts.append(f"more than 50 tasks waited ({_number(pool.tasks.seen.count, 'line')}){named}")
        moments.append(pool.tasks.seen.last)
    if pool.detached.count:
        parts.append(f"{_number(pool.detached.count, 'request')} ran into the process timeout")
        moments.append(pool.detached.last)
    if pool.cycles.seen.count:
        drained = f", idle again {_number(pool.cycles.drained, 'time')}" if pool.cycles.drained else ""
        parts.append(f"busy for up to {pool.cycles.most} cycles{drained}")
        moments.append(pool.cycles.seen.last)
    known = [moment for moment in moments if moment is not None]
    return ("; ".join(parts), max(known, default=None)) if parts else None


RULES = (
    Rule(
        "tasks_lost",
        DROPPING,
        "A pool's queue was full at least once: each line is a task that is lost. It comes before the watchdog speaks.",
        _lost,
        ends=False,
    ),
    Rule(
        "requests_refused",
        DROPPING,
        "A client was told that the request queue is full.",
        _refused,
        ends=False,
    ),
    Rule(
        "oldest_task",
        STUCK,
        f"The task that is named as the oldest runs for {STUCK_SECONDS:.0f} s or more, while over 50 wait. Hundreds of "
        "lines that name it are one finding.",
        _stuck_task,
    ),
    Rule(
        "cycles_grow",
        STUCK,
        f"The watchdog's number of cycles grew over {STUCK_REPORTS} reports or more, to {STUCK_CYCLES} or more, and "
        "the pool was not idle in between.",
        _grows,
    ),
    Rule(
        "workers_detached",
        STUCK,
        f"{STUCK_DETACHED} requests or more ran into the process timeout. The pool may look idle: they run on outside.",
        _left_behind,
    ),
    Rule(
        "tasks_wait",
        BUSY,
        "Tasks waited, requests ran into the timeout, or the watchdog found the pool busy; or what was worse is over.",
        _waits,
    ),
)
# What else an instance's verdict may rest on, by the id that stands in the field rule.
OTHER_RULES = {
    "trouble": (BUSY, "A pattern of severity critical was seen that is not about a pool."),
    "not_read": (UNKNOWN, "Nothing bad was seen, but nothing of the log was read."),
    "gap": (UNKNOWN, "Nothing bad was seen, but a part of the log was missed."),
    "nothing_written": (UNKNOWN, "The log is empty from its beginning on: the service may write to a file instead."),
    "too_short": (
        UNKNOWN,
        f"Nothing bad was seen, in less than {FIRST_ROUNDS * WATCHDOG_SECONDS:.0f} s: the watchdog cannot have spoken.",
    ),
    "quiet": (HEALTHY, "The whole time was seen, and nothing in it tells of trouble."),
}


def judge_pool(pool: Pool, situation: Situation) -> Judgement | None:
    """The verdict on a pool, with the evidence of all rules that hold; None when nothing was said about it."""
    held = [(rule, said) for rule in RULES for said in [rule.says(pool, situation)] if said is not None]
    if not held:
        return None
    # The watchdog speaks of all pools: as long as it does of one, who is stuck without a name may be in that one.
    growing = situation.growing if not pool.name else not situation.is_over(pool.cycles.last[0]) and pool.cycles.reports
    evidence = []
    verdict, first = "", ""
    over = True
    for rule, (text, moment) in held:
        ended = situation.is_over(moment) and not growing
        evidence.append(f"{text}; not any more" if ended else text)
        effective = BUSY if ended and rule.ends else rule.verdict
        if not verdict or VERDICTS.index(effective) > VERDICTS.index(verdict):
            verdict, first = effective, rule.id
        over = over and ended
    return Judgement(verdict, first, tuple(evidence), over, pool.name)


_ORDER = {rule.id: place for place, rule in enumerate(RULES)}


def by_weight(judgements: Iterable[Judgement]) -> list[Judgement]:
    """The worst first; of equal ones those that are not over, then by the order of the rules and by name."""
    return sorted(
        judgements,
        key=lambda each: (-VERDICTS.index(each.verdict), each.over, _ORDER.get(each.rule, len(RULES)), each.name),
    )


def component_verdict(instances: Sequence[Judgement], name: str = "") -> Judgement:
    """The worst of its instances, and how many of them have which verdict."""
    if not instances:
        return Judgement(UNKNOWN, "not_read", ("no instance was watched",), name=name)
    bad = by_weight(instances)[0]
    counts = {verdict: sum(each.verdict == verdict for each in instances) for verdict in reversed(VERDICTS)}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    evidence = [f"{summary} of {_number(len(instances), 'instance')}"]
    evidence += [
        f"{each.name}: {each.evidence[0]}" for each in instances if each.verdict == bad.verdict and each.evidence
    ]
    return Judgement(bad.verdict, bad.rule, tuple(evidence[:4]), bad.over, name, tuple(instances))
