# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read after profiles were taken: what there is of each component, and what kept the others. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Sequence

from ..model import LedgerRow, Status
from .report import PROFILE_PREFIX, columns, printable


def profile_table(rows: Sequence[LedgerRow]) -> list[str]:
    """Per component its instances, what became of the profiles that were asked for, and the most frequent reasons."""
    profiles = [entry for entry in rows if entry.capture.startswith(PROFILE_PREFIX)]
    heads = ["component", "instances", *(status.value for status in Status), "finding"]
    body = []
    for component in sorted({entry.component for entry in profiles}):
        own = [entry for entry in profiles if entry.component == component]
        counts = Counter(entry.status for entry in own)
        instances = {(entry.cluster, entry.namespace, entry.instance) for entry in own}
        numbers = [str(counts[status.value]) if counts[status.value] else "-" for status in Status]
        body.append([component, str(len(instances)), *numbers, _finding(own)])
    lines = columns([heads, *body]) if body else []
    lines += [
        f"{entry.cluster}{'/' + entry.component if entry.component else ''}: {entry.message}"
        for entry in rows
        if not entry.instance
    ]
    return [printable(line) for line in lines]


def _finding(rows: Sequence[LedgerRow]) -> str:
    """Why not all is complete, each reason with the instances that it concerns."""
    concerned: dict[str, set[tuple[str, str, str]]] = {}
    for entry in rows:
        if entry.status != Status.COMPLETE.value:
            concerned.setdefault(entry.reason, set()).add((entry.cluster, entry.namespace, entry.instance))
    most = sorted(concerned.items(), key=lambda item: (-len(item[1]), item[0]))[:3]
    return ", ".join(f"{len(instances)} {reason}" for reason, instances in most)
