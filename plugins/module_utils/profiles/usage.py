# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Total usage that a profile shows, and whether it is enough to name single functions. Pure.

An idle service has a profile, too: one sample of 10 ms is 100 % of the processor in some arbitrary function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

from ..text import counted
from .model import Profile
from .units import scale_for
from .validation import COUNTS, kind_of

# With fewer observations no function is named. The standard error of a share p among n observations is
# sqrt(p (1 - p) / n): up to 9 percentage points with n = 30. Go samples a working processor 100 times a second
# (runtime/pprof), so 30 observations are 0.3 s of work.
LEAST_SAMPLES = 30
# Share of one core below which a service counts as idle.
IDLE_CORES = 0.01
# Standard deviations that a change must exceed: by chance hardly one of hundreds of functions does.
DEVIATIONS = 3.0

_NANOSECONDS = 1e9


@dataclass(frozen=True)
class Usage:
    """Total usage of a profile.

    text: for people. value: to compare with other profiles of this kind.
    samples: number of observations; None if everything was counted, so that nothing is sampled.
    """

    text: str
    value: float
    samples: float | None = None

    @property
    def names_functions(self) -> bool:
        """Return whether there are enough observations to name the function with the largest value."""
        return self.samples is None or self.samples >= LEAST_SAMPLES


def usage_of(profile: Profile, kind: str, index: int) -> Usage:
    """Return the usage that a profile shows.

    kind: of validation.COUNTS, "" for any. index: of the shown sample type.
    """
    kind = _counted_kind(profile, kind)
    total = sum(map(abs, profile.values[index])) if profile.values else 0
    columns = observations(profile, kind, index)
    samples = None if columns is None else sum(map(abs, columns))
    if kind == "cpu":
        return _processor(profile, samples or 0)
    text = _words(profile, kind, index, total)
    if samples is not None and samples < LEAST_SAMPLES:
        text += f"; too few to name a function ({counted(round(samples), 'sample')})"
    return Usage(text, float(total), samples)


def observations(profile: Profile, kind: str, index: int) -> Sequence[float] | None:
    """Return the number of observations of each sample; None if everything was counted, as goroutines are.

    Go samples memory once in each `period` bytes and scales the values up by size (runtime/pprof, scaleHeapSample).
    This function scales them down again.
    """
    kind = _counted_kind(profile, kind)
    columns = {one.type: values for one, values in zip(profile.sample_types, profile.values)}
    if kind == "cpu":
        return columns["samples"]
    if kind in ("block", "mutex"):
        return columns["contentions"]
    if kind not in ("heap", "allocs"):
        return None
    which = profile.sample_types[index].type.partition("_")[0]
    objects, space = columns[f"{which}_objects"], columns[f"{which}_space"]
    return [_taken(count, size, profile.period) for count, size in zip(objects, space)]


def _counted_kind(profile: Profile, kind: str) -> str:
    """Return the kind according to the sample types, since a file's name may be wrong."""
    counts = frozenset(one.type for one in profile.sample_types)
    return kind if COUNTS.get(kind) == counts else kind_of(profile)


def _taken(objects: int, size: int, period: int) -> float:
    if not objects or period <= 1:
        return float(objects)
    return objects * -math.expm1(-abs(size / objects) / period)


def may_be_chance(now: float, before: float, ratio: float = 1.0) -> bool:
    """Return whether the difference of two numbers of observations may be chance.

    ratio: factor by which `now` is scaled.
    """
    return abs(ratio * now - before) <= DEVIATIONS * math.sqrt(ratio * ratio * abs(now) + abs(before))


def _processor(profile: Profile, samples: float) -> Usage:
    used = next(sum(values) for one, values in zip(profile.sample_types, profile.values) if one.type == "cpu")
    seconds, duration = used / _NANOSECONDS, profile.duration / _NANOSECONDS
    if duration <= 0:
        text = f"{_number(seconds)} s"
    elif seconds / duration < IDLE_CORES:
        return Usage(f"{_number(seconds)} s of {_number(duration)} s: idle", seconds, samples)
    else:
        text = f"{_number(seconds)} s of {_number(duration)} s on {_number(seconds / duration)} cores"
    if samples < LEAST_SAMPLES:
        text += f"; too few to name a function ({counted(round(samples), 'sample')})"
    return Usage(text, seconds, samples)


def _number(value: float) -> str:
    """Format a number with at most two digits after the point, fewer for larger numbers."""
    text = f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _words(profile: Profile, kind: str, index: int, total: int) -> str:
    if kind == "goroutine":
        return counted(total, "goroutine")
    if kind == "goroutineleak":
        return counted(total, "leaked goroutine")
    if kind == "threadcreate":
        return counted(total, "thread")
    shown = profile.sample_types[index]
    amount = scale_for(shown.unit, total).text(total)
    if kind in ("heap", "allocs"):
        what, _line, thing = shown.type.partition("_")
        objects = " objects" if thing == "objects" else ""
        return f"{amount}{objects} {'in use' if what == 'inuse' else 'allocated'}"
    return f"{amount} of {shown.type}"
