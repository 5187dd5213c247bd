# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One rule and one document: what was found, or why that cannot be said. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Sequence

from .expressions import Bound, EvaluationError
from .rule_inputs import GAP, NOT_ASKED, Availability
from .rule_messages import display, shorten
from .rules import AT_MOST, CRITICAL, OVER, OVER_SECONDS, PLACE_FIELDS, SUBJECT, TOLD_ORDER, VALUE, WARNING, Rule

# Worse comes later. A verdict is one of these; a finding's severity is one of the last two.
OK, UNKNOWN = "ok", "unknown"
VERDICTS = (OK, UNKNOWN, WARNING, CRITICAL)

# What became of a rule at one place.
FOUND, NOT_APPLICABLE = "found", "not_applicable"
OUTCOMES = (OK, FOUND, UNKNOWN, NOT_APPLICABLE)

# A field of items that names the file in which the evidence stands; an instance's own document is known anyway.
ARTIFACT = "artifact"

MAX_ITEMS = 20


@dataclass(frozen=True)
class Finding:
    """What a rule found at one place. value and threshold are numbers, or None where the rule compares none.

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
        """Where it is, for people."""
        return "/".join(part for part in (self.cluster, self.component, self.instance) if part) or "fleet"

    @property
    def urgency(self) -> tuple[int, int]:
        """By what findings are sorted: what is worse and holds up more comes first."""
        return -VERDICTS.index(self.severity), TOLD_ORDER.index(self.holds_up)


@dataclass(frozen=True)
class RuleOutcome:
    """What became of a rule at one place. left_out: findings beyond MAX_ITEMS."""

    kind: str
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    left_out: int = 0


_DOES_NOT_APPLY = RuleOutcome(NOT_APPLICABLE)
_NOTHING_FOUND = RuleOutcome(OK)


def worst(verdicts: Sequence[str]) -> str:
    """The worst of some verdicts; ok of none."""
    return max(verdicts, key=VERDICTS.index, default=OK)


def evaluate_rule(
    rule: Rule,
    document: dict[str, Any],
    available: Availability,
    thresholds: dict[str, Any],
    bound: Bound,
) -> RuleOutcome:
    """What the rule says of the document. bound: its expression, with these thresholds.

    What it finds in part of the data is found; silence counts only where all the data was there.
    """
    transport = document.get("transport")
    if rule.transports and transport == "":
        return RuleOutcome(UNKNOWN, reason="it is not known how this was reached")
    if transport is not None and not rule.applies_to(document.get("component", ""), transport):
        return _DOES_NOT_APPLY
    if available.state == NOT_ASKED:
        return _DOES_NOT_APPLY
    if available.decisive:
        return RuleOutcome(UNKNOWN, reason=available.reason)
    try:
        items = bound.items(document)
        found, unclear = _weigh(rule, items, document, thresholds)
    except EvaluationError as error:
        return RuleOutcome(
            UNKNOWN, reason=available.reason or f"the rule cannot be evaluated on this data: {shorten(str(error))}"
        )
    if found:
        # The worst first, and of these the most telling values.
        sign = 1 if rule.levels is not None and rule.levels.compare == AT_MOST else -1
        found.sort(key=lambda one: (one.urgency, sign * (one.value or 0), one.instance, one.subject))
        return RuleOutcome(FOUND, tuple(found[:MAX_ITEMS]), left_out=max(0, len(found) - MAX_ITEMS))
    if available.state == GAP:
        return RuleOutcome(UNKNOWN, reason=available.reason)
    return RuleOutcome(UNKNOWN, reason="a figure that it compares is missing") if unclear else _NOTHING_FOUND


def _weigh(
    rule: Rule, items: Sequence[dict[str, Any]], document: dict[str, Any], thresholds: dict[str, Any]
) -> tuple[list[Finding], bool]:
    """The findings among the items; and whether the value of any could not be compared."""
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


def _finding(rule: Rule, item: dict[str, Any], document: dict[str, Any], weight: tuple[str, Any, Any]) -> Finding:
    severity, value, threshold = weight
    # It is over at this number of seconds ago, whatever it was.
    holds_up = rule.holds_up if item.get(OVER_SECONDS) is None else OVER
    if holds_up == OVER:
        severity = WARNING
    own = {
        "cluster": document.get("cluster", ""),
        "component": document.get("component", ""),
        "instance": document.get("instance", {}).get("name", ""),
    }
    place = {key: display(item[key]) if item.get(key) is not None else own[key] for key in PLACE_FIELDS}
    # Where an expression gives several kinds of items, one need not have all the fields of the message.
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
    """A number as JSON can hold it."""
    if not isinstance(value, float):
        return value
    return round(value, 6) if math.isfinite(value) else None


def _bounded(value: Any) -> Any:
    """A field of an item as evidence: as it is, but for its size."""
    if isinstance(value, list):
        return [_bounded(part) for part in value[:MAX_ITEMS]]
    if isinstance(value, (dict, str)):
        return display(value)
    return _rounded(value)
