# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read one profile and make its reports: tables, flame graphs and files for other tools."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Sequence

from ..sanitize import escaped
from ..text import columns
from .call_tree import CallTree
from .diff import diff
from .flamegraph import MOST_FRAMES, diff_flamegraph, flamegraph
from .folded import folded
from .frames import Frames
from .model import Profile, ProfileLimits
from .speedscope import speedscope
from .top import Top, top_wait, tops
from .units import percent
from .unpack import Unpacked, unpack
from .usage import Usage, usage_of
from .validation import COUNTS, Validation, kind_of, validate_unpacked

TOP_FORMAT, DIFF_FORMAT, FORMAT_VERSION = "cloudpods.diagnostics/profile-top", "cloudpods.diagnostics/profile-diff", 1
TOP_TEXT, TOP_JSON, FOLDED, SPEEDSCOPE, FLAME = ".top.txt", ".top.json", ".folded", ".speedscope.json", ".flame.html"
DIFF_TEXT, DIFF_JSON, DIFF_FLAME = ".diff.top.txt", ".diff.top.json", ".diff.flame.html"
CHANCE = "  (may be chance)"  # behind a change in the table
_MOST_ROWS = 10_000  # rows of a table as JSON
_ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".tgz", ".tar", ".zip", ".pb", ".pprof", ".prof")


@dataclass(frozen=True)
class ReportSettings:
    """Settings of the reports.

    sample_type: the one to show first, None for the profile's own. frames: limit for a flame graph.
    """

    sample_type: str | None = None
    normalize: bool = False
    frames: int = MOST_FRAMES
    limits: ProfileLimits = field(default_factory=ProfileLimits)


@dataclass
class ProfileReading:
    """The results of reading one profile.

    kind: "" if no kind has its sample types. tops: for each sample type. first: index of the one to show.
    files: contents by the end of their names. change: table of changes since the base profile. chance: functions in it
    whose change may be chance.
    usage: total; None if the profile could not be read.
    busiest: the function with the largest value, or where most goroutines wait, and that value; ("", 0) if there are
    too few samples.
    problem: the reason why there is no difference, or no table.
    """

    validation: Validation
    kind: str = ""
    tops: list[Top] = field(default_factory=list)
    first: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    change: Top | None = None
    chance: frozenset[str] = frozenset()
    usage: Usage | None = None
    busiest: tuple[str, int] = ("", 0)
    problem: str = ""

    @property
    def top(self) -> Top | None:
        return self.tops[self.first] if self.tops else None

    @property
    def busiest_percent(self) -> float:
        return round(percent(self.busiest[1], self.top.total), 2) if self.top else 0.0


def stem(name: str) -> str:
    """Return a file's name without endings of profiles and archives: cpu for cpu.pb.gz."""
    for ending in _ENDINGS:
        if name.endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
    return name


def read_one(name: str, kind: str, data: bytes, settings: ReportSettings, base: bytes | None = None) -> ProfileReading:
    """Read a profile and make its files. Never raises for any bytes.

    name: a title for people. kind: the expected one, "" for any. data: as the service sends it. base: another profile
    to compare with.
    """
    most = settings.limits.content
    return read_unpacked(name, kind, unpack(data, most), settings, None if base is None else unpack(base, most))


def read_unpacked(
    name: str, kind: str, unpacked: Unpacked, settings: ReportSettings, base: Unpacked | None = None
) -> ProfileReading:
    """Read a profile that is unpacked already, and make its files."""
    proof, profile = validate_unpacked(kind, unpacked, settings.limits)
    reading = ProfileReading(proof, kind)
    if profile is None:
        reading.problem = proof.message
        return reading
    reading.kind = kind or _kind(name, profile)
    try:
        reading.first = profile.index_of(settings.sample_type)
    except ValueError as error:
        reading.problem = str(error)
        reading.first = profile.default
    _make(reading, name, profile, settings)
    if base is not None:
        _compare(reading, name, profile, base, settings)
    return reading


def _kind(name: str, profile: Profile) -> str:
    """Return the kind by sample types; if two kinds have the same, by the file's name."""
    counted = kind_of(profile)
    named = stem(name.rpartition("/")[2]).partition("-")[0]
    return named if counted and COUNTS.get(named) == COUNTS[counted] else counted


