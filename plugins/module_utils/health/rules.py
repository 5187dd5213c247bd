# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loader of rules, which are data in YAML files. Pure.

Loading is strict: anything unknown is an error that names the file and the rule. A rule that is skipped silently would
look like a rule that found nothing. docs/rules.md describes the format.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Iterable, Sequence

from ..catalog import COMPONENTS, SCENARIOS
from .expressions import Expression, ExpressionError, compile_expression
from .rule_inputs import DISCOVERY, OF_CLUSTER, OF_INSTANCE, WORKLOADS
from .rule_messages import Message, MessageError, parse_message
from .strict_yaml import load_yaml

FORMAT = "cloudpods.diagnostics/rules"
VERSION = 1

WARNING, CRITICAL = "warning", "critical"
SEVERITIES = (WARNING, CRITICAL)
INSTANCE, COMPONENT, CLUSTER, FLEET = SCOPES = ("instance", "component", "cluster", "fleet")
AT_LEAST, AT_MOST = "at_least", "at_most"
TRANSPORTS = ("kubernetes", "host", "keystone", "url")

# Impact of a problem: it holds up everything that needs the service, a part of it, or nothing yet. Findings of one
# severity are reported in this order. A problem that has ended (over) is reported last, whatever its rule says.
EVERYTHING, PART, NOTHING, OVER = "everything", "part", "nothing", "over"
HOLDS_UP = (EVERYTHING, PART, NOTHING)
TOLD_ORDER = (*HOLDS_UP, OVER)

# Fields of an item with a special meaning, and the fields that every message may use.
VALUE, SUBJECT = "value", "subject"
# Seconds since the problem ended, or null while it lasts. An ended problem is a warning at most.
OVER_SECONDS = "over_seconds"
PLACE_FIELDS = ("cluster", "component", "instance")
_MESSAGE_FIELDS = frozenset((*PLACE_FIELDS, "threshold"))

# Field that an expression reads -> the need that the rule has to state.
_WORDS = dict({name: name for name in OF_INSTANCE}, versions="version", workloads=WORKLOADS, absent=DISCOVERY)
_NAME = re.compile(r"[a-z][a-z0-9_]{2,63}\Z")


class RuleError(ValueError):
    """A file of rules is wrong. The message names the file and, if there is one, the rule."""

    def __init__(self, file: str, place: str, what: str) -> None:
        super().__init__(f"{file}: {place + ': ' if place else ''}{what}")


@dataclass(frozen=True)
class Threshold:
    """Number that rules compare with and users can set."""

    name: str
    default: float
    unit: str
    what: str


@dataclass(frozen=True)
class Levels:
    """Severity of an item by its value: at_least or at_most the named thresholds ("" for none)."""

    compare: str
    warning: str
    critical: str

    def of(self, value: Any, thresholds: dict[str, Any]) -> tuple[str, Any]:
        """Return (severity, the threshold that was reached), or ("", None)."""
        for severity, name in ((CRITICAL, self.critical), (WARNING, self.warning)):
            if name and (value >= thresholds[name] if self.compare == AT_LEAST else value <= thresholds[name]):
                return severity, thresholds[name]
        return "", None


@dataclass(frozen=True)
class Rule:
    """One rule. components: None for all. severity: "" if levels decide.

    holds_up: one of HOLDS_UP. covers: ids of rules that a finding of this rule inhibits at the same place and subject.
    """

    id: str
    title: str
    scope: str
    needs: tuple[str, ...]
    expression: Expression
    severity: str
    levels: Levels | None
    message: Message
    advice: str
    reference: str
    scenario: str
    holds_up: str
    components: frozenset[str] | None
    exceptions: frozenset[str]
    transports: frozenset[str]
    covers: tuple[str, ...]
    examples: tuple[Any, ...]
    file: str

    def applies_to(self, component: str, transport: str) -> bool:
        """Return whether the rule applies to this component and transport. component: "" for wider scopes."""
        if self.transports and transport not in self.transports:
            return False
        return component not in self.exceptions and (self.components is None or component in self.components)


@dataclass(frozen=True)
class RuleSet:
    """Rules of a run, in the order of their files, and the thresholds that they use."""

    rules: tuple[Rule, ...]
    thresholds: dict[str, Threshold]

    def of_scope(self, scope: str) -> list[Rule]:
        return [rule for rule in self.rules if rule.scope == scope]

    def values(self, overrides: dict[str, Any]) -> dict[str, Any]:
        """Return the values of the thresholds. Raise ValueError for an unknown override, or one that is no number."""
        values: dict[str, Any] = {name: threshold.default for name, threshold in self.thresholds.items()}
        for name, given in overrides.items():
            if name not in values:
                raise ValueError(f"there is no threshold '{name}'; there are: {', '.join(sorted(values))}")
            try:
                values[name] = _number(given)
            except ValueError as error:
                raise ValueError(f"the threshold '{name}' has to be a number, not {given!r}") from error
        return values


