# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a run for people: one text, and one message where the run counts as failed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.text import printable

# The verdicts of a watch and of an audit, the worst first. Others stand behind them.
WORST_FIRST = ("dropping", "critical", "stuck", "warning", "busy", "unknown", "healthy", "ok")
GOOD = ("healthy", "ok")
MOST_NAMES = 5
NOTHING, WOULD_NOTHING = "Nothing was captured", "Nothing would be captured"
# Where bundle_seal begins to tell of the first row that is not complete, which the table has, too.
FIRST_ROW = " The first: "

Entry = Mapping[str, Any]
Lines = Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """The end of a run. lines: the text, without the path of the bundle. failure: why it counts as failed, or "".

    short: the same without what the text has already. Ansible shows the message of a failed task up to twice.
    errors: each error of an access point once, with the access points: [{error, access_points}].
    """

    lines: list[str] = field(default_factory=list)
    failure: str = ""
    short: str = ""
    errors: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Policy:
    """When the run counts as failed. may_fail: whether it does where nothing is captured at all.

    failures: messages of what found the run to be failed, the first of which counts.
    """

    may_fail: bool
    failures: Sequence[str] = ()

    @property
    def failure(self) -> str:
        return next((text for text in self.failures if text), "")


def outcome(entries: Sequence[Entry], tables: Sequence[Lines], policy: Policy) -> Outcome:
    """Return the end of a run. entries: what bundle_capture returned. tables: those made on the controller."""
    errors = grouped(entries)
    if errors and not any(each["brought"] for each in entries):
        return _nothing(NOTHING, errors, policy)
    lines = blocks([*_of_access_points(entries), *tables])
    return Outcome(lines, policy.failure, policy.failure.partition(FIRST_ROW)[0], errors)


def planned(entries: Sequence[Entry], policy: Policy) -> Outcome:
    """Return the same for check mode: what would be done."""
    errors = grouped(entries)
    failing = [each for each in entries if each["missed"]]
    if errors and len(failing) == len(entries):
        return _nothing(WOULD_NOTHING, errors, policy)
    lines = blocks([*_of_access_points(entries), _told(errors)])
    if policy.may_fail and not sum(each["would"] for each in entries):
        said = next((each["said"] for each in entries if each["said"]), "No instance was found.")
        told = lines if any(line.endswith(said) for line in lines) else [*lines, said]
        return Outcome(told, f"{WOULD_NOTHING}: {said}", f"{WOULD_NOTHING}.", errors)
    return Outcome(lines, policy.failure, policy.failure, errors)


def grouped(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return each error once, with the access points that have it."""
    found: dict[str, list[str]] = {}
    for each in entries:
        for missed in each["missed"]:
            found.setdefault(printable(missed["error"]), []).append(missed["cluster"])
    return [{"error": error, "access_points": list(dict.fromkeys(names))} for error, names in found.items()]


def blocks(parts: Iterable[Lines]) -> list[str]:
    """Return the lines of all parts that have any, with an empty line between two."""
    lines: list[str] = []
    for part in parts:
        if part:
            lines += [*([""] if lines else []), *part]
    return lines


def without_bundle(table: Lines) -> list[str]:
    """Return the table of bundle_seal without its last lines, which name the bundle."""
    lines = list(table)
    while lines and (not lines[-1] or lines[-1].startswith("bundle: ")):
        lines.pop()
    return lines


def _nothing(what: str, errors: Sequence[Mapping[str, Any]], policy: Policy) -> Outcome:
    """Return the end of a run in which every access point failed: each error once."""
    found = [dict(each) for each in errors]
    names = [name for each in errors for name in each["access_points"]]
    lines = _told(errors) if len(names) > 1 else [errors[0]["error"]]
    if not policy.may_fail:
        return Outcome(lines, policy.failure, policy.failure, found)
    where = "see the error above" if len(errors) == 1 else f"see the {len(errors)} errors above"
    return Outcome(lines, f"{what}: {' '.join(each['error'] for each in errors)}", f"{what}: {where}.", found)


def _told(errors: Iterable[Mapping[str, Any]]) -> list[str]:
    return [f"{_listed(each['access_points'])}: {each['error']}" for each in errors]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(printable, names[:MOST_NAMES]))
    return f"{shown} and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else shown


def _of_access_points(entries: Sequence[Entry]) -> list[list[str]]:
    """Return the tables of the access points, the worst first. Of several, each has its name above it."""
    own = sorted((each for each in entries if each["table"]), key=_rank)
    if len(own) < 2:
        return [list(each["table"]) for each in own]
    bad = [each for each in own if each["verdict"] not in GOOD]
    good = [printable(f"{each['cluster']}: {each['verdict']}") for each in own if each["verdict"] in GOOD]
    return [*([printable(_title(each)), *each["table"]] for each in bad), good]


def _title(entry: Entry) -> str:
    return f"{entry['cluster']}: {entry['verdict']}" if entry["verdict"] else f"{entry['cluster']}:"


def _rank(entry: Entry) -> int:
    verdict = entry["verdict"]
    return WORST_FIRST.index(verdict) if verdict in WORST_FIRST else len(WORST_FIRST)
