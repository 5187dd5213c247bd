# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values with units for people, scaled and formatted as `go tool pprof` does."""

from __future__ import annotations

from typing import Sequence

# For each family: the names of its base unit, the default unit, and (unit, factor), ascending.
_FAMILIES: tuple[tuple[frozenset[str], str, tuple[tuple[str, float], ...]], ...] = (
    (
        frozenset(("byte", "b")),
        "B",
        (("B", 1), ("kB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40), ("PB", 1 << 50)),
    ),
    (
        frozenset(("nanosecond", "ns")),
        "s",
        (("ns", 1), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("hrs", 3600e9)),
    ),
)


class Scale:
    """The unit and factor of all values of one table."""

    def __init__(self, unit: str = "", factor: float = 1) -> None:
        self.unit = unit
        self.factor = factor

    def text(self, value: float) -> str:
        """Format a value."""
        shown = f"{value / self.factor:.2f}"
        shown = shown[:-3] if shown.endswith(".00") else shown
        return "0" if shown in ("0", "-0") else shown + self.unit


def scale_for(unit: str, value: float) -> Scale:
    """Return the largest unit in which this value is 1 or more."""
    found = _family(unit)
    if found is None:
        return Scale("" if unit in ("count", "sample", "unit") else unit)
    default, units = found
    fitting = [one for one in units if abs(value) >= one[1]]
    return Scale(*(fitting[-1] if fitting else next(one for one in units if one[0] == default)))


def scale_of_table(unit: str, values: Sequence[float], total: float) -> Scale:
    """Return one unit for these values, so that the smallest remains visible, and for the total."""
    least = min((abs(value) for value in values if value), default=total)
    small, large = scale_for(unit, least), scale_for(unit, total)
    if small.unit != large.unit and least * 100 < total:
        return scale_for(unit, least * 100)
    return small


def percent(value: float, total: float) -> float:
    """Return the percentage of the total, 0 if the total is 0."""
    return abs(value / total) * 100 if total else 0.0


def percent_text(value: float, total: float) -> str:
    """Format a percentage in six characters, as `go tool pprof` does."""
    ratio = percent(value, total)
    if 99.95 <= ratio <= 100.05:
        return "  100%"
    return f"{ratio:5.2f}%" if ratio >= 1 else f"{ratio:5.2g}%"


def _family(unit: str) -> tuple[str, tuple[tuple[str, float], ...]] | None:
    name = unit.lower()
    if len(name) > 2 and name.endswith("s"):
        name = name[:-1]
    for names, default, units in _FAMILIES:
        if name in names:
            return default, units
    return None