def _number(value: Any) -> Any:
    """Return a finite number. Ansible may pass it as text. Raise ValueError for anything else."""
    if isinstance(value, bool):
        raise ValueError("a truth value")
    if not isinstance(value, (int, float)):
        value = float(value) if isinstance(value, str) else None
    if value is None or not math.isfinite(value):
        raise ValueError("not a number")
    return value


def load_rules(sources: Iterable[tuple[str, str]]) -> RuleSet:
    """Load rules from (file name, text) pairs. Raise RuleError at the first error."""
    rules: dict[str, Rule] = {}
    thresholds: dict[str, Threshold] = {}
    for file, text in sources:
        data = _parse(file, text)
        for name, given in data.get("thresholds", {}).items():
            if name in thresholds:
                raise RuleError(file, f"threshold {name}", "there is one of that name already")
            thresholds[name] = _threshold(file, name, given)
        own = data.get("components", [])
        for given in data["rules"]:
            rule = _RuleReader(file, given, own).rule()
            if rule.id in rules:
                raise RuleError(file, rule.id, f"there is a rule of that id already, in {rules[rule.id].file}")
            rules[rule.id] = rule
    if not rules:
        raise RuleError(", ".join(file for file, _text in sources) or "rules", "", "there are no rules")
    _check_references(rules, thresholds)
    return RuleSet(tuple(rules.values()), thresholds)


def _parse(file: str, text: str) -> dict[str, Any]:
    try:
        data = load_yaml(text)
    except ValueError as error:
        raise RuleError(file, "", str(error)) from error
    _check_keys(
        file, "", data, {"format": str, "version": int, "rules": list}, {"thresholds": dict, "components": list}
    )
    if data["format"] != FORMAT or data["version"] != VERSION:
        raise RuleError(file, "", f"format and version have to be {FORMAT} and {VERSION}")
    return dict(data)


def _threshold(file: str, name: Any, given: Any) -> Threshold:
    place = f"threshold {name}"
    if not isinstance(name, str) or not _NAME.match(name):
        raise RuleError(file, place, "its name has to consist of lower-case letters, digits and underscores")
    _check_keys(file, place, given, {"default": (int, float), "unit": str, "what": str}, {})
    return Threshold(name, given["default"], given["unit"], given["what"])


def _check_keys(file: str, place: str, given: Any, needed: dict[str, Any], optional: dict[str, Any]) -> None:
    """Raise RuleError unless this is a mapping with the needed keys, no unknown keys, and values of these types."""
    if not isinstance(given, dict):
        raise RuleError(file, place, "has to be a mapping")
    for key in needed:
        if key not in given:
            raise RuleError(file, place, f"lacks '{key}'")
    known = dict(needed, **optional)
    for key, value in given.items():
        if key not in known:
            raise RuleError(file, place, f"unknown key '{key}'; known are: {', '.join(sorted(known))}")
        if not isinstance(value, known[key]) or isinstance(value, bool) or value in ("", [], {}):
            raise RuleError(file, place, f"'{key}' has to be a {_type_name(known[key])}, and not empty")


def _type_name(kind: Any) -> str:
    return {str: "text", list: "list", dict: "mapping"}.get(kind, "number")


_NEEDED: dict[str, Any] = {
    "id": str,
    "title": str,
    "scope": str,
    "expression": str,
    "message": str,
    "advice": str,
    "reference": str,
}
_OPTIONAL: dict[str, Any] = {
    "severity": str,
    "levels": dict,
    "needs": list,
    "applies_to": dict,
    "scenario": str,
    "holds_up": str,
    "covers": list,
    "examples": list,
}


