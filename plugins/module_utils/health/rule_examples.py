# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runner of the examples in rules: each is an audit of a few documents with an expected result. Pure.

Keys of an example: `expect` (warning, critical, silent, unknown or not_applicable), `message` (the text of the first
finding), and documents as audits read them: `status` or `statuses`, `cluster` or `clusters`. Keys of a document that do
not matter may be left out.
"""

from __future__ import annotations

import copy
from typing import Any

from .audit import Audit
from .document_schemas import CLUSTER_FORMAT, STATUS_FORMAT, VERSION
from .evaluate import FOUND, NOT_APPLICABLE, OK, OUTCOMES, UNKNOWN, VERDICTS
from .rules import SEVERITIES, Rule, RuleSet
from .schema_checks import SchemaError

SILENT = "silent"
EXPECTATIONS = (*SEVERITIES, SILENT, UNKNOWN, NOT_APPLICABLE)
_KEYS = frozenset(("expect", "name", "message", "status", "statuses", "cluster", "clusters"))
_NOW = "2026-01-02T04:00:00Z"
_AT = "2026-01-02T03:59:00.000Z"


def failed_examples(rules: RuleSet) -> list[str]:
    """Return one line for each example that fails or is malformed."""
    problems = []
    for rule in rules.rules:
        alone = RuleSet((rule,), rules.thresholds)
        for number, example in enumerate(rule.examples, 1):
            what = _failure(alone, rule, example)
            if what:
                problems.append(f"{rule.file}: {rule.id}: example {number}: {what}")
    return problems


def _failure(rules: RuleSet, rule: Rule, example: Any) -> str:
    """Return the error of an example, or ""."""
    if not isinstance(example, dict) or not set(example) <= _KEYS:
        return f"it has to be a mapping with keys of {', '.join(sorted(_KEYS))}"
    if example.get("expect") not in EXPECTATIONS:
        return f"'expect' has to be one of {', '.join(EXPECTATIONS)}"
    try:
        audit = _audit(rules, rule, example)
    except (TypeError, AttributeError, SchemaError) as error:
        return f"it cannot be made into documents: {error}"
    if audit.problems:
        return "it makes no documents: {}: {}".format(*audit.problems[0])
    result = _outcome(audit, rule)
    if result != example["expect"]:
        message = f" ({audit.findings[0].message})" if audit.findings else ""
        return f"expected {example['expect']}, got {result}{message}"
    if "message" in example and (not audit.findings or audit.findings[0].message != example["message"]):
        return f"the message is {audit.findings[0].message if audit.findings else None!r}"
    return ""


def _outcome(audit: Audit, rule: Rule) -> str:
    if audit.findings:
        return max((finding.severity for finding in audit.findings), key=VERDICTS.index)
    counts = [0] * len(OUTCOMES)
    for tally in audit.tally.values():
        counts = [one + other for one, other in zip(counts, tally.get(rule.id, counts))]
    for kind, word in ((FOUND, FOUND), (UNKNOWN, UNKNOWN), (OK, SILENT)):
        if counts[OUTCOMES.index(kind)]:
            return word
    return NOT_APPLICABLE


def _audit(rules: RuleSet, rule: Rule, example: dict[str, Any]) -> Audit:
    """Return the audit of the example's documents with this rule alone."""
    audit = Audit(rules, rules.values({}), _NOW)
    clusters = example.get("clusters", [example["cluster"]] if "cluster" in example else [{}])
    for given in clusters:
        base = {
            "format": CLUSTER_FORMAT,
            "version": VERSION,
            "cluster": "c",
            "transport": "kubernetes",
            "components": [],
            "named": False,
            "workloads": [],
            "workloads_known": True,
            "problems": [],
        }
        audit.add_cluster(dict(base, **given))
    component = next(iter(sorted(rule.components or ())), "region")
    statuses = example.get("statuses", [example["status"]] if "status" in example else [])
    for number, given in enumerate(statuses, 1):
        instance = {
            "cluster": "c",
            "component": component,
            "name": f"{component}-{number}",
            "namespace": "onecloud",
            "ready": True,
            "state": "running",
        }
        base = {
            "format": STATUS_FORMAT,
            "version": VERSION,
            "collected": _AT,
            "expected": [],
            "samples": [],
            "missing": [],
            "window": None,
            "certificate": None,
            "log": None,
        }
        raw = dict(base, **copy.deepcopy(given))
        raw["instance"] = dict(instance, **raw.get("instance", {}))
        audit.add_status(f"c/{component}/{component}-{number}/status.json", raw)
    audit.finish()
    return audit
