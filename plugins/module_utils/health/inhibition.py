# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibition of findings by more specific findings about the same problem. Pure.

The rule key `covers` says which rules a rule inhibits. Prometheus Alertmanager uses the term in the same sense.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Iterable

from .evaluate import VERDICTS, Finding
from .rules import OVER, Rule


def inhibit(findings: Iterable[Finding], rules: dict[str, Rule]) -> tuple[list[Finding], list[tuple[Finding, str]]]:
    """Return the findings to report, and [(covered finding, id of a rule that covers it)].

    A finding is covered if a rule that covers its rule has a finding of at least the same severity in the same place
    and on the same subject. A finding without an instance (or subject) is about all of them. The id is that of a
    reported finding if there is one.
    """
    findings = list(findings)
    coverers: dict[str, list[str]] = defaultdict(list)
    for rule in rules.values():
        for name in rule.covers:
            coverers[name].append(rule.id)
    found: dict[tuple[str, ...], list[Finding]] = defaultdict(list)
    for one in findings:
        found[one.cluster, one.component, one.rule].append(one)
        found[one.cluster, one.component, one.rule, one.instance].append(one)
    coverers_of = [
        [other for name in coverers[one.rule] for other in _near(found, one, name) if _covers(other, one)]
        for one in findings
    ]
    reported = [one for one, others in zip(findings, coverers_of) if not others]
    names = {id(one) for one in reported}
    covered = [
        (one, next((other for other in others if id(other) in names), others[0]).rule)
        for one, others in zip(findings, coverers_of)
        if others
    ]
    return reported, covered


def _near(found: dict[tuple[str, ...], list[Finding]], one: Finding, rule: str) -> list[Finding]:
    """Return the findings of a rule at the instance of a finding, or at its component as a whole."""
    place = (one.cluster, one.component, rule)
    if not one.instance:
        return found.get(place, [])
    return found.get((*place, one.instance), []) + found.get((*place, ""), [])


def _covers(other: Finding, one: Finding) -> bool:
    if other.holds_up == OVER != one.holds_up:
        return False  # an ended problem does not explain a current one
    same_subject = other.subject == one.subject or not (other.subject and one.subject)
    return same_subject and VERDICTS.index(other.severity) >= VERDICTS.index(one.severity)
