# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile as data: values by stack and sample type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Sequence, Tuple

Stack = Tuple[int, ...]
Labels = Tuple[Tuple[str, str], ...]


class ProfileError(ValueError):
    """The bytes are no profile, or go over a limit; the message has the details."""


class ProfileTooLarge(ProfileError):
    """Reading the profile would take too much memory; the message names the limit."""


@dataclass(frozen=True)
class ProfileLimits:
    """Limits for reading untrusted profiles.

    content: bytes, unpacked. samples: also the limit for each other table. values: of all samples, each with one per
    sample type. functions: with a name. depth: locations in a stack (Go has at most 1024). references: from samples to
    calls, in total. labels: in total. message: bytes of one sample or one location.
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
    """Type and unit of a value, e.g. ("inuse_space", "bytes")."""

    type: str
    unit: str


NOTHING = ValueType("", "")


class Function(NamedTuple):
    """A function: its full name, which may be empty, and its source file."""

    name: str
    file: str


class SourceLine(NamedTuple):
    """A call at a location: index into Profile.functions (-1: no name) and the source line."""

    function: int
    line: int


class Location(NamedTuple):
    """A location in the code.

    lines: the calls inlined there, the innermost first; empty if it has no name. binary: the file it belongs to. start:
    address where that file is mapped.
    """

    address: int
    lines: tuple[SourceLine, ...]
    binary: str
    start: int


@dataclass
class Profile:
    """A profile as columns: sample i has the value values[t][i] of sample_types[t] at the stack stacks[i].

    stacks: indices into `locations`, the innermost first. labels: of the samples that have any, by sample index.
    period: each sample stands for this amount of period_type. time and duration are in nanoseconds.
    default: index of the type that is shown unless another is requested.
    notes: remarks for the reader.
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
        """Return the index of the sample type with this name, or the default. Raises ValueError for an unknown name."""
        if not name:
            return self.default
        for index, kind in enumerate(self.sample_types):
            if kind.type == name:
                return index
        raise ValueError(f"there is no sample type {name}, only {', '.join(kind.type for kind in self.sample_types)}")
