# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a goroutine dump says, whatever form it was written in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOST_ERRORS = 1000  # kept of one dump, the first ones
IDS_KEPT = 100  # goroutine ids kept in a group, the first ones in the dump


class Frame(NamedTuple):
    """One call: the function without its arguments, and the source line it is at."""

    function: str
    file: str
    line: int

    def to_dict(self) -> dict[str, Any]:
        return {"function": self.function, "file": self.file, "line": self.line}


class ParseError(NamedTuple):
    """What could not be read: the line of the input (from 1), the goroutine if known, and why."""

    line: int
    goroutine: int | None
    message: str

    def to_dict(self) -> dict[str, Any]:
        return {"line": self.line, "goroutine": self.goroutine, "message": self.message}


@dataclass
class Group:
    """Goroutines in the same state with the same frames, labels and creator; frames innermost first.

    state, wait (whole minutes, 0 where the dump says none) and ids are None or empty in a debug=1 dump, which does
    not say them. ids holds the first IDS_KEPT.
    """

    count: int
    frames: tuple[Frame, ...]
    state: str | None = None
    wait_min: int | None = None
    wait_max: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    created_by: Frame | None = None
    ids: list[int] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """functions[i] is called at locations[i] ("file:line")."""
        return {
            "count": self.count,
            "state": self.state,
            "wait_minutes_min": self.wait_min,
            "wait_minutes_max": self.wait_max,
            "functions": [frame.function for frame in self.frames],
            "locations": [f"{frame.file}:{frame.line}" for frame in self.frames],
            "labels": dict(self.labels),
            "created_by": self.created_by.to_dict() if self.created_by else None,
            "ids": list(self.ids),
        }


@dataclass
class Dump:
    """One dump found in some bytes.

    form: debug1 (SIGUSR1 of a Cloudpods service, pprof debug=1), debug2 (pprof debug=2), fatal (panic, fatal error,
    SIGQUIT), stack (one goroutine in a log message: no whole dump was wanted).
    total: goroutines as the dump itself states; only debug1 does.
    goroutines: how many were read.
    complete: True if proven, False if proven not to be, None if the form cannot tell (no total) and nothing is amiss.
    groups: the largest first.
    source: the pod and container or the stream whose prefix the lines had, None without prefixes.
    line: where it begins in the input, from 1.
    """

    form: str
    goroutines: int
    complete: bool | None
    groups: list[Group]
    errors: list[ParseError] = field(default_factory=list)
    total: int | None = None
    source: str | None = None
    line: int = 1

    def to_dict(self, max_groups: int | None = None) -> dict[str, Any]:
        """Plain values; groups beyond max_groups are left out and their number is in groups_left_out."""
        shown = self.groups if max_groups is None else self.groups[:max_groups]
        return {
            "form": self.form,
            "total": self.total,
            "goroutines": self.goroutines,
            "complete": verdict(self.complete),
            "errors": [error.to_dict() for error in self.errors],
            "groups": [group.to_dict() for group in shown],
            "groups_left_out": len(self.groups) - len(shown),
            "source": self.source,
            "line": self.line,
        }


class ParseResult(NamedTuple):
    """All dumps of some bytes, and what was wrong outside of them (no dump at all is one such thing).

    unread: goroutines that are seen to be there and cannot be read; of a debug=1 dump, one.
    """

    dumps: list[Dump]
    errors: list[ParseError]
    unread: int = 0

    @property
    def complete(self) -> bool | None:
        """Of everything: False if any dump is not, or there is none; None if any is unknown or cannot be read."""
        found = [dump.complete for dump in self.dumps if dump.form != "stack"]
        if not found or False in found:
            return False
        return None if None in found or self.unread else True

    def to_dict(self, max_groups: int | None = None) -> dict[str, Any]:
        return {
            "dumps": [dump.to_dict(max_groups) for dump in self.dumps],
            "errors": [error.to_dict() for error in self.errors],
            "complete": verdict(self.complete),
        }


def verdict(complete: bool | None) -> str:
    """The word for it in results: true, false or unknown."""
    return "unknown" if complete is None else "true" if complete else "false"
