# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds of every number that a user may set, and the error message for a value outside them. Data and checks. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Union

from .pprof import MOST_SECONDS

_DAY = 86_400
_SECONDS = "number of seconds"
_BYTES = "number of bytes"
_COUNT = "number"

Number = Union[int, float]


@dataclass(frozen=True)
class Bounds:
    """Inclusive range of an option.

    unit: the noun after "a whole" in messages. whole: integers only.
    """

    least: Number
    greatest: Number
    unit: str
    whole: bool = True

    @property
    def allowed(self) -> str:
        """Return the range as the end of a sentence: "a whole number of seconds from 0 to 600"."""
        return f"a {'whole ' if self.whole else ''}{self.unit} from {self.least} to {self.greatest}"

    def number(self, value: Any) -> Number:
        """Convert the value to a number within the bounds. ValueError if that is impossible."""
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError("not a number")
        number = float(value)
        if not self.least <= number <= self.greatest or (self.whole and not number.is_integer()):
            raise ValueError("out of bounds")
        return int(number) if self.whole else number


def _seconds(least: Number, greatest: Number) -> Bounds:
    return Bounds(least, greatest, _SECONDS, whole=False)


# Option of a module -> its bounds. A value outside of them is the user's mistake and says nothing about a target.
BOUNDS = {
    "concurrency": Bounds(1, 1000, _COUNT),
    "node_concurrency": Bounds(1, 1000, _COUNT),
    "timeout": _seconds(0.1, _DAY),
    "deadline": _seconds(0.1, 7 * _DAY),
    "count": Bounds(1, 1000, _COUNT),
    "samples": Bounds(1, 1000, _COUNT),
    "interval": _seconds(0, _DAY),
    "log_seconds": Bounds(0, 30 * _DAY, _SECONDS),
    "since": Bounds(0, 30 * _DAY, _SECONDS),
    "duration": _seconds(0, 7 * _DAY),
    "cooldown": _seconds(0, 7 * _DAY),
    "max_bytes": Bounds(1, 16 << 30, _BYTES),
    "max_listed": Bounds(0, 1_000_000, _COUNT),
    "max_replicas_at_once": Bounds(1, 1000, _COUNT),
    "cpu_seconds": Bounds(1, MOST_SECONDS, _SECONDS),
    "trace_seconds": Bounds(1, MOST_SECONDS, _SECONDS),
    "delta_seconds": Bounds(0, MOST_SECONDS, _SECONDS),
    "progress_seconds": _seconds(0, _DAY),
}  # type: dict[str, Bounds]


def wrong_number(name: str, value: Any, bounds: Bounds) -> str | None:
    """Return the error message for a value that is not a number within the bounds, or None."""
    try:
        bounds.number(value)
    except ValueError:
        shown = f"'{value}'" if isinstance(value, str) else str(value)
        return f"{name} is {shown}. It has to be {bounds.allowed}."
    return None


def check_bounds(params: Mapping[str, Any]) -> None:
    """Raise ValueError with one sentence for each option that is out of its bounds. NaN is out of all bounds."""
    wrong = [
        wrong_number(name, params[name], bounds) for name, bounds in BOUNDS.items() if params.get(name) is not None
    ]
    sentences = [sentence for sentence in wrong if sentence]
    if sentences:
        raise ValueError(" ".join(sentences))
