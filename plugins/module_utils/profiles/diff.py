# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Difference of two profiles (before and after, good and slow replica), as `go tool pprof -diff_base` shows it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple, Sequence, cast

from ..sanitize import escaped
from .call_tree import CallTree
from .frames import Frames
from .model import Profile, SourceLine
from .top import Top, tops
from .usage import may_be_chance, observations

NO_FUNCTIONS: frozenset[str] = frozenset()


class Difference(NamedTuple):
    """A difference between a profile and its base.

    tops: for each sample type, the new values minus the old ones; percentages are of the old total.
    tree: own has the new values of each type, followed by the old values of each type.
    chance: for each type, the functions whose change may be chance, because they have few samples.
    """

    tops: list[Top]
    tree: CallTree
    chance: list[frozenset[str]]


def diff(profile: Profile, base: Profile, normalize: bool = False, kind: str = "") -> Difference:
    """Return the changes from base to profile. Raises ValueError if their sample types differ.

    normalize: scale the profile to the base's total of each type. kind: of the profiles, "" for any.
    """
    if profile.sample_types != base.sample_types:
        theirs, ours = (", ".join(escaped(kind.type) for kind in one.sample_types) for one in (base, profile))
        raise ValueError(f"the profiles have different sample types: {ours}; before: {theirs}")
    chance = _chance(profile, base, normalize, kind)
    if normalize:
        profile = _scaled(profile, base)
    joined = _joined(profile, base)
    frames = Frames(joined)
    count, before = len(profile.stacks), len(base.stacks)
    changes = replace(
        joined,
        values=[[*now, *(-value for value in then)] for now, then in zip(profile.values, base.values)],
    )
    totals = [sum(map(abs, then)) or sum(map(abs, now)) for now, then in zip(profile.values, base.values)]
    both = replace(
        joined,
        values=[
            *([*now, *[0] * before] for now in profile.values),
            *([*[0] * count, *then] for then in base.values),
        ],
    )
    return Difference(tops(changes, frames, totals), CallTree(both, frames), chance)


def _chance(profile: Profile, base: Profile, normalize: bool, kind: str) -> list[frozenset[str]]:
    """Return, for each sample type, the functions whose change may be chance.

    An example is 1 sample before and 2 now.
    """
    found = []
    for index in range(len(profile.sample_types)):
        now, before = (observations(one, kind, index) for one in (profile, base))
        if now is None or before is None:
            found.append(NO_FUNCTIONS)
            continue
        ratio = _ratio(profile.values[index], base.values[index]) if normalize else 1.0
        ours, theirs = _observed(profile, now), _observed(base, before)
        nothing = (0.0, 0.0)
        found.append(
            frozenset(
                name
                for name in {*ours, *theirs}
                if all(
                    may_be_chance(one, other, ratio)
                    for one, other in zip(ours.get(name, nothing), theirs.get(name, nothing))
                )
            )
        )
    return found


def _observed(profile: Profile, column: Sequence[float]) -> dict[str, tuple[float, float]]:
    """Return the observations of each function, flat and cumulative."""
    one = replace(profile, sample_types=profile.sample_types[:1], values=[cast("Sequence[int]", column)])
    (top,) = tops(one, Frames(one))
    return {row.function: (row.flat, row.cum) for row in top.rows}


def _joined(profile: Profile, base: Profile) -> Profile:
    """Return a profile with the stacks of both and without values.

    The locations and functions of base come after those of the profile.
    """
    function_offset, location_offset = len(profile.functions), len(profile.locations)
    moved = [
        location._replace(
            lines=tuple(
                SourceLine(line.function + function_offset if line.function >= 0 else -1, line.line)
                for line in location.lines
            )
        )
        for location in base.locations
    ]
    return replace(
        profile,
        functions=profile.functions + base.functions,
        locations=profile.locations + moved,
        stacks=profile.stacks + [tuple([location + location_offset for location in stack]) for stack in base.stacks],
        values=[],
        labels={},
    )


def _scaled(profile: Profile, base: Profile) -> Profile:
    """Return the profile with each value scaled by the ratio of the sums, rounded sample by sample as pprof does."""
    ratios = [_ratio(now, then) for now, then in zip(profile.values, base.values)]
    if all(ratio == 1 for ratio in ratios):
        return profile
    columns = [
        values if ratio == 1 else [_round(value * ratio) for value in values]
        for values, ratio in zip(profile.values, ratios)
    ]
    scaled = [column for column, ratio in zip(columns, ratios) if ratio != 1]
    kept = [index for index in range(len(profile.stacks)) if any(column[index] for column in scaled)]
    return replace(
        profile,
        stacks=[profile.stacks[index] for index in kept],
        values=[[column[index] for index in kept] for column in columns],
        labels={},
    )


def _ratio(now: Sequence[int], then: Sequence[int]) -> float:
    """Return the factor that scales the sum of `now` to the sum of `then`."""
    return sum(then) / sum(now) if sum(now) else 0.0


def _round(value: float) -> int:
    """Round half away from zero, as Go does."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))
