# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Table of a status run: which components answered, and the reasons of those that did not. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Sequence

from ..capture_names import STATUS_PREFIX
from ..model import LedgerRow
from ..reasons import Status
from ..sanitize import printable
from ..text import columns

_NOT_ASKED = Status.SKIPPED.value


def status_table(rows: Sequence[LedgerRow]) -> list[str]:
    """Return the table: how many instances of a component answered all, some or no requests, and the reasons."""
    own: dict[str, list[LedgerRow]] = {}
    for entry in rows:
        if entry.instance:
            own.setdefault(entry.component, []).append(entry)
    body = [_line(component, own[component]) for component in sorted(own)]
    heads = ["component", "instances", "answered", "in part", "silent", "finding"]
    lines = columns([heads, *body]) if body else []
    lines += [
        f"{entry.cluster}{'/' + entry.component if entry.component else ''}: {entry.message}"
        for entry in rows
        if not entry.instance
    ]
    return [printable(line) for line in lines]


def _line(component: str, rows: Sequence[LedgerRow]) -> list[str]:
    by_instance: dict[tuple[str, str, str], list[str]] = {}
    for entry in rows:
        statuses = by_instance.setdefault((entry.cluster, entry.namespace, entry.instance), [])
        if entry.capture.startswith(STATUS_PREFIX) and entry.status != _NOT_ASKED:
            statuses.append(entry.status)
    counts: Counter[str] = Counter()
    for statuses in by_instance.values():
        complete = statuses.count(Status.COMPLETE.value)
        counts["all" if complete == len(statuses) else "some" if complete else "none"] += bool(statuses)
    numbers = [str(counts[name]) if counts[name] else "-" for name in ("all", "some", "none")]
    return [component, str(len(by_instance)), *numbers, _finding(rows)]


def _finding(rows: Sequence[LedgerRow]) -> str:
    """Return the most frequent reasons with the number of instances that each concerns."""
    troubled: dict[str, set[tuple[str, str, str]]] = {}
    for entry in rows:
        if entry.status not in (Status.COMPLETE.value, _NOT_ASKED):
            troubled.setdefault(entry.reason, set()).add((entry.cluster, entry.namespace, entry.instance))
    if troubled:
        most = sorted(troubled.items(), key=lambda item: (-len(item[1]), item[0]))[:3]
        return ", ".join(f"{len(instances)} {reason}" for reason, instances in most)
    asked = any(entry.capture.startswith(STATUS_PREFIX) and entry.status != _NOT_ASKED for entry in rows)
    return "" if asked else ", ".join(sorted({entry.reason for entry in rows if entry.status == _NOT_ASKED}))
