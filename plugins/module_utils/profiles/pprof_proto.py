# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile format of pprof, parsed by protobuf. The only module that needs protobuf, which is imported when used.

The format is public (github.com/google/pprof, proto/profile.proto). Here it is described as data, so that neither a
compiler nor generated code of one version is needed. Two things differ, since profiles are untrusted: the repeated
messages of a profile stay bytes, to be counted before any of them is parsed; and texts are bytes, since names need not
be UTF-8.
"""

from __future__ import annotations

from typing import Any

# (name, number, type, repeated); int and uint have 64 bits.
_MESSAGES: dict[str, tuple[tuple[str, int, str, bool], ...]] = {
    "Profile": (
        ("sample_type", 1, "bytes", True),
        ("sample", 2, "bytes", True),
        ("mapping", 3, "bytes", True),
        ("location", 4, "bytes", True),
        ("function", 5, "bytes", True),
        ("string_table", 6, "bytes", True),
        ("drop_frames", 7, "int", False),
        ("keep_frames", 8, "int", False),
        ("time_nanos", 9, "int", False),
        ("duration_nanos", 10, "int", False),
        ("period_type", 11, "bytes", False),
        ("period", 12, "int", False),
        ("default_sample_type", 14, "int", False),
    ),
    "ValueType": (("type", 1, "int", False), ("unit", 2, "int", False)),
    "Sample": (
        ("location_id", 1, "uint", True),
        ("value", 2, "int", True),
        ("label", 3, "bytes", True),
    ),
    "Label": (
        ("key", 1, "int", False),
        ("str", 2, "int", False),
        ("num", 3, "int", False),
        ("num_unit", 4, "int", False),
    ),
    "Mapping": (
        ("id", 1, "uint", False),
        ("memory_start", 2, "uint", False),
        ("memory_limit", 3, "uint", False),
        ("file_offset", 4, "uint", False),
        ("filename", 5, "int", False),
        ("build_id", 6, "int", False),
    ),
    "Location": (
        ("id", 1, "uint", False),
        ("mapping_id", 2, "uint", False),
        ("address", 3, "uint", False),
        ("line", 4, "bytes", True),
    ),
    "Line": (("function_id", 1, "uint", False), ("line", 2, "int", False)),
    "Function": (
        ("id", 1, "uint", False),
        ("name", 2, "int", False),
        ("system_name", 3, "int", False),
        ("filename", 4, "int", False),
        ("start_line", 5, "int", False),
    ),
}
_classes: dict[str, Any] = {}


class ProtobufMissing(Exception):
    """The package protobuf cannot be imported on this machine."""


def message_class(name: str) -> Any:
    """Return the class of one of _MESSAGES. Raises ProtobufMissing if protobuf is missing or too old."""
    if not _classes:
        try:
            from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

            get_class = message_factory.GetMessageClass
        except (ImportError, AttributeError) as error:
            raise ProtobufMissing(f"the Python package protobuf >= 4.22 cannot be used: {error}") from error
        made = _make(descriptor_pb2, descriptor_pool.DescriptorPool(), get_class)
        _classes.update(made, DecodeError=message.DecodeError)
    return _classes[name]


def _make(descriptor: Any, pool: Any, get_class: Any) -> dict[str, Any]:
    kind = descriptor.FieldDescriptorProto
    types = {"int": kind.TYPE_INT64, "uint": kind.TYPE_UINT64, "bytes": kind.TYPE_BYTES}
    file = descriptor.FileDescriptorProto(name="cloudpods_diagnostics/pprof.proto", package="pprof", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, type_name, repeated in fields:
            label = kind.LABEL_REPEATED if repeated else kind.LABEL_OPTIONAL
            message.field.add(name=field, number=number, type=types[type_name], label=label)
    pool.AddSerializedFile(file.SerializeToString())
    return {name: get_class(pool.FindMessageTypeByName(f"pprof.{name}")) for name in _MESSAGES}


def reader(name: str) -> Any:
    """Return a function from bytes to a message of this type. It raises what decode_errors() returns."""
    return message_class(name).FromString


def decode_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that reader() raises for malformed bytes."""
    return (_classes["DecodeError"],) if _classes else ()
