# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the functions with the largest values, as `go tool pprof -top` shows it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, Sequence

from ..sanitize import escaped
from .frames import Frames
from .model import Profile, ValueType
from .units import Scale, percent, percent_text, scale_of_table

_GO = ("runtime.", "internal/", "sync.", "syscall.", "time.", "net.", "net/", "os.", "os/", "bufio.", "crypto/", "io.")


class FunctionRow(NamedTuple):
    """One function.

    flat: its own value. cum: with the functions that it called; recursion counts once.
    """

    function: str
    file: str
    flat: int
    cum: int


@dataclass
class Top:
    """The functions of one sample type, the largest flat value first.

    total: percentages are of this.
    """

    kind: ValueType
    total: int
    rows: list[FunctionRow]

    @property
    def scale(self) -> Scale:
        return scale_of_table(self.kind.unit, [row.flat or row.cum for row in self.rows], self.total)

    def to_dict(self, most: int | None = None, chance: frozenset[str] | None = None) -> dict[str, Any]:
        """Return plain values. functions_left_out is the number of rows beyond `most`.

        chance: in a difference, the functions whose change may be chance; each row then has may_be_chance.
        """
        scale, sums, functions = self.scale, 0, []
        for row in self.rows[:most]:
            sums += row.flat
            functions.append(
                {
                    "function": row.function,
                    "file": row.file,
                    "flat": row.flat,
                    "flat_percent": round(percent(row.flat, self.total), 2),
                    "flat_text": scale.text(row.flat),
                    "sum_percent": round(percent(sums, self.total), 2),
                    "cum": row.cum,
                    "cum_percent": round(percent(row.cum, self.total), 2),
                    "cum_text": scale.text(row.cum),
                    **({} if chance is None else {"may_be_chance": row.function in chance}),
                }
            )
        return {
            "type": escaped(self.kind.type),
            "unit": escaped(self.kind.unit),
            "total": self.total,
            "total_text": scale.text(self.total),
            "functions": functions,
            "functions_left_out": len(self.rows) - len(functions),
        }

    def lines(self, most: int | None = None) -> list[str]:
        """Return the table as lines of text."""
        scale, sums = self.scale, 0
        lines = [f"{'flat':>10} {'flat':>5}% {'sum':>5}% {'cum':>10} {'cum':>5}%"]
        for row in self.rows[:most]:
            sums += row.flat
            lines.append(
                f"{scale.text(row.flat):>10} {percent_text(row.flat, self.total)} {percent_text(sums, self.total)} "
                f"{scale.text(row.cum):>10} {percent_text(row.cum, self.total)}  {row.function}"
            )
        return lines


def tops(profile: Profile, frames: Frames, totals: Sequence[int] | None = None) -> list[Top]:
    """Return the table of each sample type.

    totals: percentages are of these; default: the profile's own sums.
    """
    count = len(frames.names)
    stacks, columns = by_stack(profile)
    flats = [[0] * count for _column in columns]
    cums = [[0] * count for _column in columns]
    functions_of = frames.of.__getitem__
    pairs = list(zip(columns, flats, cums))
    for index, stack in enumerate(stacks):
        if not stack:
            continue
        functions = set(chain.from_iterable(map(functions_of, stack)))
        leaf = frames.of[stack[0]][-1]
        for column, flat, cum in pairs:
            value = column[index]
            if value:
                flat[leaf] += value
                for function in functions:
                    cum[function] += value
    own = [sum(map(abs, column)) for column in profile.values]
    return [
        Top(kind, total, _rows(frames, flat, cum))
        for kind, total, flat, cum in zip(profile.sample_types, totals or own, flats, cums)
    ]


def top_wait(profile: Profile, frames: Frames, index: int) -> tuple[str, int]:
    """Return where most goroutines wait: the innermost function that is not Go's own, and their number.

    Their innermost function itself is nearly always runtime.gopark.
    """
    counts: dict[str, int] = {}
    stacks, columns = by_stack(profile)
    for stack, value in zip(stacks, columns[index]):
        inwards = (frames.names[function] for location in stack for function in reversed(frames.of[location]))
        function = next((name for name in inwards if not name.startswith(_GO)), "")
        counts[function] = counts.get(function, 0) + value
    counts.pop("", None)
    return max(((name, count) for name, count in counts.items()), key=lambda one: one[1], default=("", 0))


def by_stack(profile: Profile) -> tuple[list[tuple[int, ...]], Sequence[Sequence[int]]]:
    """Return the distinct stacks, and for each sample type the sum of each stack's values."""
    indices: dict[tuple[int, ...], int] = {}
    rows_of_stacks = [indices.setdefault(stack, len(indices)) for stack in profile.stacks]
    if len(indices) == len(rows_of_stacks):
        return profile.stacks, profile.values
    columns = []
    for values in profile.values:
        column = [0] * len(indices)
        for row, value in zip(rows_of_stacks, values):
            column[row] += value
        columns.append(column)
    return list(indices), columns


def _rows(frames: Frames, flat: list[int], cum: list[int]) -> list[FunctionRow]:
    rows = [
        FunctionRow(name, file, own, whole)
        for name, file, own, whole in zip(frames.names, frames.files, flat, cum)
        if own or whole
    ]
    rows.sort(key=lambda row: (-abs(row.flat), row.function, -abs(row.cum)))
    return rows
