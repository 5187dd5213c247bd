# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read after profiles were taken: what there is of each component, what kept the others, and the function
that used the most. Pure; names of functions come from hostile places."""

from __future__ import annotations

from collections import Counter
from typing import Sequence

from ..model import LedgerRow
from ..reasons import Status
from ..text import columns, printable
from .report import PROFILE_PREFIX, places

# Of which profile the function is shown: the first of these that tells of one.
_TELLING = ("cpu", "heap", "goroutine", "allocs")
_LONGEST_NAME = 80


def profile_table(rows: Sequence[LedgerRow]) -> list[str]:
    """The lines of profile_lines(), and what is to be said of places."""
    return profile_lines(rows) + places(rows)


def profile_lines(rows: Sequence[LedgerRow]) -> list[str]:
    """Per component its instances, what became of the profiles that were asked for, and what to know first."""
    profiles = [entry for entry in rows if entry.capture.startswith(PROFILE_PREFIX)]
    heads = ["component", "instances", *(status.value for status in Status), "finding"]
    body = []
    for component in sorted({entry.component for entry in profiles}):
        own = [entry for entry in profiles if entry.component == component]
        counts = Counter(entry.status for entry in own)
        instances = {(entry.cluster, entry.namespace, entry.instance) for entry in own}
        numbers = [str(counts[status.value]) if counts[status.value] else "-" for status in Status]
        words = [word for word in (_top(own), _troubles(own)) if word]
        body.append([component, str(len(instances)), *numbers, "; ".join(words)])
    lines = columns([heads, *body]) if body else []
    return [printable(line) for line in lines]


def _top(rows: Sequence[LedgerRow]) -> str:
    """The function that used the most over all instances, of the most telling kind of profile that was analysed."""
    for kind in _TELLING:
        sums: dict[str, float] = {}
        most: dict[str, float] = {}
        for entry in rows:
            name, percent = entry.details.get("top_function"), entry.details.get("top_percent")
            if entry.capture == PROFILE_PREFIX + kind and name and isinstance(name, str) and isinstance(percent, float):
                sums[name] = sums.get(name, 0.0) + percent
                most[name] = max(most.get(name, 0.0), percent)
        if sums:
            name = max(sums, key=lambda each: sums[each])
            shown = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
            return f"{shown} {most[name]:.0f}% of {kind}"
    return ""


def _troubles(rows: Sequence[LedgerRow]) -> str:
    """Why not all is complete, each reason with the instances that it concerns."""
    concerned: dict[str, set[tuple[str, str, str]]] = {}
    for entry in rows:
        if entry.status != Status.COMPLETE.value:
            concerned.setdefault(entry.reason, set()).add((entry.cluster, entry.namespace, entry.instance))
    most = sorted(concerned.items(), key=lambda item: (-len(item[1]), item[0]))[:3]
    return ", ".join(f"{len(instances)} {reason}" for reason, instances in most)
