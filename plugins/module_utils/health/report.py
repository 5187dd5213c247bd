# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports for people: the closing table, and health.md. Pure. All texts are untrusted."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any, Iterable, Sequence

from ..sanitize import inline, printable
from ..text import columns, counted
from .compare import GONE, NOT_SEEN, SAME
from .evaluate import OK, VERDICTS
from .rule_messages import format_quantity, shorten

TABLE_LINES = 60
_CELL = 120
# Rank of rows without a finding: after all others.
_NOT_FOUND = sys.maxsize


def table(document: dict[str, Any]) -> list[str]:
    """Return the closing lines: each component that is not ok with its worst finding, then the overall verdict.

    Rows are in the order of the findings in the document, the worst first.
    """
    heads = ["verdict", "cluster", "component", "instances", "critical", "warning", "unknown", "finding"]
    rows, fine = [], 0
    first = _first_words(document)
    for cluster in document["clusters"]:
        name = cluster["cluster"]
        if cluster["verdict"] != OK and (cluster["error"] or not cluster["components"]):
            words = shorten(cluster["error"] or "nothing found", _CELL)
            rows.append((_NOT_FOUND, [cluster["verdict"], name, "", "", "", "", "", words]))
        for entry in cluster["components"]:
            if entry["verdict"] == OK:
                fine += 1
                continue
            numbers = [
                str(entry[key]) if entry[key] else "-" for key in ("instances", "critical", "warning", "unknown")
            ]
            rank, words = first.get((name, entry["component"]), (_NOT_FOUND, ""))
            rows.append((rank, [entry["verdict"], name, entry["component"], *numbers, words]))
    rows += [
        (rank, [entry["severity"], entry["cluster"] or "fleet", "", "", "", "", "", shorten(entry["message"], _CELL)])
        for rank, entry in enumerate(document["findings"])
        if not entry["component"]
    ]
    rows.sort(key=lambda row: (-VERDICTS.index(row[1][0]), row[0]))
    shown = [[printable(cell) for cell in cells] for _rank, cells in rows[:TABLE_LINES]]
    lines = columns([heads, *shown]) if rows else []
    if len(rows) > TABLE_LINES:
        lines.append(f"… {len(rows) - TABLE_LINES} more lines are in health.md")
    if fine:
        lines.append(f"{counted(fine, 'component')} ok")
    if document["capture_next"]:
        lines += ["", f"capture next: {printable(document['capture_next'])}"]
    return [*lines, "", *_closing(document)]


def _first_words(document: dict[str, Any]) -> dict[tuple[str, str], tuple[int, str]]:
    """Return per component the message of its first finding, or of its first gap, and its rank in the document."""
    words: dict[tuple[str, str], tuple[int, str]] = {}
    for rank, entry in enumerate([*document["findings"], *document["unknown"]]):
        place = (entry["cluster"], entry["component"])
        words.setdefault(place, (rank, shorten(entry.get("message") or entry["reason"], _CELL)))
    return words


def _closing(document: dict[str, Any]) -> list[str]:
    counts = document["counts"]
    size = ", ".join(counted(counts[f"{word}s"], word) for word in ("cluster", "component", "instance"))
    weight = ", ".join(f"{counts[word]} {word}" for word in ("critical", "warning", "unknown"))
    lines = [f"verdict: {document['verdict']} ({weight}) on {size}"]
    baseline = document["baseline"]
    if baseline:
        changes = ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in baseline["counts"].items())
        lines.append(f"since {printable(baseline['evaluated'])} (verdict then: {baseline['verdict']}): {changes}")
    return lines


