# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a profile says: who used how much of what, by stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Sequence, Tuple

Stack = Tuple[int, ...]
Labels = Tuple[Tuple[str, str], ...]


class ProfileError(ValueError):
    """The bytes are not a profile, or one that goes over a limit; the message says what is wrong."""


class ProfileTooLarge(ProfileError):
    """It may well be a profile, but to read it would take too much memory; the message says which limit it is over."""


@dataclass(frozen=True)
class ProfileLimits:
    """How much of a profile is read: bounds against hostile ones.

    content: bytes of it, unpacked. samples: also for each other table. values: of all samples, each with one of each
    sample type. functions: those with a name. depth: places in a stack (Go has at most 1024). references: from samples
    to calls, in all. labels: in all. message: bytes of one sample or one place.
    """

    content: int = 64 << 20
    samples: int = 2_000_000
    values: int = 4_000_000
    functions: int = 200_000
    depth: int = 4096
    references: int = 24_000_000
    labels: int = 1_000_000
    message: int = 1 << 16


class ValueType(NamedTuple):
    """What is counted, e.g. ("inuse_space", "bytes")."""

    type: str
    unit: str


NOTHING = ValueType("", "")


class Function(NamedTuple):
    """A function by its full name, which may be empty, and its source file."""

    name: str
    file: str


class SourceLine(NamedTuple):
    """A call in a place: index into Profile.functions (-1: not named), and the source line."""

    function: int
    line: int


class Location(NamedTuple):
    """A place in the code. lines: the calls inlined there, the innermost first; empty where it has no name.

    binary: the file it belongs to; start: where that begins in memory.
    """

    address: int
    lines: tuple[SourceLine, ...]
    binary: str
    start: int


@dataclass
class Profile:
    """A profile as columns: sample i has values[t][i] of sample_types[t], at the place stacks[i].

    stacks: indices into `locations`, the innermost first. labels: of the samples that have any.
    period: one sample stands for so many of period_type; time and duration are in nanoseconds.
    default: index of the type that is shown unless another is asked for.
    notes: what a reader should know of it.
    """

    sample_types: list[ValueType]
    values: list[Sequence[int]]
    stacks: list[Stack]
    locations: list[Location]
    functions: list[Function]
    labels: dict[int, Labels] = field(default_factory=dict)
    period_type: ValueType = NOTHING
    period: int = 0
    time: int = 0
    duration: int = 0
    default: int = 0
    notes: list[str] = field(default_factory=list)

    def index_of(self, name: str | None) -> int:
        """The sample type of this name, or the default one. ValueError for a name that there is not."""
        if not name:
            return self.default
        for index, kind in enumerate(self.sample_types):
            if kind.type == name:
                return index
        raise ValueError(f"there is no sample type {name}, only {', '.join(kind.type for kind in self.sample_types)}")
