# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a finished audit, as the document health.json. Pure. docs/schemas/health.schema.json describes it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Sequence

from ..catalog import FOUNDATIONS
from .audit import Audit
from .evaluate import OK, OUTCOMES, UNKNOWN, VERDICTS, Finding, worst
from .inhibition import inhibit
from .rules import SEVERITIES, Rule, RuleSet

FORMAT = "cloudpods.diagnostics/health"
VERSION = 1

_PROBLEMS_LISTED = 1000


def health_document(audit: Audit) -> dict[str, Any]:
    """Return health.json: verdicts, findings and gaps, with plain values only."""
    rules = {rule.id: rule for rule in audit.rules.rules}
    numbers = {name: number for number, name in enumerate(rules)}

    def order(finding: Finding) -> tuple[Any, ...]:
        """Sort by urgency, by how many other components need this one, and by the order of the rules."""
        needed = FOUNDATIONS.index(finding.component) if finding.component in FOUNDATIONS else len(FOUNDATIONS)
        place = (finding.cluster, finding.component, finding.instance, finding.subject)
        return (*finding.urgency, needed, numbers[finding.rule], *place)

    reported, covered = inhibit(audit.findings, rules)
    units = {rule.id: _unit(rule, audit.rules) for rule in audit.rules.rules}
    findings = [finding_document(one, rules[one.rule], units[one.rule]) for one in sorted(reported, key=order)]
    unknown = _unknown(audit, rules)
    clusters = _clusters(audit, findings, unknown)
    fleet = [entry["severity"] for entry in findings if not entry["cluster"]]
    fleet += [UNKNOWN for entry in unknown if not entry["cluster"]]
    if not clusters:
        fleet.append(UNKNOWN)
    return {
        "format": FORMAT,
        "version": VERSION,
        "evaluated": audit.now,
        "collected": {"first": min(audit.sample_times, default=""), "last": max(audit.sample_times, default="")},
        "verdict": worst([*fleet, *(entry["verdict"] for entry in clusters)]),
        "counts": _counts(clusters, findings, unknown),
        "clusters": clusters,
        "capture_next": "",
        "findings": findings,
        "covered": [
            dict(finding_document(one, rules[one.rule], units[one.rule]), covered_by=by)
            for one, by in sorted(covered, key=lambda pair: order(pair[0]))
        ],
        "unknown": unknown,
        "problems": [{"place": place, "message": text} for place, text in audit.problems[:_PROBLEMS_LISTED]],
        "problems_left_out": max(0, len(audit.problems) - _PROBLEMS_LISTED),
        "rules": _rule_counts(audit),
        "thresholds": {
            name: {"value": audit.thresholds[name], "default": threshold.default, "unit": threshold.unit}
            for name, threshold in sorted(audit.rules.thresholds.items())
        },
        "baseline": None,
    }


def _unit(rule: Rule, rules: RuleSet) -> str:
    """Return the unit of the value that a rule compares, or "" if it compares none."""
    names = [name for name in (rule.levels.critical, rule.levels.warning) if name] if rule.levels else []
    return rules.thresholds[names[0]].unit if names else ""


def finding_document(finding: Finding, rule: Rule, unit: str) -> dict[str, Any]:
    """Return the entry of a finding. key identifies the finding, also in the next run. unit: of value and threshold."""
    parts = (finding.rule, finding.cluster, finding.component, finding.instance, finding.subject)
    return {
        "key": "|".join(part.replace("|", "/") for part in parts),
        "rule": finding.rule,
        "title": rule.title,
        "severity": finding.severity,
        "holds_up": finding.holds_up,
        "scope": rule.scope,
        "cluster": finding.cluster,
        "component": finding.component,
        "instance": finding.instance,
        "subject": finding.subject,
        "value": finding.value,
        "threshold": finding.threshold,
        "unit": unit,
        "message": finding.message,
        "fields": finding.fields,
        "advice": rule.advice,
        "reference": rule.reference,
        "scenario": rule.scenario,
        "capture_next": "",
        "artifact": finding.artifact,
        "change": "",
    }


def _unknown(audit: Audit, rules: dict[str, Rule]) -> list[dict[str, Any]]:
    """Return one entry per rule, place and reason that a rule could not be evaluated."""
    entries = []
    for (cluster, component), gaps in sorted(audit.gaps.items()):
        for (rule, _reason), gap in sorted(gaps.items()):
            entries.append(
                {
                    "rule": rule,
                    "title": rules[rule].title if rule in rules else "",
                    "cluster": cluster,
                    "component": component,
                    "reason": gap.reason,
                    "instances": gap.count,
                    "first": gap.first,
                }
            )
    return entries