def markdown(document: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    collected = document["collected"]
    lines = ["# Health of Cloudpods services", ""]
    lines += [f"- {line}" for line in _closing(document)]
    lines += [f"- collected: {inline(collected['first'])} to {inline(collected['last'])}"] if collected["first"] else []
    lines += [f"- evaluated: {inline(document['evaluated'])}", "", "## Verdicts", ""]
    heads = ("cluster", "component", "verdict", "instances", "critical", "warning", "unknown")
    lines += _markdown_table(
        heads,
        (
            (cluster["cluster"], *(entry[name] for name in heads[1:]))
            for cluster in document["clusters"]
            for entry in cluster["components"]
        ),
    )
    lines += [
        f"\n{inline(cluster['cluster'])} gave no data: {inline(cluster['error'])}"
        for cluster in document["clusters"]
        if cluster["error"]
    ]
    lines += ["", "## Findings", ""]
    for entry in document["findings"]:
        lines += _finding_lines(entry, document["baseline"] is not None)
    if not document["findings"]:
        lines += ["None.", ""]
    lines += _covered(document["covered"]) + _lost(document["baseline"]) + _unknown(document["unknown"])
    if document["problems"]:
        lines += ["## Documents with problems", ""]
        lines += _markdown_table(
            ("where", "what"), ((entry["place"], entry["message"]) for entry in document["problems"])
        )
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(heads: Sequence[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return lines + [f"| {' | '.join(inline(str(cell)) for cell in row)} |" for row in rows]


def _place(entry: dict[str, Any]) -> str:
    return "/".join(part for part in (entry["cluster"], entry["component"], entry["instance"]) if part) or "fleet"


def _finding_lines(entry: dict[str, Any], compared: bool) -> list[str]:
    change = f" ({entry['change']})" if compared and entry["change"] != SAME else ""
    lines = [f"### {entry['severity']}{change}: {inline(_place(entry))}: {inline(entry['title'])}", ""]
    lines += [inline(entry["message"]), ""]
    if entry["threshold"] is not None:
        value, threshold = (format_quantity(entry[key], entry["unit"]) for key in ("value", "threshold"))
        lines.append(f"- value: {value}, threshold: {threshold}")
    if entry["artifact"]:
        lines.append(f"- evidence: {inline(entry['artifact'])}")
    lines.append(f"- rule: {inline(entry['rule'])} ({inline(entry['reference'])})")
    lines.append(f"- advice: {inline(' '.join(entry['advice'].split()))}")
    if entry["capture_next"]:
        # As a code block, so that it can be pasted.
        lines += ["- capture next:", "", f"      {printable(entry['capture_next'])}"]
    return [*lines, ""]


def _covered(covered: Sequence[dict[str, Any]]) -> list[str]:
    if not covered:
        return []
    lines = ["## Further signs of the same problems", ""]
    rows = ((_place(entry), entry["severity"], entry["message"], entry["covered_by"]) for entry in covered)
    return [*lines, *_markdown_table(("where", "severity", "what", "see"), rows), ""]


def _lost(baseline: dict[str, Any] | None) -> list[str]:
    if not baseline or not baseline["lost"]:
        return []
    words = {GONE: "gone", NOT_SEEN: "not evaluated this time"}
    lines = ["## Not found again", ""]
    rows = ((_place(entry), entry["severity"], entry["message"], words[entry["change"]]) for entry in baseline["lost"])
    return [*lines, *_markdown_table(("where", "severity then", "what", "now"), rows), ""]


def _unknown(unknown: Sequence[dict[str, Any]]) -> list[str]:
    """Return the table of gaps, one line per place and reason."""
    if not unknown:
        return []
    rules: dict[tuple[str, str, str], list[str]] = {}
    instances: Counter[tuple[str, str, str]] = Counter()
    for entry in unknown:
        key = (entry["cluster"], entry["component"], entry["reason"])
        rules.setdefault(key, []).append(entry["rule"])
        instances[key] = max(instances[key], entry["instances"])
    lines = [
        "## Not evaluated",
        "",
        "These rules had no data to evaluate. Their silence does not mean that all is well.",
        "",
    ]
    rows = (
        ("/".join(part for part in key[:2] if part) or "fleet", key[2], instances[key], ", ".join(names))
        for key, names in rules.items()
    )
    return [*lines, *_markdown_table(("where", "why", "instances", "rules"), rows), ""]
