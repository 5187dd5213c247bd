# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on pools, instances and components, and the findings behind them. Pure.

A verdict is the worst proven finding. The rules are in pool_rules.py and instance_rules.py; docs/log-patterns.md lists
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterable, Sequence

from ..text import counted

HEALTHY, UNKNOWN, BUSY, STUCK, DROPPING = "healthy", "unknown", "busy", "stuck", "dropping"
# In order of severity.
VERDICTS = (HEALTHY, UNKNOWN, BUSY, STUCK, DROPPING)

# All rules, the most severe first.
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
# Rules about missing knowledge, not about trouble.
NO_TROUBLE = ("not_read", "gap", "nothing_written", "too_short")
MAX_EVIDENCE = 12
_RANKS = {rule: rank for rank, rule in enumerate(ORDER)}


@dataclass(frozen=True)
class LogFinding:
    """One observation. verdict: its verdict at this moment. rule: an id of ORDER. text: for people.

    over: it has ended. weight: the number of tasks or requests that it blocks or that were lost.
    """

    verdict: str
    rule: str
    text: str
    over: bool = False
    weight: int = 0

    @property
    def severity(self) -> tuple[int, int, int]:
        """Sort key, worst first: lost tasks before refused requests, whatever their number; else by weight."""
        rank = _RANKS.get(self.rule, len(ORDER))
        return -VERDICTS.index(self.verdict), rank if self.verdict == DROPPING else -self.weight, rank

    @property
    def key(self) -> tuple[Any, ...]:
        """Sort key of evidence: present trouble before ended trouble, then by severity."""
        return self.over, self.severity, -self.weight, self.text


@dataclass(frozen=True)
class LogVerdict:
    """A verdict. rule: an id of ORDER. evidence: sentences for people, present trouble first.

    over: the trouble ended before the watch did. parts: the verdicts on an instance's pools, or on a component's
    instances. name: of the pool, instance or component. weight: see LogFinding.
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
        """Return the verdict's entry of log.json."""
        made: dict[str, Any] = {"verdict": self.verdict, "rule": self.rule, "over": self.over}
        return {**made, "evidence": list(self.evidence)}


def settle(findings: Iterable[LogFinding], name: str = "", parts: tuple[LogVerdict, ...] = ()) -> LogVerdict:
    """Return the verdict on findings (at least one): that of the worst of them."""
    ordered = sorted(findings, key=lambda each: each.key)
    worst = min(ordered, key=lambda each: (-VERDICTS.index(each.verdict), each.key))
    # Missing knowledge does not keep trouble from being over, but suspicious findings do.
    over = worst.over and all(each.over or each.verdict == HEALTHY or each.rule in NO_TROUBLE for each in ordered)
    weight = max(each.weight for each in ordered if each.verdict == worst.verdict)
    evidence = tuple(dict.fromkeys(each.text for each in ordered if each.text))[:MAX_EVIDENCE]
    return LogVerdict(worst.verdict, worst.rule, evidence, over, name, parts, weight, tuple(ordered))


def by_weight(verdicts: Iterable[LogVerdict]) -> list[LogVerdict]:
    """Sort verdicts: worst first, then those that are not over, then by weight."""

    def key(each: LogVerdict) -> tuple[Any, ...]:
        severity = LogFinding(each.verdict, each.rule, "", weight=each.weight).severity
        return severity[0], each.over, severity, -each.weight, each.name

    return sorted(verdicts, key=key)


def component_verdict(instances: Sequence[LogVerdict], name: str = "") -> LogVerdict:
    """Return the verdict on a component: that of its worst instance, with the counts of all verdicts."""
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
