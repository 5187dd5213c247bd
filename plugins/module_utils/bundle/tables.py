# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of what became of captures, one line a component. Pure; the texts in them are untrusted input."""

from __future__ import annotations

from collections import Counter
from typing import Callable, Sequence

from ..model import LedgerRow
from ..reasons import MEANINGS, Reason, Status
from ..text import columns, elided, printable

LONGEST_WORDS = 120  # of what kept one instance from being captured
MOST_PLACES = 5  # of one message, that are named
# Of captures; a component has the status of its worst one. A refusal is often how a component is.
WORST_FIRST = (Status.FAILED, Status.PARTIAL, Status.REFUSED, Status.SKIPPED, Status.COMPLETE)


def component_table(rows: Sequence[LedgerRow], finding: Callable[[Sequence[LedgerRow]], str]) -> list[str]:
    """Return a table of these captures, empty without any: of each component the instances, the statuses, a finding.

    The worst component stands first: one with a restart, then by WORST_FIRST.
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
    """Return the place of a component in a table, by its captures."""
    restarted = any(entry.details.get("restarted") for entry in rows)
    return not restarted, min(WORST_FIRST.index(Status(entry.status)) for entry in rows)


def place_lines(rows: Sequence[LedgerRow]) -> list[str]:
    """Return a line for each message of rows that are about a place rather than an instance, the worst first.

    If one machine of a cluster lacks a component and another one has it, there is no line for the first.
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
    """Return the line of a message about these places."""
    more = f" and {len(names) - MOST_PLACES} more" if len(names) > MOST_PLACES else ""
    where = ", ".join(filter(None, names[:MOST_PLACES])) + more
    return printable(": ".join(filter(None, (where, message))))


def message_lines(rows: Sequence[LedgerRow]) -> list[str]:
    """Return a line for each row: the instance or place that it is about, and its message."""
    named = ((entry.instance or _place(entry), entry.message) for entry in rows)
    return [printable(": ".join(filter(None, words))) for words in named]


def _place(entry: LedgerRow) -> str:
    """The place that the row names, as far as it names one: a discovery that failed knows no cluster."""
    return "/".join(filter(None, (entry.cluster, entry.namespace, entry.component)))


def summarize_reasons(rows: Sequence[LedgerRow]) -> str:
    """Return why not all of these captures are complete; "" when they are.

    A single reason is said in words, with the instance where it concerns one alone. Of several, each is a number of
    instances and a word of the ledger.
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
