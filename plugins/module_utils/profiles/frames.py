# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions of a profile by display name, and the functions at each location."""

from __future__ import annotations

from ..sanitize import escaped
from .model import Location, Profile

UNKNOWN = "<unknown>"


class Frames:
    """Names and files of functions, and the functions of locations.

    names[f] and files[f] belong to function f. of[l] has the functions at location l, the outermost first.
    Functions with equal names are one, as in `go tool pprof -top`. A location without a name is shown as its binary.
    """

    def __init__(self, profile: Profile) -> None:
        self.names: list[str] = []
        self.files: list[str] = []
        self._indices: dict[str, int] = {}
        functions = [self._index(one.name, one.file) if one.name else -1 for one in profile.functions]
        self.of = [self._frames(location, functions) for location in profile.locations]

    def _frames(self, location: Location, functions: list[int]) -> tuple[int, ...]:
        if not location.lines:
            return (self._nameless(location),)
        named = [functions[line.function] if line.function >= 0 else -1 for line in location.lines]
        return tuple(index if index >= 0 else self._nameless(location) for index in reversed(named))

    def _nameless(self, location: Location) -> int:
        binary = location.binary.rstrip("/").rpartition("/")[2]
        return self._index(f"[{binary}]" if binary else UNKNOWN, "")

    def _index(self, name: str, file: str) -> int:
        name = escaped(name)
        index = self._indices.setdefault(name, len(self.names))
        if index == len(self.names):
            self.names.append(name)
            self.files.append(escaped(file))
        return index
