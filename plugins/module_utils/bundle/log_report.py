# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Section of issue.md with the verdicts on watched logs, one line per instance. Pure; quoted texts are untrusted."""

from __future__ import annotations

from typing import Any, Sequence

from ..model import LedgerRow
from ..sanitize import inline
from ..text import counted, elided

# The verdicts of watch/verdicts.py, the worst first.
VERDICTS = ("dropping", "stuck", "busy", "unknown", "healthy")
MAX_EVIDENCE = 300
_HEADS = ("component", "instance", "verdict", "rule", "evidence", "not seen")


def log_section(rows: Sequence[LedgerRow]) -> list[str]:
    """Return the section "Log verdicts", the worst first; nothing without rows."""
    if not rows:
        return []
    lines = ["## Log verdicts", "", f"| {' | '.join(_HEADS)} |", "|" + "---|" * len(_HEADS)]
    lines += [f"| {' | '.join(map(inline, _cells(entry)))} |" for entry in sorted(rows, key=_order)]
    return [*lines, ""]


def _order(entry: LedgerRow) -> tuple[Any, ...]:
    """Sort by severity, unrecognized verdicts first; of one verdict, those that are over last."""
    verdict = str(entry.details.get("verdict"))
    place = VERDICTS.index(verdict) if verdict in VERDICTS else -1
    return place, bool(entry.details.get("over")), entry.cluster, entry.component, entry.instance


def _cells(entry: LedgerRow) -> list[str]:
    details = entry.details
    evidence = details.get("evidence")
    first = str(evidence[0]) if isinstance(evidence, list) and evidence else "-"
    return [
        entry.component,
        entry.instance,
        str(details.get("verdict") or "-") + (" (over)" if details.get("over") else ""),
        str(details.get("rule") or "-"),
        elided(first, MAX_EVIDENCE),
        _not_seen(entry),
    ]


def _not_seen(entry: LedgerRow) -> str:
    """Return the reason of the row and the number of gaps: the parts of the log that were not seen."""
    gaps = entry.details.get("gaps")
    words = [] if entry.status == "complete" else [entry.reason]
    if isinstance(gaps, int) and gaps:
        words.append(counted(gaps, "gap"))
    return ", ".join(words) or "-"