def _make(reading: ProfileReading, name: str, profile: Profile, settings: ReportSettings) -> None:
    frames = Frames(profile)
    reading.tops = tops(profile, frames)
    reading.usage = usage_of(profile, reading.kind, reading.first)
    reading.busiest = _busiest(reading, profile, frames)
    tree = CallTree(profile, frames)
    title = f"{name} ({reading.kind})" if reading.kind else name
    notes = [
        escaped(reading.usage.text),
        *profile.notes,
        *([] if reading.validation.status == "complete" else [reading.validation.message]),
    ]
    about = {
        "format": TOP_FORMAT,
        "version": FORMAT_VERSION,
        "kind": reading.kind,
        "reason": reading.validation.reason.value,
        "time": profile.time,
        "duration": round(profile.duration / 1e9, 3),
        "first": reading.first,
        "types": [top.to_dict(_MOST_ROWS) for top in reading.tops],
    }
    stacks, left_out = folded(tree, reading.first)
    if left_out:
        notes.append(f"The file {FOLDED} is without {left_out} stacks: it would be too long.")
    page = flamegraph(tree, profile.sample_types, title, reading.first, notes, settings.frames)
    reading.files = {
        TOP_TEXT: _text(reading.tops, reading.first, [title, *notes]),
        TOP_JSON: _json(about),
        FOLDED: stacks.encode("utf-8", "replace"),
        SPEEDSCOPE: _json(speedscope(tree, profile.sample_types, title, reading.first)),
        FLAME: page.encode("utf-8", "replace"),
    }


def _busiest(reading: ProfileReading, profile: Profile, frames: Frames) -> tuple[str, int]:
    if reading.kind in ("goroutine", "goroutineleak"):
        return top_wait(profile, frames, reading.first)
    rows = reading.tops[reading.first].rows if reading.usage and reading.usage.names_functions else []
    return (rows[0].function, rows[0].flat) if rows and rows[0].flat else ("", 0)


def _compare(reading: ProfileReading, name: str, profile: Profile, base: Unpacked, settings: ReportSettings) -> None:
    proof, before = validate_unpacked("", base, settings.limits)
    if before is None:
        reading.problem = f"the profile to compare with cannot be read: {proof.message}"
        return
    try:
        difference = diff(profile, before, settings.normalize, reading.kind)
    except ValueError as error:
        reading.problem = str(error)
        return
    reading.change, reading.chance = difference.tops[reading.first], difference.chance[reading.first]
    title = f"{name}: change"
    now, then = (usage_of(one, reading.kind, reading.first) for one in (profile, before))
    notes = [escaped(f"Now: {now.text}. Before: {then.text}.")]
    if settings.normalize:
        notes.append("The profile is scaled to the sum of the one before.")
    if reading.change.rows and all(row.function in reading.chance for row in reading.change.rows):
        notes.append("No change is larger than chance explains.")
    if proof.status != "complete":
        notes.append(f"Before: {proof.message}")
    about = {
        "format": DIFF_FORMAT,
        "version": FORMAT_VERSION,
        "normalized": settings.normalize,
        "first": reading.first,
        "types": [top.to_dict(_MOST_ROWS, names) for top, names in zip(difference.tops, difference.chance)],
    }
    page = diff_flamegraph(difference.tree, profile.sample_types, title, reading.first, notes, settings.frames)
    reading.files.update(
        {
            DIFF_TEXT: _text(difference.tops, reading.first, [title, *notes], difference.chance),
            DIFF_JSON: _json(about),
            DIFF_FLAME: page.encode("utf-8", "replace"),
        }
    )


def _text(found: list[Top], first: int, head: list[str], chance: Sequence[frozenset[str]] = ()) -> bytes:
    """Return the tables of all sample types, `first` first.

    chance: see Difference.
    """
    lines = [escaped(line) for line in head]
    for index in sorted(range(len(found)), key=lambda index: index != first):
        top = found[index]
        heading, *rows = top.lines()
        marks = [CHANCE if chance and row.function in chance[index] else "" for row in top.rows]
        lines += ["", f"{escaped(top.kind.type)}: {top.scale.text(top.total)} in all", heading]
        lines += [line + mark for line, mark in zip(rows, marks)]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def table(profiles: Sequence[dict[str, Any]]) -> list[str]:
    """Return the entries of profile_analysis as lines for people: usage and first function of each profile."""
    if not profiles:
        return []
    cells = [["component", "instance", "kind", "status", "load", "of all", "function"]]
    for one in profiles:
        where = one["instance"] or one["path"].rpartition("/")[2]
        known = bool(one["top_function"])
        cells.append(
            [
                one["component"] or "-",
                where,
                one["kind"] or "-",
                one["status"] if one["status"] == "complete" else f"{one['status']} ({one['reason']})",
                one["load"] or "-",
                f"{one['top_percent']:.0f}%" if known else "-",
                one["top_function"] if known else "-",
            ]
        )
    return [escaped(line) for line in columns(cells)]
