# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of a log watch for people: the table of verdicts, and the kept lines. Pure."""

from __future__ import annotations

from typing import Any, Sequence

from ..sanitize import printable
from ..text import columns
from .verdicts import HEALTHY, LogVerdict

MAX_EVIDENCE = 200
MAX_INSTANCES = 10  # of one component, each with its evidence
_INDENT = "  "


def verdict_table(components: Sequence[LogVerdict], sparks: dict[str, str] | None = None) -> list[str]:
    """Return a line for each component, followed by a line for each of its instances that is not healthy.

    sparks: name of component or instance -> timeline_svg.sparkline() of its minutes.
    """
    sparks = sparks or {}
    rows = []
    for component in components:
        bad = [part for part in component.parts if part.verdict != HEALTHY]
        evidence = "" if bad or not component.evidence else component.evidence[0]
        rows.append(
            [component.name, str(len(component.parts)), component.verdict, sparks.get(component.name, ""), evidence]
        )
        rows += [_instance(part, sparks) for part in bad[:MAX_INSTANCES]]
        if len(bad) > MAX_INSTANCES:
            rows.append([f"{_INDENT}and {len(bad) - MAX_INSTANCES} more", "", "", "", ""])
    lines = columns([["component", "instances", "verdict", "trouble by minute", "evidence"], *rows]) if rows else []
    return [printable(line) for line in lines]


def _instance(part: LogVerdict, sparks: dict[str, str]) -> list[str]:
    first = part.evidence[0] if part.evidence else ""
    # Present trouble comes first, but the reason for the verdict may have ended.
    reason = next((each.text for each in part.findings if each.verdict == part.verdict), first)
    evidence = _cut(first) if reason == first else f"{_cut(first)}; besides: {_cut(reason)}"
    ended = " (over)" if part.over else ""
    return [f"{_INDENT}{part.name}", "", part.verdict + ended, sparks.get(part.name, ""), evidence]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_EVIDENCE else text[: MAX_EVIDENCE - 1] + "…"


def windows_text(document: dict[str, Any]) -> str:
    """Return the contexts in log.json as a text file."""
    parts = []
    for pattern in document["patterns"]:
        head = f"{pattern['id']} ({pattern['severity']}), {pattern['count']} times"
        if pattern["first"]:
            head += f", from {pattern['first']} to {pattern['last']}"
        parts += [f"## {head}", f"## {pattern['meaning']}", ""]
        for sample in pattern["samples"]:
            parts += [f"  {line}" for line in sample["before"]]
            parts += [f"> {sample['line']}"]
            parts += [f"  {line}" for line in sample["after"]]
            parts += [""]
    return "\n".join(printable(line) for line in parts)