def _clusters(
    audit: Audit, findings: Sequence[dict[str, Any]], unknown: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return every cluster with its components and their verdicts."""
    verdicts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for place in audit.component_places():
        verdicts[place].append(OK)
    for entry in findings:
        verdicts[entry["cluster"], entry["component"]].append(entry["severity"])
    for entry in unknown:
        verdicts[entry["cluster"], entry["component"]].append(UNKNOWN)
    names = sorted({cluster for cluster, _component in verdicts if cluster} | set(audit.clusters))
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (cluster, component), words in sorted(verdicts.items()):
        if cluster and component:
            counts = Counter(words)
            found[cluster].append(
                {
                    "component": component,
                    "verdict": worst(words),
                    "instances": len(audit.instances.get((cluster, component), ())),
                    "critical": counts["critical"],
                    "warning": counts["warning"],
                    "unknown": counts[UNKNOWN],
                }
            )
    clusters = []
    for name in names:
        own = verdicts.get((name, ""), []) + [entry["verdict"] for entry in found[name]]
        if not found[name]:
            own.append(UNKNOWN)  # a cluster without components is not healthy
        clusters.append(
            {
                "cluster": name,
                "verdict": worst(own),
                "transport": audit.clusters[name]["transport"] if name in audit.clusters else "",
                "error": audit.absent.get(name, ""),
                "components": found[name],
            }
        )
    return clusters


def _counts(
    clusters: Sequence[dict[str, Any]], findings: Sequence[dict[str, Any]], unknown: Sequence[dict[str, Any]]
) -> dict[str, int]:
    components = [entry for cluster in clusters for entry in cluster["components"]]
    severities = Counter(entry["severity"] for entry in findings)
    return {
        "clusters": len(clusters),
        "components": len(components),
        "instances": sum(entry["instances"] for entry in components),
        **{severity: severities[severity] for severity in SEVERITIES},
        "unknown": len(unknown),
    }


def _rule_counts(audit: Audit) -> list[dict[str, Any]]:
    """Return the number of each outcome per rule, so that a rule that never had data is visible."""
    sums = {rule.id: [0] * len(OUTCOMES) for rule in audit.rules.rules}
    for counts in audit.tally.values():
        for rule, own in counts.items():
            sums[rule] = [one + other for one, other in zip(sums[rule], own)]
    return [
        dict(
            {"rule": rule.id, "title": rule.title, "scope": rule.scope, "file": rule.file},
            **dict(zip(OUTCOMES, sums[rule.id])),
        )
        for rule in audit.rules.rules
    ]


def affected(document: dict[str, Any], severity: str) -> list[dict[str, Any]]:
    """Return per cluster the components to capture: those with findings of this severity that stacks can explain.

    A rule names a scenario if stacks can explain its finding. A certificate that expires soon has none.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for entry in document["findings"]:
        if entry["severity"] == severity and entry["scenario"] and entry["cluster"] and entry["component"]:
            found[entry["cluster"]].add(entry["component"])
    return [{"cluster": name, "components": sorted(found[name])} for name in sorted(found)]


# Policy -> verdicts that make a run fail.
FAIL_ON = {"none": (), "critical": ("critical",), "warning": ("critical", "warning"), "unknown": VERDICTS[1:]}


def failure(document: dict[str, Any], fail_on: str) -> str:
    """Return the message of a run that fails under this policy, or ""."""
    if document["verdict"] not in FAIL_ON[fail_on]:
        return ""
    counts = document["counts"]
    words = [f"{counts[name]} {name}" for name in ("critical", "warning", "unknown") if counts[name]]
    first = next(iter(document["findings"]), None) or next(iter(document["unknown"]), None)
    summary = ", ".join(words) or "no instance was found"
    return f"The verdict is {document['verdict']}: {summary}.{' The first: ' + _first_line(first) if first else ''}"


def _first_line(entry: dict[str, Any]) -> str:
    place = "/".join(part for part in (entry["cluster"], entry["component"], entry.get("instance", "")) if part)
    return f"{place or 'fleet'}: {entry.get('message') or entry['reason']}"
