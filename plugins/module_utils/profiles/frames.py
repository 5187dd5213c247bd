# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions of a profile by their names, as people see them, and which of them each place stands for."""

from __future__ import annotations

from ..text import escaped
from .model import Location, Profile

UNKNOWN = "<unknown>"


class Frames:
    """names[f] and files[f] of function f; of[l]: the functions at place l of the profile, the outermost first.

    Functions of one name are one, as in `go tool pprof -top`; what has no name goes by its binary.
    """

    def __init__(self, profile: Profile) -> None:
        self.names: list[str] = []
        self.files: list[str] = []
        self._indices: dict[str, int] = {}
        functions = [self._index(one.name, one.file) if one.name else -1 for one in profile.functions]
        self.of = [self._frames(place, functions) for place in profile.locations]

    def _frames(self, place: Location, functions: list[int]) -> tuple[int, ...]:
        if not place.lines:
            return (self._nameless(place),)
        named = [functions[line.function] if line.function >= 0 else -1 for line in place.lines]
        return tuple(index if index >= 0 else self._nameless(place) for index in reversed(named))

    def _nameless(self, place: Location) -> int:
        binary = place.binary.rstrip("/").rpartition("/")[2]
        return self._index(f"[{binary}]" if binary else UNKNOWN, "")

    def _index(self, name: str, file: str) -> int:
        name = escaped(name)
        index = self._indices.setdefault(name, len(self.names))
        if index == len(self.names):
            self.names.append(name)
            self.files.append(escaped(file))
        return index
