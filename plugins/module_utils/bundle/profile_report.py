# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Table of profiles: complete ones, load, most expensive function, and reasons for missing ones, by component.

Pure. Function names are untrusted input.
"""

from __future__ import annotations

from typing import Sequence

from ..capture_names import PROFILE_PREFIX
from ..model import LedgerRow
from ..text import elided
from .tables import component_table, place_lines, summarize_reasons

# The function is taken from the first of these profiles that names one.
_TELLING = ("cpu", "heap", "goroutine", "allocs")
_LONGEST_NAME = 80


def profile_table(rows: Sequence[LedgerRow]) -> list[str]:
    """Return the lines of profile_lines(), and those about places."""
    return profile_lines(rows) + place_lines(rows)


def profile_lines(rows: Sequence[LedgerRow]) -> list[str]:
    """Return the table: the instances of each component, the statuses of its profiles, and a finding."""
    return component_table([entry for entry in rows if entry.capture.startswith(PROFILE_PREFIX)], _finding)


def _finding(rows: Sequence[LedgerRow]) -> str:
    return "; ".join(filter(None, (*_loads(rows), summarize_reasons(rows))))


def _loads(rows: Sequence[LedgerRow]) -> list[str]:
    """Return the load of the processor, and the most expensive function with the load that it is a part of.

    Only the load shows that an instance is idle: a profile with one sample would show one function with 100 %.
    """
    words: list[str] = []
    for kind in _TELLING:
        own = [entry for entry in rows if entry.capture == PROFILE_PREFIX + kind]
        load, top = _load(own), _top(own)
        parts = [f"{kind} {load}"] if load else []
        if top:
            return [*words, ", ".join([*parts, f"{top} of {kind}"])]
        if kind == "cpu" or not words:
            words += parts
    return words


def _load(rows: Sequence[LedgerRow]) -> str:
    """Return the load of the instance with the highest load."""
    known = []
    for entry in rows:
        text, value = entry.details.get("load"), entry.details.get("load_value")
        if isinstance(text, str) and text and isinstance(value, (int, float)):
            known.append((value, text))
    if not known:
        return ""
    return f"{'at most ' if len(known) > 1 else ''}{elided(max(known)[1], _LONGEST_NAME)}"


def _top(rows: Sequence[LedgerRow]) -> str:
    """Return the function with the highest sum over all instances, and its largest share in one instance."""
    sums: dict[str, float] = {}
    most: dict[str, float] = {}
    for entry in rows:
        name, percent = entry.details.get("top_function"), entry.details.get("top_percent")
        if name and isinstance(name, str) and isinstance(percent, float):
            sums[name] = sums.get(name, 0.0) + percent
            most[name] = max(most.get(name, 0.0), percent)
    if not sums:
        return ""
    name = max(sums, key=lambda each: sums[each])
    return f"{elided(name, _LONGEST_NAME)} {most[name]:.0f}%"
