# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the version of a Go program from its file, without running the program.

Go notes in a program how it was built, including the linker's options. Cloudpods sets its version by these
(-X yunion.io/x/pkg/util/version.gitVersion=…, cloudpods Makefile). Programs built with -trimpath, or by Go before 1.18,
do not contain them.

Sources: Go's debug/buildinfo (the format), cmd/go/internal/load (the content), elf(5).

Standard library only, Python >= 3.7: this runs on nodes. The file is untrusted, so sizes and counts are bounded.
"""

from __future__ import annotations

import json
import os
import re
import struct
from typing import Iterator

from ...reasons import CaptureError, Reason

MAGIC = b"\xff Go buildinf:"
_HEADER_BYTES = 32
_ALIGNMENT = 16
_CHUNK, _CHUNKS = 1 << 20, 64
_TEXT_BYTES = 1 << 20
_SEGMENTS = 64
_INLINE = 2
# Bytes before and after the text of the modules.
_SENTINEL = 16
_ELF_64, _LITTLE_ENDIAN, _LOADED, _WRITABLE, _EXECUTABLE = 2, 1, 1, 2, 1
_SETTING = re.compile(r"-X[ =][\"']?[\w./-]*/util/version\.(\w+)=([^\s\"']*)")
# Names in the linker's options that `-v` prints under others (yunion.io/x/pkg/util/version).
_NAMES = {"gitMajor": "major", "gitMinor": "minor"}


def version_of(descriptor: int) -> bytes:
    """Return the version in a program's file as JSON, in the form of `-v`. Raise CaptureError(no_version).

    descriptor: the open file; its offset is not changed.
    """
    try:
        go_version, settings = read_build_info(descriptor)
    except (OSError, ValueError, struct.error) as error:
        raise CaptureError(Reason.NO_VERSION, f"its file: {error}") from error
    told = {_NAMES.get(name, name): value for name, value in _SETTING.findall(settings.get("-ldflags", ""))}
    if not told.get("gitVersion"):
        raise CaptureError(Reason.NO_VERSION, f"its file contains no version, only that it was built by {go_version}")
    told["goVersion"] = go_version
    told["compiler"] = settings.get("-compiler", "")
    told["platform"] = "{}/{}".format(settings.get("GOOS", ""), settings.get("GOARCH", ""))
    return json.dumps(told, indent=1, sort_keys=True).encode()


def read_build_info(descriptor: int) -> tuple[str, dict[str, str]]:
    """Return the version of Go, and the build settings by name. Raise OSError, ValueError or struct.error."""
    for start, size in _writable(descriptor):
        for offset in range(start, start + min(size, _CHUNKS * _CHUNK), _CHUNK):
            place = _find(os.pread(descriptor, _CHUNK, offset))
            if place >= 0:
                return _parse(os.pread(descriptor, _HEADER_BYTES + 2 * _TEXT_BYTES, offset + place))
    raise ValueError("no build information of Go")


def _find(data: bytes) -> int:
    """Return the offset of the build information, or -1."""
    place = data.find(MAGIC)
    while place >= 0 and place % _ALIGNMENT:
        place = data.find(MAGIC, place + 1)
    return place


def _writable(descriptor: int) -> Iterator[tuple[int, int]]:
    """Yield offset and size of the loaded data segments: writable, not executable."""
    header = os.pread(descriptor, 64, 0)
    if len(header) < 64 or header[:4] != b"\x7fELF" or header[4] != _ELF_64:
        raise ValueError("not a 64-bit ELF program")
    order = "<" if header[5] == _LITTLE_ENDIAN else ">"
    (start,) = struct.unpack_from(order + "Q", header, 32)
    size, count = struct.unpack_from(order + "HH", header, 54)
    for number in range(min(count, _SEGMENTS)):
        entry = os.pread(descriptor, 56, start + number * size)
        kind, flags, offset, _virtual, _physical, length = struct.unpack_from(order + "IIQQQQ", entry)
        if kind == _LOADED and flags & _WRITABLE and not flags & _EXECUTABLE:
            yield offset, length


def _parse(data: bytes) -> tuple[str, dict[str, str]]:
    if len(data) < _HEADER_BYTES:
        raise ValueError("cut short")
    if not data[15] & _INLINE:
        raise ValueError("built by Go before 1.18")
    version, place = _counted(data, _HEADER_BYTES)
    modules, _place = _counted(data, place)
    text = modules[_SENTINEL:-_SENTINEL].decode("utf-8", "replace")
    return version.decode("utf-8", "replace"), _settings(text)


def _counted(data: bytes, place: int) -> tuple[bytes, int]:
    """Return the bytes that follow their length (a varint), and the offset after them."""
    length = shift = 0
    while True:
        if place >= len(data) or shift > 28:
            raise ValueError("cut short")
        byte = data[place]
        place += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    if length > min(_TEXT_BYTES, len(data) - place):
        raise ValueError("cut short")
    return data[place : place + length], place + length


def _settings(text: str) -> dict[str, str]:
    """Parse the lines "build <tab> NAME=VALUE". Values with blanks are quoted."""
    settings = {}
    for line in text.split("\n"):
        kind, _tab, setting = line.partition("\t")
        if kind == "build":
            name, _equals, value = setting.partition("=")
            settings[name] = value
    return settings
