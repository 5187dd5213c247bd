# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Goroutine dumps as data, the same for all forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOST_ERRORS = 1000  # errors kept of one dump, the first ones
IDS_KEPT = 100  # goroutine ids kept of a group, the first ones in the dump


class Frame(NamedTuple):
    """One call: the function without its arguments, and its source line."""

    function: str
    file: str
    line: int

    def to_dict(self) -> dict[str, Any]:
        return {"function": self.function, "file": self.file, "line": self.line}


class ParseError(NamedTuple):
    """A problem of the input: its line (from 1), the goroutine if known, and a message."""

    line: int
    goroutine: int | None
    message: str

    def to_dict(self) -> dict[str, Any]:
        return {"line": self.line, "goroutine": self.goroutine, "message": self.message}


@dataclass
class Group:
    """Goroutines with the same state, frames, labels and creator; frames innermost first.

    state, wait (whole minutes, 0 if the dump has none) and ids are None or empty for a debug=1 dump, which does not
    have them. ids holds the first IDS_KEPT.
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
        """Return plain values. functions[i] is called at locations[i] ("file:line")."""
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
    """One dump.

    form: debug1 (SIGUSR1 of a Cloudpods service, pprof debug=1), debug2 (pprof debug=2), fatal (panic, fatal error,
    SIGQUIT), stack (one goroutine in a log message, no whole dump).
    total: goroutines as the dump itself states; only debug1 does.
    goroutines: number that was read.
    complete: True if proven, False if disproven, None if the form cannot tell (no total) and no problem was found.
    groups: the largest first.
    source: pod and container, or the stream, from the prefix of the lines; None without prefixes.
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
        """Return plain values. groups_left_out is the number of groups beyond max_groups."""
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
    """All dumps of some bytes, and problems outside of them; one such problem is that there is no dump.

    unread: goroutines that were recognised and cannot be read; a debug=1 dump counts as one.
    """

    dumps: list[Dump]
    errors: list[ParseError]
    unread: int = 0

    @property
    def complete(self) -> bool | None:
        """Return False if any dump is incomplete or there is none; None if any is unknown or unreadable; else True."""
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
    """Return the word for results: true, false or unknown."""
    return "unknown" if complete is None else "true" if complete else "false"
