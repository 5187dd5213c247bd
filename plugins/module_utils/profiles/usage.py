# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a profile has in all, and whether that is enough to say something of single functions. Pure.

An idle service has a profile, too: one sample of 10 ms, which is 100 % of the processor in whatever function it met.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

from ..text import counted
from .model import Profile
from .units import scale_for
from .validation import COUNTS, kind_of

# With fewer observations no function is named. The share p of a function among n of them is known to about
# sqrt(p (1 - p) / n): to 9 points of 100 with 30 of them, and not at all with one. A processor is looked at 100 times
# in each second that it works (Go's runtime/pprof), so 30 are 0.3 s of work.
LEAST_SAMPLES = 30
# Of one core. Below it a service does no work that a person would look for in a profile.
IDLE_CORES = 0.01
# How many standard deviations a change has to be larger than: chance lifts hardly one of hundreds of functions over it.
DEVIATIONS = 3.0

_NANOSECONDS = 1e9


@dataclass(frozen=True)
class Usage:
    """What a profile has in all. text: for people; value: to compare it with others of its kind.

    samples: how many observations that is; None where everything was counted, and nothing is left to chance.
    """

    text: str
    value: float
    samples: float | None = None

    @property
    def names_functions(self) -> bool:
        """Whether there are enough observations to say which function used the most."""
        return self.samples is None or self.samples >= LEAST_SAMPLES


def usage_of(profile: Profile, kind: str, index: int) -> Usage:
    """Return the load that a profile shows. kind: of proof.COUNTS, "" for any; index: of the sample type shown."""
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
    """Return how many observations each sample stands for; None where everything was counted, as goroutines are.

    Memory is looked at once in each so many bytes (the period), and the values are scaled up by size: Go's
    runtime/pprof, scaleHeapSample. This scales them down again.
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
    """The kind by what is counted: a file may be another profile than its name says."""
    counts = frozenset(one.type for one in profile.sample_types)
    return kind if COUNTS.get(kind) == counts else kind_of(profile)


def _taken(objects: int, size: int, period: int) -> float:
    if not objects or period <= 1:
        return float(objects)
    return objects * -math.expm1(-abs(size / objects) / period)


def may_be_chance(now: float, before: float, ratio: float = 1.0) -> bool:
    """Whether two numbers of observations may well be of the same cause. ratio: what `now` is scaled by."""
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
    """At most two digits behind the point, and none that people do not need."""
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
