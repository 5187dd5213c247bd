# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparison of an audit with an earlier one, the baseline. Pure. The earlier health.json is untrusted."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from .evaluate import VERDICTS
from .health_document import FORMAT, VERSION
from .rules import SEVERITIES
from .schema_checks import SchemaError, choice, each, name, record, text

NEW, WORSE, SAME, BETTER = "new", "worse", "same", "better"
# Not found again: because it is gone, or because the rule could not be evaluated there this time.
GONE, NOT_SEEN = "gone", "not_seen"

_FINDING = record(
    {"key": name, "rule": name, "severity": choice(*SEVERITIES), "message": text},
    {"cluster": text, "component": text, "instance": text, "subject": text},
    cluster="",
    component="",
    instance="",
    subject="",
)
_BASELINE = record({"evaluated": text, "verdict": choice(*VERDICTS), "findings": each(_FINDING)})


def read_baseline(raw: Any) -> dict[str, Any]:
    """Return the parts of an earlier health.json that compare() needs. Raise SchemaError if it is malformed."""
    if not isinstance(raw, dict) or raw.get("format") != FORMAT or raw.get("version") != VERSION:
        raise SchemaError(f"not a document of the format {FORMAT}, version {VERSION}")
    found: dict[str, Any] = _BASELINE(raw, "baseline")
    return found


def compare(document: dict[str, Any], baseline: dict[str, Any]) -> None:
    """Set `change` of each finding and `baseline` of the document. baseline: the result of read_baseline()."""
    pairs = _pairs(document["findings"], baseline["findings"])
    for entry, earlier in pairs:
        entry["change"] = _change(entry, earlier)
    matched = {id(earlier) for _entry, earlier in pairs if earlier is not None}
    lost = [earlier for earlier in baseline["findings"] if id(earlier) not in matched]
    covered = {entry["key"] for entry in document["covered"]}
    unclear = {(entry["rule"], entry["cluster"], entry["component"]) for entry in document["unknown"]}
    seen = {entry["cluster"] for entry in document["clusters"] if not entry["error"]}
    evaluated = {entry["rule"] for entry in document["rules"]}
    for earlier in lost:
        place = (earlier["rule"], earlier["cluster"], earlier["component"])
        looked = earlier["rule"] in evaluated and place not in unclear
        looked = looked and (not earlier["cluster"] or earlier["cluster"] in seen)
        earlier["change"] = GONE if looked else NOT_SEEN
    lost = [earlier for earlier in lost if earlier["key"] not in covered]
    document["baseline"] = {
        "evaluated": baseline["evaluated"],
        "verdict": baseline["verdict"],
        "counts": {
            word: sum(1 for entry in [*document["findings"], *lost] if entry["change"] == word)
            for word in (NEW, WORSE, SAME, BETTER, GONE, NOT_SEEN)
        },
        "lost": lost,
    }


def _change(entry: dict[str, Any], earlier: dict[str, Any] | None) -> str:
    if earlier is None:
        return NEW
    step = VERDICTS.index(entry["severity"]) - VERDICTS.index(earlier["severity"])
    return WORSE if step > 0 else BETTER if step < 0 else SAME


def _pairs(
    entries: list[dict[str, Any]], before: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Return each finding with the matching earlier one, or None.

    A replaced pod has another name. Findings that match no earlier key are matched without the instance.
    """
    by_key = {earlier["key"]: earlier for earlier in before}
    pairs = [(entry, by_key.pop(entry["key"], None)) for entry in entries]
    by_place = defaultdict(list)
    for earlier in by_key.values():
        by_place[_place(earlier)].append(earlier)
    return [
        (entry, earlier or (by_place[_place(entry)].pop(0) if by_place[_place(entry)] else None))
        for entry, earlier in pairs
    ]


def _place(entry: dict[str, Any]) -> tuple[str, ...]:
    return (entry["rule"], entry["cluster"], entry["component"], entry["subject"])
