# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version out of a program's file: against what `go version -m` reads, and of hostile files."""

from __future__ import annotations

import json
import os
import struct

import golang
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.build_info import (
    MAGIC,
    read_build_info,
    version_of,
)
from hypothesis import given
from hypothesis import strategies as st
from standins import build
from versioned import VALUES, versioned


def version_in(path):
    with open(path, "rb") as program:
        return version_of(program.fileno())


def why_not(path):
    with pytest.raises(CaptureError) as failed:
        version_in(path)
    assert failed.value.verdict.reason is Reason.NO_VERSION
    return failed.value.verdict.message


def test_reads_version_set_by_linker():
    told = json.loads(version_in(versioned()))
    assert {name: told[name] for name in VALUES} == VALUES
    assert (told["compiler"], told["platform"].partition("/")[0]) == ("gc", "linux")
    assert told["goVersion"] == golang.version().split()[2]


def test_settings_match_go_version():
    path = versioned()
    lines = golang.run("go", "version", "-m", str(path)).splitlines()
    expected = dict(line.split("\t")[2].split("=", 1) for line in lines[1:] if line.split("\t")[1] == "build")
    with open(path, "rb") as program:
        assert read_build_info(program.fileno())[1] == expected


def test_program_without_version():
    # The stand-ins are built with -trimpath, so Go leaves out the options of the linker.
    assert "it was built by go" in why_not(build())


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x01" + bytes(100)])
def test_file_that_is_no_program(tmp_path, content):
    (tmp_path / "region").write_bytes(content)
    assert why_not(tmp_path / "region")


def test_program_of_another_language():
    assert "no build information of Go" in why_not("/bin/sh")


def made(note: bytes, segments: int = 1, size: int = 1 << 40) -> bytes:
    """A file with headers of a program, whose data begins with this note."""
    numbers = (2, 62, 1, 0, 64, 0, 0, 64, 56, segments, 0, 0, 0)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", *numbers)
    entry = struct.pack("<IIQQQQQQ", 1, 6, 1024, 0, 0, size, size, 16)
    return (header + entry * min(segments, 17)).ljust(1024, b"\0") + note


@pytest.mark.parametrize(
    "note",
    [
        MAGIC,
        MAGIC + b"\x08\x00",
        (MAGIC + b"\x08\x02").ljust(32, b"\0"),
        (MAGIC + b"\x08\x02").ljust(32, b"\0") + b"\xff" * 20,
        (MAGIC + b"\x08\x02").ljust(32, b"\0") + b"\xff\xff\xff\x7f" + b"go1.2",
        b"x" + MAGIC + b"\x08\x02",
    ],
)
def test_rejects_truncated_or_wrong_build_info(tmp_path, note):
    (tmp_path / "region").write_bytes(made(note))
    assert why_not(tmp_path / "region")


def test_bounds_reads_of_a_hostile_program(tmp_path):
    path = tmp_path / "region"
    path.write_bytes(made(b"", segments=65535))
    os.truncate(path, 1 << 40)
    assert "no build information" in why_not(path)


@given(st.binary(max_size=300))
def test_any_build_info_is_parsed_or_rejected(note):
    descriptor = os.memfd_create("region")
    try:
        os.write(descriptor, made((MAGIC + b"\x08\x02").ljust(32, b"\0") + note))
        version_of(descriptor)
    except CaptureError as error:
        assert error.verdict.reason is Reason.NO_VERSION  # noqa: PT017 (it may also succeed)
    finally:
        os.close(descriptor)
