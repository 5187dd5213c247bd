# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text and failure message at the end of a run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.sanitize import printable

# Verdicts of log watches and audits, the worst first. Other verdicts come last.
WORST_FIRST = ("dropping", "critical", "stuck", "warning", "busy", "unknown", "healthy", "ok")
GOOD = ("healthy", "ok")
MOST_NAMES = 5
NOTHING, WOULD_NOTHING = "Nothing was captured", "Nothing would be captured"
# Beginning of the part of a bundle_seal message about the first incomplete row, which the table shows as well.
FIRST_ROW = " The first: "

Entry = Mapping[str, Any]
Lines = Sequence[str]


@dataclass(frozen=True)
class RunOutcome:
    """End of a run. lines: text without the path of the bundle. failure: why the run failed, or "".

    short: failure without what the text already states, because Ansible shows the message of a failed task up to twice.
    errors: each error of access points once, with its access points: [{error, access_points}].
    """

    lines: list[str] = field(default_factory=list)
    failure: str = ""
    short: str = ""
    errors: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class FailurePolicy:
    """Conditions under which a run fails. may_fail: it fails if nothing is captured at all.

    failures: failure messages; the first one counts.
    """

    may_fail: bool
    failures: Sequence[str] = ()

    @property
    def failure(self) -> str:
        return next((text for text in self.failures if text), "")


def run_outcome(entries: Sequence[Entry], tables: Sequence[Lines], policy: FailurePolicy) -> RunOutcome:
    """Return the end of a run.

    entries: results of bundle_capture. tables: tables made on the controller.
    """
    errors = group_errors(entries)
    if errors and not any(each["brought"] for each in entries):
        return _nothing(NOTHING, errors, policy)
    lines = blocks([*_of_access_points(entries), *tables])
    return RunOutcome(lines, policy.failure, policy.failure.partition(FIRST_ROW)[0], errors)


def check_mode_outcome(entries: Sequence[Entry], policy: FailurePolicy) -> RunOutcome:
    """Return the end of a run in check mode: what would be done."""
    errors = group_errors(entries)
    failing = [each for each in entries if each["missed"]]
    if errors and len(failing) == len(entries):
        return _nothing(WOULD_NOTHING, errors, policy)
    lines = blocks([*_of_access_points(entries), _told(errors)])
    if policy.may_fail and not sum(each["would"] for each in entries):
        reason = next((each["said"] for each in entries if each["said"]), "No instance was found.")
        text = lines if any(line.endswith(reason) for line in lines) else [*lines, reason]
        return RunOutcome(text, f"{WOULD_NOTHING}: {reason}", f"{WOULD_NOTHING}.", errors)
    return RunOutcome(lines, policy.failure, policy.failure, errors)


def group_errors(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return each error once, with the access points that have it."""
    found: dict[str, list[str]] = {}
    for each in entries:
        for missed in each["missed"]:
            found.setdefault(printable(missed["error"]), []).append(missed["cluster"])
    return [{"error": error, "access_points": list(dict.fromkeys(names))} for error, names in found.items()]


def blocks(parts: Iterable[Lines]) -> list[str]:
    """Join the non-empty parts with an empty line between them."""
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


def _nothing(what: str, errors: Sequence[Mapping[str, Any]], policy: FailurePolicy) -> RunOutcome:
    """Return the end of a run in which every access point failed."""
    found = [dict(each) for each in errors]
    names = [name for each in errors for name in each["access_points"]]
    lines = _told(errors) if len(names) > 1 else [errors[0]["error"]]
    if not policy.may_fail:
        return RunOutcome(lines, policy.failure, policy.failure, found)
    where = "see the error above" if len(errors) == 1 else f"see the {len(errors)} errors above"
    return RunOutcome(lines, f"{what}: {' '.join(each['error'] for each in errors)}", f"{what}: {where}.", found)


def _told(errors: Iterable[Mapping[str, Any]]) -> list[str]:
    return [f"{_listed(each['access_points'])}: {each['error']}" for each in errors]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(printable, names[:MOST_NAMES]))
    return f"{shown} and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else shown


def _of_access_points(entries: Sequence[Entry]) -> list[list[str]]:
    """Return the tables of the access points, the worst first. If there are several, each has a title."""
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
