# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of profiles: what there is of each component, its load, the function that used the most, and what kept the
others from being taken. Pure; names of functions are untrusted input."""

from __future__ import annotations

from typing import Sequence

from ..capture_names import PROFILE_PREFIX
from ..model import LedgerRow
from ..text import elided
from .tables import component_table, place_lines, summarize_reasons

# Of which profile the function is shown: the first of these that tells of one.
_TELLING = ("cpu", "heap", "goroutine", "allocs")
_LONGEST_NAME = 80


def profile_table(rows: Sequence[LedgerRow]) -> list[str]:
    """The lines of profile_lines(), and what is to be said of places."""
    return profile_lines(rows) + place_lines(rows)


def profile_lines(rows: Sequence[LedgerRow]) -> list[str]:
    """Per component its instances, what became of the profiles that were asked for, and what to know first."""
    return component_table([entry for entry in rows if entry.capture.startswith(PROFILE_PREFIX)], _finding)


def _finding(rows: Sequence[LedgerRow]) -> str:
    return "; ".join(filter(None, (*_loads(rows), summarize_reasons(rows))))


def _loads(rows: Sequence[LedgerRow]) -> list[str]:
    """The load of the processor, and the function that used the most, with the load that this is a part of.

    That an instance is idle is seen in its load alone: a profile of one sample would show one function with 100 %.
    """
    words: list[str] = []
    for kind in _TELLING:
        own = [entry for entry in rows if entry.capture == PROFILE_PREFIX + kind]
        load, top = _load(own), _top(own)
        said = [f"{kind} {load}"] if load else []
        if top:
            return [*words, ", ".join([*said, f"{top} of {kind}"])]
        if kind == "cpu" or not words:
            words += said
    return words


def _load(rows: Sequence[LedgerRow]) -> str:
    """The load of the instance that has most of it."""
    known = []
    for entry in rows:
        text, value = entry.details.get("load"), entry.details.get("load_value")
        if isinstance(text, str) and text and isinstance(value, (int, float)):
            known.append((value, text))
    if not known:
        return ""
    return f"{'at most ' if len(known) > 1 else ''}{elided(max(known)[1], _LONGEST_NAME)}"


def _top(rows: Sequence[LedgerRow]) -> str:
    """The function that used the most over all instances, and the largest part that it had in one."""
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
