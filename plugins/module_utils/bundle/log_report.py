# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts on watched logs, for the issue: one line an instance. Pure; what the rows quote is untrusted input."""

from __future__ import annotations

from typing import Any, Sequence

from ..model import LedgerRow
from ..text import counted, elided, inline

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
    """The worst first; what is over comes after what goes on, and a verdict that is not known before all."""
    said = str(entry.details.get("verdict"))
    place = VERDICTS.index(said) if said in VERDICTS else -1
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
    """Return the parts of the log that were not seen: the reason of the row, and its gaps."""
    gaps = entry.details.get("gaps")
    words = [] if entry.status == "complete" else [entry.reason]
    if isinstance(gaps, int) and gaps:
        words.append(counted(gaps, "gap"))
    return ", ".join(words) or "-"
