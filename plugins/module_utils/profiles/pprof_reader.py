# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse the bytes of a profile into columns. Any bytes give a profile or a ProfileError, within the limits."""

from __future__ import annotations

from array import array
from typing import Any, Iterable

from . import pprof_proto
from .model import (
    Function,
    Labels,
    Location,
    Profile,
    ProfileError,
    ProfileLimits,
    ProfileTooLarge,
    SourceLine,
    Stack,
    ValueType,
)

_MOST_LINES = 1000  # calls that are inlined at one location
_FEW_LINES = 8  # locations with at most this many lines need no count for each stack
_KEPT = 4096  # kept bytes of a name
_KEPT_OF_FILE = 1024
_LONGEST_TYPE = 100
_MOST_TYPES = 16  # Go's profiles have at most four


def read(content: bytes, limits: ProfileLimits) -> Profile:
    """Return the profile in this unpacked protobuf.

    Raises ProfileError if it is none, ProtobufMissing if none can be read.
    """
    if len(content) > limits.content:
        raise ProfileTooLarge(f"it has {len(content)} bytes, more than {limits.content}")
    try:
        return _ProfileParser(content, limits).profile()
    except pprof_proto.decode_errors() as error:
        raise ProfileError(f"it is not a whole protobuf of a profile ({error})") from error


