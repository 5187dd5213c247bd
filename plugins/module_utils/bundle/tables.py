# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of capture results, one line per component. Pure; texts are untrusted."""

from __future__ import annotations

from collections import Counter
from typing import Callable, Sequence

from ..model import LedgerRow
from ..reasons import MEANINGS, Reason, Status
from ..sanitize import printable
from ..text import columns, elided

LONGEST_WORDS = 120  # characters of the description of a reason
MOST_PLACES = 5  # named for one message
# A component has the status of its worst capture. A refusal is often a property of the component.
WORST_FIRST = (Status.FAILED, Status.PARTIAL, Status.REFUSED, Status.SKIPPED, Status.COMPLETE)


def component_table(rows: Sequence[LedgerRow], finding: Callable[[Sequence[LedgerRow]], str]) -> list[str]:
    """Return a table of these captures, empty without any: instances, statuses and a finding of each component.

    The worst component comes first: one with a restart, then by WORST_FIRST.
    """
    if not rows:
        return []
    components: dict[str, list[LedgerRow]] = {}
    for entry in rows:
        components.setdefault(entry.component, []).append(entry)
    cells = [["component", "instances", *(status.value for status in Status), "finding"]]
    for component, own in sorted(components.items(), key=lambda item: (_rank(item[1]), item[0])):
        counts = Counter(entry.status for entry in own)
        numbers = [str(counts[status.value]) if counts[status.value] else "-" for status in Status]
        cells.append([component, str(len({_instance(entry) for entry in own})), *numbers, finding(own)])
    return [printable(line) for line in columns(cells)]


def _rank(rows: Sequence[LedgerRow]) -> tuple[bool, int]:
    """Return the sort key of a component."""
    restarted = any(entry.details.get("restarted") for entry in rows)
    return not restarted, min(WORST_FIRST.index(Status(entry.status)) for entry in rows)


def place_lines(rows: Sequence[LedgerRow]) -> list[str]:
    """Return a line for each message of rows that concern a place, not an instance, the worst first.

    If a machine of a cluster lacks a component that another machine has, there is no line for the first one.
    """
    present = {(entry.cluster, entry.component) for entry in rows if entry.instance}

    def is_elsewhere(entry: LedgerRow) -> bool:
        return entry.reason == Reason.NOT_DEPLOYED.value and (entry.cluster, entry.component) in present

    found = [entry for entry in rows if not entry.instance and not is_elsewhere(entry)]
    found.sort(key=lambda entry: WORST_FIRST.index(Status(entry.status)))
    named: dict[str, list[str]] = {}
    for entry in found:
        named.setdefault(entry.message, []).append(_place(entry))
    return [_said(list(dict.fromkeys(names)), message) for message, names in named.items()]


def _said(names: Sequence[str], message: str) -> str:
    """Return the line with a message about these places."""
    more = f" and {len(names) - MOST_PLACES} more" if len(names) > MOST_PLACES else ""
    where = ", ".join(filter(None, names[:MOST_PLACES])) + more
    return printable(": ".join(filter(None, (where, message))))


def message_lines(rows: Sequence[LedgerRow]) -> list[str]:
    """Return a line for each row: its instance or place, and its message."""
    named = ((entry.instance or _place(entry), entry.message) for entry in rows)
    return [printable(": ".join(filter(None, words))) for words in named]


def _place(entry: LedgerRow) -> str:
    """Return the place of a row, as far as known: a failed discovery may not know its cluster."""
    return "/".join(filter(None, (entry.cluster, entry.namespace, entry.component)))


def summarize_reasons(rows: Sequence[LedgerRow]) -> str:
    """Return why some of these captures are incomplete, or "".

    A single reason is described in words, with the instance if it concerns only one. Of several reasons, each is given
    as a number of instances and its name in the ledger.
    """
    concerned: dict[str, set[tuple[str, ...]]] = {}
    for entry in rows:
        if entry.status != Status.COMPLETE.value:
            concerned.setdefault(entry.reason, set()).add(_instance(entry))
    most = sorted(concerned.items(), key=lambda item: (-len(item[1]), item[0]))
    if len(most) == 1:
        reason, instances = most[0]
        name = next(iter(instances))[2] if len(instances) == 1 else str(len(instances))
        return f"{name} {reason}: {elided(MEANINGS[Reason(reason)].what, LONGEST_WORDS)}"
    return ", ".join(f"{len(instances)} {reason}" for reason, instances in most)


def _instance(entry: LedgerRow) -> tuple[str, ...]:
    return entry.cluster, entry.namespace, entry.instance, entry.container
