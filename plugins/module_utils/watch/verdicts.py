# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on pools, instances and components, and what they rest on. Pure.

A verdict says the worst that was proved. The rules that give verdicts are in pool_rules.py and instance_rules.py;
docs/log-patterns.md shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Sequence

from ..text import counted

HEALTHY, UNKNOWN, BUSY, STUCK, DROPPING = "healthy", "unknown", "busy", "stuck", "dropping"
# The better first.
VERDICTS = (HEALTHY, UNKNOWN, BUSY, STUCK, DROPPING)

# All rules, the weightiest first.
ORDER = (
    "tasks_lost",
    "requests_refused",
    "crash_loop",
    "process_ended",
    "queue_grows",
    "oldest_task",
    "workers_detached",
    "busy_for_hours",
    "cycles_grow",
    "process_crashed",
    "trouble",
    "requests_slow",
    "tasks_wait",
    "starts",
    "process_stopped",
    "not_running",
    "ping_unanswered",
    "not_ready",
    "no_sign_of_life",
    "restarted",
    "not_read",
    "gap",
    "nothing_written",
    "too_short",
    "quiet",
    "warning",
)
# Rules that tell that something is not known, and nothing of trouble.
NO_TROUBLE = ("not_read", "gap", "nothing_written", "too_short")
MAX_EVIDENCE = 12
_PLACES = {rule: place for place, rule in enumerate(ORDER)}


@dataclass(frozen=True)
class LogFinding:
    """One thing that was seen. verdict: what it amounts to at this moment; rule: an id of ORDER; text: for people.

    over: it had ended before. weight: how many tasks or requests it holds up, or how many were lost.
    """

    verdict: str
    rule: str
    text: str
    over: bool = False
    weight: int = 0

    @property
    def severity(self) -> tuple[int, int, int]:
        """The worse first: lost tasks before refused ones, whatever their number; else what holds up more."""
        place = _PLACES.get(self.rule, len(ORDER))
        return -VERDICTS.index(self.verdict), place if self.verdict == DROPPING else -self.weight, place

    @property
    def key(self) -> tuple[Any, ...]:
        """The order of evidence: the present before what is over, then the worse."""
        return self.over, self.severity, -self.weight, self.text


@dataclass(frozen=True)
class LogVerdict:
    """A verdict. rule: an id of ORDER; evidence: sentences for people, those of present trouble first.

    over: what was seen had ended before the watching did. parts: of an instance the judgements on its pools, of a
    component those on its instances. name: the pool's, instance's or component's. weight: see Finding.
    """

    verdict: str
    rule: str
    evidence: tuple[str, ...] = ()
    over: bool = False
    name: str = ""
    parts: tuple[LogVerdict, ...] = ()
    weight: int = 0
    findings: tuple[LogFinding, ...] = field(default=(), repr=False)

    def document(self) -> dict[str, Any]:
        """For log.json."""
        made: dict[str, Any] = {"verdict": self.verdict, "rule": self.rule, "over": self.over}
        return {**made, "evidence": list(self.evidence)}


def settle(findings: Iterable[LogFinding], name: str = "", parts: tuple[LogVerdict, ...] = ()) -> LogVerdict:
    """Return the judgement that findings (at least one) amount to: the worst of them gives the verdict."""
    ordered = sorted(findings, key=lambda each: each.key)
    worst = min(ordered, key=lambda each: (-VERDICTS.index(each.verdict), each.key))
    # What is only not known does not keep a trouble from being over; what is suspicious does.
    over = worst.over and all(each.over or each.verdict == HEALTHY or each.rule in NO_TROUBLE for each in ordered)
    weight = max(each.weight for each in ordered if each.verdict == worst.verdict)
    evidence = tuple(dict.fromkeys(each.text for each in ordered if each.text))[:MAX_EVIDENCE]
    return LogVerdict(worst.verdict, worst.rule, evidence, over, name, parts, weight, tuple(ordered))


def by_weight(judgements: Iterable[LogVerdict]) -> list[LogVerdict]:
    """The worst first; of equal ones those that are not over, then what holds up more."""

    def key(each: LogVerdict) -> tuple[Any, ...]:
        severity = LogFinding(each.verdict, each.rule, "", weight=each.weight).severity
        return severity[0], each.over, severity, -each.weight, each.name

    return sorted(judgements, key=key)


def component_verdict(instances: Sequence[LogVerdict], name: str = "") -> LogVerdict:
    """The worst of its instances, and how many of them have which verdict."""
    if not instances:
        return LogVerdict(UNKNOWN, "not_read", ("no instance was watched",), name=name)
    ordered = by_weight(instances)
    bad = ordered[0]
    counts = {verdict: sum(each.verdict == verdict for each in instances) for verdict in reversed(VERDICTS)}
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    evidence = [f"{summary} of {counted(len(instances), 'instance')}"]
    evidence += [
        f"{each.name}: {each.evidence[0]}" for each in ordered if each.verdict == bad.verdict and each.evidence
    ]
    weight = sum(each.weight for each in instances if each.verdict == bad.verdict)
    return LogVerdict(bad.verdict, bad.rule, tuple(evidence[:4]), bad.over, name, tuple(instances), weight)