class _ProfileParser:
    """A profile while it is read: its tables and the indices of their ids."""

    def __init__(self, content: bytes, limits: ProfileLimits) -> None:
        self.limits = limits
        self.outline = pprof_proto.reader("Profile")(content)
        for table in ("sample_type", "sample", "mapping", "location", "function", "string_table"):
            if len(getattr(self.outline, table)) > limits.samples:
                raise ProfileTooLarge(f"its table {table} has more than {limits.samples} entries")
        if len(self.outline.function) > limits.functions:
            raise ProfileTooLarge(f"its table function has more than {limits.functions} entries")
        self.strings = self.outline.string_table
        self.texts: dict[int, str] = {}

    def profile(self) -> Profile:
        outline = self.outline
        types = [self.value_type(message) for message in outline.sample_type]
        if not types or len(types) > _MOST_TYPES:
            raise ProfileError(f"it has {len(types)} sample types")
        if len(types) * len(outline.sample) > self.limits.values:
            raise ProfileTooLarge(f"its samples have more than {self.limits.values} values")
        functions, function_ids = self.functions()
        locations, location_ids = self.locations(function_ids)
        profile = Profile(
            types,
            [],
            [],
            locations,
            functions,
            period_type=self.value_type(outline.period_type),
            period=outline.period,
            time=outline.time_nanos,
            duration=outline.duration_nanos,
        )
        self.samples(profile, location_ids)
        wanted = self.text(outline.default_sample_type)
        names = [kind.type for kind in types]
        profile.default = names.index(wanted) if wanted in names else len(names) - 1
        if self.text(outline.drop_frames):
            profile.notes.append("its request to drop some frames is not followed")
        return profile

    def text(self, index: int) -> str:
        if index in self.texts:
            return self.texts[index]
        if index == 0 and not self.strings:
            return ""
        if not 0 <= index < len(self.strings):
            raise ProfileError(f"it refers to text {index}, and has {len(self.strings)}")
        raw: bytes = self.strings[index]
        found = raw[:_KEPT].decode("utf-8", "replace") + ("..." if len(raw) > _KEPT else "")
        self.texts[index] = found
        return found

    def value_type(self, message: bytes) -> ValueType:
        kind = pprof_proto.reader("ValueType")(message)
        found = ValueType(self.text(kind.type), self.text(kind.unit))
        if max(map(len, found)) > _LONGEST_TYPE:
            raise ProfileError(f"a sample type has a name of more than {_LONGEST_TYPE} characters")
        return found

    def functions(self) -> tuple[list[Function], dict[int, int]]:
        parse = pprof_proto.reader("Function")
        found: list[Function] = []
        ids: dict[int, int] = {}
        for message in self.outline.function:
            one = parse(message)
            if one.id in ids or not one.id:
                raise ProfileError(f"two functions have the id {one.id}" if one.id else "a function has no id")
            ids[one.id] = len(found)
            found.append(Function(self.text(one.name), self.text(one.filename)[:_KEPT_OF_FILE]))
        return found, ids

    def mappings(self) -> dict[int, tuple[str, int]]:
        parse = pprof_proto.reader("Mapping")
        found = {0: ("", 0)}
        for message in self.outline.mapping:
            one = parse(message)
            if one.id in found:
                raise ProfileError(f"two mappings have the id {one.id}")
            found[one.id] = (self.text(one.filename), one.memory_start)
        return found

    def locations(self, functions: dict[int, int]) -> tuple[list[Location], dict[int, int]]:
        parse, parse_line = pprof_proto.reader("Location"), pprof_proto.reader("Line")
        mappings = self.mappings()
        found: list[Location] = []
        ids: dict[int, int] = {}
        for message in self.outline.location:
            if len(message) > self.limits.message:
                raise ProfileError(f"a location has {len(message)} bytes")
            one = parse(message)
            if one.id in ids or not one.id:
                raise ProfileError(f"two locations have the id {one.id}" if one.id else "a location has no id")
            if one.mapping_id not in mappings or len(one.line) > _MOST_LINES:
                raise ProfileError(f"location {one.id} has no mapping, or more than {_MOST_LINES} lines")
            ids[one.id] = len(found)
            binary, start = mappings[one.mapping_id]
            lines = tuple(self.line(parse_line(line), functions) for line in one.line)
            found.append(Location(one.address, lines, binary, start))
        return found, ids

    @staticmethod
    def line(message: Any, functions: dict[int, int]) -> SourceLine:
        if not message.function_id:
            return SourceLine(-1, message.line)
        if message.function_id not in functions:
            raise ProfileError(f"it refers to function {message.function_id}, which it does not have")
        return SourceLine(functions[message.function_id], message.line)

    def samples(self, profile: Profile, locations: dict[int, int]) -> None:
        """Fill in stacks, values and labels."""
        parse, limits = pprof_proto.reader("Sample"), self.limits
        width = len(profile.sample_types)
        get = locations.__getitem__
        calls = [max(1, len(location.lines)) for location in profile.locations]
        counted = max(calls, default=1) > _FEW_LINES
        # An array of 64-bit numbers: as objects they would take four times the memory.
        flat = array("q")
        same: dict[Stack, Stack] = {}
        references = labels = 0
        for message in self.outline.sample:
            if len(message) > limits.message:
                raise ProfileError(f"a sample has {len(message)} bytes")
            one = parse(message)
            if len(one.value) != width or len(one.location_id) > limits.depth:
                raise ProfileError(
                    f"a sample has {len(one.value)} values, not {width}, or {len(one.location_id)} frames"
                )
            try:
                stack = tuple(map(get, one.location_id))
            except KeyError as error:
                raise ProfileError(f"it refers to location {error}, which it does not have") from None
            if one.label:
                labels += len(one.label)
                profile.labels[len(profile.stacks)] = self.labels(one.label)
            references += sum(map(calls.__getitem__, stack)) if counted else len(stack)
            if references > limits.references or labels > limits.labels:
                raise ProfileTooLarge(
                    f"its samples have more than {limits.references} frames or {limits.labels} labels"
                )
            flat.extend(one.value)
            profile.stacks.append(same.setdefault(stack, stack))
        profile.values = [flat[index::width] for index in range(width)]

    def labels(self, messages: Iterable[bytes]) -> Labels:
        found = []
        for message in messages:
            one = pprof_proto.reader("Label")(message)
            value = self.text(one.str) if one.str else f"{one.num} {self.text(one.num_unit)}".rstrip()
            found.append((self.text(one.key), value))
        return tuple(sorted(found))
