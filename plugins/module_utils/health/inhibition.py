# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibition of findings by more telling findings about the same trouble. Pure.

The rule key `covers` says which rules a rule inhibits. Prometheus Alertmanager uses the term in the same sense.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Iterable

from .evaluate import VERDICTS, Finding
from .rules import OVER, Rule


def inhibit(findings: Iterable[Finding], rules: dict[str, Rule]) -> tuple[list[Finding], list[tuple[Finding, str]]]:
    """Of several findings on one trouble only that is told which says most.

    (told, [(covered, id of a rule that covers it, of one that is told where there is one)])

    A finding is covered where a rule that covers its rule found something of at least the same severity in the same
    place and on the same subject; one that names no instance (or subject) is about all of them.
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
    by = [
        [other for name in coverers[one.rule] for other in _near(found, one, name) if _says_more(other, one)]
        for one in findings
    ]
    told = [one for one, others in zip(findings, by) if not others]
    names = {id(one) for one in told}
    covered = [
        (one, next((other for other in others if id(other) in names), others[0]).rule)
        for one, others in zip(findings, by)
        if others
    ]
    return told, covered


def _near(found: dict[tuple[str, ...], list[Finding]], one: Finding, rule: str) -> list[Finding]:
    """What that rule found at the instance of a finding, or at the component as a whole."""
    place = (one.cluster, one.component, rule)
    if not one.instance:
        return found.get(place, [])
    return found.get((*place, one.instance), []) + found.get((*place, ""), [])


def _says_more(other: Finding, one: Finding) -> bool:
    if other.holds_up == OVER != one.holds_up:
        return False  # what was says nothing of what is
    same_subject = other.subject == one.subject or not (other.subject and one.subject)
    return same_subject and VERDICTS.index(other.severity) >= VERDICTS.index(one.severity)
