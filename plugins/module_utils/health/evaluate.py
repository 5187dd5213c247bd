# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluation of one rule on one document: findings, or the reason why there is no answer. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Sequence

from .expressions import Bound, EvaluationError
from .rule_inputs import GAP, NOT_ASKED, Availability
from .rule_messages import display, shorten
from .rules import AT_MOST, CRITICAL, OVER, OVER_SECONDS, PLACE_FIELDS, SUBJECT, TOLD_ORDER, VALUE, WARNING, Rule

# In order of severity. A finding has one of the last two.
OK, UNKNOWN = "ok", "unknown"
VERDICTS = (OK, UNKNOWN, WARNING, CRITICAL)

# Outcomes of a rule at one place.
FOUND, NOT_APPLICABLE = "found", "not_applicable"
OUTCOMES = (OK, FOUND, UNKNOWN, NOT_APPLICABLE)

# A field of items: the path of the file with the evidence. Items of instance rules need none.
ARTIFACT = "artifact"

MAX_ITEMS = 20


@dataclass(frozen=True)
class Finding:
    """Finding of a rule at one place. value and threshold are numbers, or None if the rule compares none.

    holds_up: one of rules.TOLD_ORDER.
    """

    rule: str
    severity: str
    holds_up: str
    cluster: str
    component: str
    instance: str
    subject: str
    value: Any
    threshold: Any
    message: str
    artifact: str
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Place of the finding, for display."""
        return "/".join(part for part in (self.cluster, self.component, self.instance) if part) or "fleet"

    @property
    def urgency(self) -> tuple[int, int]:
        """Sort key: the more severe first, then what holds up more."""
        return -VERDICTS.index(self.severity), TOLD_ORDER.index(self.holds_up)


@dataclass(frozen=True)
class RuleOutcome:
    """Result of a rule at one place. left_out: the number of findings beyond MAX_ITEMS."""

    kind: str
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    left_out: int = 0


_DOES_NOT_APPLY = RuleOutcome(NOT_APPLICABLE)
_NOTHING_FOUND = RuleOutcome(OK)


def worst(verdicts: Sequence[str]) -> str:
    """Return the worst verdict, or ok if there is none."""
    return max(verdicts, key=VERDICTS.index, default=OK)


def evaluate_rule(
    rule: Rule,
    document: dict[str, Any],
    available: Availability,
    thresholds: dict[str, Any],
    bound: Bound,
) -> RuleOutcome:
    """Evaluate the rule on the document. bound: its expression with these thresholds.

    Findings count even if data is missing. Silence counts as ok only if all data was there.
    """
    transport = document.get("transport")
    if rule.transports and transport == "":
        return RuleOutcome(UNKNOWN, reason="the transport by which it was reached is not known")
    if transport is not None and not rule.applies_to(document.get("component", ""), transport):
        return _DOES_NOT_APPLY
    if available.state == NOT_ASKED:
        return _DOES_NOT_APPLY
    if available.decisive:
        return RuleOutcome(UNKNOWN, reason=available.reason)
    try:
        items = bound.items(document)
        found, unclear = _findings(rule, items, document, thresholds)
    except EvaluationError as error:
        return RuleOutcome(
            UNKNOWN, reason=available.reason or f"the rule cannot be evaluated on this data: {shorten(str(error))}"
        )
    if found:
        # The worst first, then the most extreme values.
        sign = 1 if rule.levels is not None and rule.levels.compare == AT_MOST else -1
        found.sort(key=lambda one: (one.urgency, sign * (one.value or 0), one.instance, one.subject))
        return RuleOutcome(FOUND, tuple(found[:MAX_ITEMS]), left_out=max(0, len(found) - MAX_ITEMS))
    if available.state == GAP:
        return RuleOutcome(UNKNOWN, reason=available.reason)
    return RuleOutcome(UNKNOWN, reason="a value that the rule compares is missing") if unclear else _NOTHING_FOUND


def _findings(
    rule: Rule, items: Sequence[dict[str, Any]], document: dict[str, Any], thresholds: dict[str, Any]
) -> tuple[list[Finding], bool]:
    """Return the findings among the items, and whether any value could not be compared."""
    found, unclear = [], False
    for item in items:
        severity, threshold = rule.severity, None
        value = item.get(VALUE)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            value = None
        if rule.levels is not None:
            if value is None:
                unclear = True
                continue
            severity, threshold = rule.levels.of(value, thresholds)
        if severity:
            found.append(_finding(rule, item, document, (severity, value, threshold)))
    return found, unclear


def _finding(rule: Rule, item: dict[str, Any], document: dict[str, Any], compared: tuple[str, Any, Any]) -> Finding:
    severity, value, threshold = compared
    # The problem has ended: its severity is a warning at most.
    holds_up = rule.holds_up if item.get(OVER_SECONDS) is None else OVER
    if holds_up == OVER:
        severity = WARNING
    own = {
        "cluster": document.get("cluster", ""),
        "component": document.get("component", ""),
        "instance": document.get("instance", {}).get("name", ""),
    }
    place = {key: display(item[key]) if item.get(key) is not None else own[key] for key in PLACE_FIELDS}
    # If an expression returns several kinds of items, an item may lack fields of the message.
    values = dict(item, threshold=threshold, **place)
    return Finding(
        rule=rule.id,
        severity=severity,
        holds_up=holds_up,
        subject=display(item[SUBJECT]) if item.get(SUBJECT) is not None else "",
        value=_rounded(value),
        threshold=threshold,
        message=rule.message.fill(values),
        artifact=display(item[ARTIFACT]) if ARTIFACT in item else document.get("path", ""),
        fields={
            key: _bounded(part) for key, part in item.items() if key not in (*PLACE_FIELDS, SUBJECT, VALUE, ARTIFACT)
        },
        **place,
    )


def _rounded(value: Any) -> Any:
    """Return a number that JSON can hold."""
    if not isinstance(value, float):
        return value
    return round(value, 6) if math.isfinite(value) else None


def _bounded(value: Any) -> Any:
    """Return a field of an item as evidence, cut to a bounded size."""
    if isinstance(value, list):
        return [_bounded(part) for part in value[:MAX_ITEMS]]
    if isinstance(value, (dict, str)):
        return display(value)
    return _rounded(value)