class _RuleReader:
    """Strict reader of one rule of a file."""

    def __init__(self, file: str, given: Any, own_components: Sequence[Any]) -> None:
        self._file = file
        self._given = given
        self._place = str(given.get("id", "a rule without id"))[:80] if isinstance(given, dict) else "a rule"
        self._components = {*COMPONENTS, *own_components}

    def _error(self, what: str) -> RuleError:
        return RuleError(self._file, self._place, what)

    def rule(self) -> Rule:
        given = self._given
        _check_keys(self._file, self._place, given, _NEEDED, _OPTIONAL)
        if not _NAME.match(given["id"]):
            raise self._error("'id' has to consist of lower-case letters, digits and underscores")
        self._one_of("scope", given["scope"], SCOPES)
        if "scenario" in given:
            self._one_of("scenario", given["scenario"], SCENARIOS)
        if "holds_up" in given:
            self._one_of("holds_up", given["holds_up"], HOLDS_UP)
        expression = self._expression()
        severity, levels = self._severity(expression)
        components, exceptions, transports = self._applies_to()
        return Rule(
            id=given["id"],
            title=given["title"],
            scope=given["scope"],
            needs=self._needs(expression),
            expression=expression,
            severity=severity,
            levels=levels,
            message=self._message(expression),
            advice=given["advice"].strip(),
            reference=given["reference"],
            scenario=given.get("scenario", ""),
            holds_up=given.get("holds_up", PART),
            components=components,
            exceptions=exceptions,
            transports=transports,
            covers=tuple(self._names("covers", given.get("covers", []))),
            examples=tuple(given.get("examples", [])),
            file=self._file,
        )

    def _one_of(self, key: str, value: Any, known: Iterable[str]) -> None:
        if not isinstance(value, str) or value not in known:
            raise self._error(f"'{key}' is {value!r}; known are: {', '.join(sorted(known))}")

    def _names(self, key: str, values: Any, known: Iterable[str] | None = None) -> list[str]:
        for value in values if isinstance(values, list) else [None]:
            if known is not None:
                self._one_of(key, value, known)
            elif not isinstance(value, str):
                raise self._error(f"'{key}' has to be a list of names")
        if len(set(values)) != len(values):
            raise self._error(f"'{key}' names something twice")
        return list(values)

    def _expression(self) -> Expression:
        try:
            return compile_expression(self._given["expression"])
        except ExpressionError as error:
            raise self._error(f"'expression': {error}") from error

    def _needs(self, expression: Expression) -> tuple[str, ...]:
        known = OF_INSTANCE if self._given["scope"] == INSTANCE else (*OF_INSTANCE, *OF_CLUSTER)
        needs = self._names("needs", self._given.get("needs", []), known)
        unstated = sorted({_WORDS[word] for word in expression.names_read if word in _WORDS} - set(needs))
        if unstated:
            raise self._error(f"'expression' reads {', '.join(unstated)}, which 'needs' does not name")
        return tuple(needs)

    def _severity(self, expression: Expression) -> tuple[str, Levels | None]:
        given = self._given
        if ("severity" in given) == ("levels" in given):
            raise self._error("it has to have either 'severity' or 'levels'")
        if "severity" in given:
            self._one_of("severity", given["severity"], SEVERITIES)
            return given["severity"], None
        levels = given["levels"]
        _check_keys(self._file, self._place + ": levels", levels, {"compare": str}, {WARNING: str, CRITICAL: str})
        self._one_of("compare", levels["compare"], (AT_LEAST, AT_MOST))
        if len(levels) == 1:
            raise self._error("'levels' needs a threshold for warning, critical, or both")
        if VALUE not in expression.fields:
            raise self._error("'levels' compare the items' field 'value', which 'expression' does not give")
        return "", Levels(levels["compare"], levels.get(WARNING, ""), levels.get(CRITICAL, ""))

    def _message(self, expression: Expression) -> Message:
        known = expression.fields | _MESSAGE_FIELDS
        try:
            message = parse_message(self._given["message"])
        except MessageError as error:
            raise self._error(f"'message' {error}") from error
        for field in sorted(message.fields - known):
            may = ", ".join(f"{{{name}}}" for name in sorted(known))
            raise self._error(f"'message' has {{{field}}}; allowed are only: {may}")
        return message

    def _applies_to(self) -> tuple[frozenset[str] | None, frozenset[str], frozenset[str]]:
        given = self._given.get("applies_to", {})
        kinds = {"components": list, "except": list, "transports": list}
        _check_keys(self._file, self._place + ": applies_to", given, {}, kinds)
        if self._given["scope"] in (CLUSTER, FLEET) and {"components", "except"} & set(given):
            raise self._error("a rule of this scope looks at all components: it cannot apply to some")
        if self._given["scope"] == FLEET and given:
            raise self._error("a rule of this scope looks at all clusters: 'applies_to' has no meaning there")
        components = self._names("components", given.get("components", []), self._components)
        exceptions = self._names("except", given.get("except", []), self._components)
        transports = self._names("transports", given.get("transports", []), TRANSPORTS)
        return frozenset(components) or None, frozenset(exceptions), frozenset(transports)


def _check_references(rules: dict[str, Rule], thresholds: dict[str, Threshold]) -> None:
    """Raise RuleError if a rule refers to something unknown, or a threshold is unused."""
    used = set()
    for rule in rules.values():
        named = set(rule.expression.thresholds)
        named |= {rule.levels.warning, rule.levels.critical} - {""} if rule.levels else set()
        for name in sorted(named - set(thresholds)):
            raise RuleError(rule.file, rule.id, f"there is no threshold '{name}'")
        for name in rule.covers:
            if name not in rules or name == rule.id:
                raise RuleError(rule.file, rule.id, f"'covers' names '{name}', which is not another rule")
        used |= named
    for rule in rules.values():
        if rule.id in _reached(rules, rule.covers):
            raise RuleError(rule.file, rule.id, "'covers' leads back to the rule itself")
    for name in sorted(set(thresholds) - used):
        raise RuleError("rules", f"threshold {name}", "no rule uses it")


def _reached(rules: dict[str, Rule], start: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    todo = list(start)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += rules[name].covers
    return seen
