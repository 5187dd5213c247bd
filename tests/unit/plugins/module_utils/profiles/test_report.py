# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of any profile that could be read, and their names and table."""

from __future__ import annotations

import gzip

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.report import (
    ReportSettings,
    read_one,
    stem,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.sanitize import printable
from hypothesis import given
from hypothesis import strategies as st
from pprofs import ANY_STACKS, CPU, make, packed

NUMBERS = st.integers(-(2**63), 2**63 - 1)


IDS = st.integers(0, 2**64 - 1)


def messages(kind: str, **fields):
    return st.lists(st.builds(lambda **made: make(kind, **made), **fields), max_size=4)


HOSTILE = st.builds(
    lambda **fields: make("Profile", **fields),
    sample_type=messages("ValueType", type=NUMBERS, unit=NUMBERS),
    sample=messages("Sample", location_id=st.lists(IDS, max_size=4), value=st.lists(NUMBERS, max_size=3)),
    mapping=messages("Mapping", id=IDS, filename=NUMBERS),
    location=messages("Location", id=IDS, mapping_id=IDS, line=messages("Line", function_id=IDS)),
    function=messages("Function", id=IDS, name=NUMBERS, filename=NUMBERS),
    string_table=st.lists(st.binary(max_size=9), max_size=4),
    default_sample_type=NUMBERS,
)


@given(HOSTILE)
def test_any_protobuf_gives_a_verdict(data):
    reading = read_one("x", "", gzip.compress(data), ReportSettings())
    assert reading.validation.reason in (Reason.PROFILE_BAD, Reason.PROFILE_EMPTY, Reason.PROFILE_WHOLE)


@given(ANY_STACKS, ANY_STACKS)
def test_makes_reports_of_any_profile(stacks, before):
    reading = read_one("x", "cpu", packed(CPU, stacks), ReportSettings(frames=3), packed(CPU, before))
    assert len(reading.files) == 8
    page = reading.files[".flame.html"].decode()
    assert page.count("<script") == page.count("</script") == 2
    assert "<" not in page.partition('type="application/json">')[2].partition("</script>")[0]
    lines = reading.files[".top.txt"].decode().split("\n")
    assert [printable(line) for line in lines] == lines


TYPES = [make("ValueType")]


def test_truncates_long_name():
    reading = read_one("x", "cpu", packed(CPU, [((1, 1), ("f" * (1 << 20),))]), ReportSettings())
    assert len(reading.top.rows[0].function) == 4096 + 3


def test_ignores_frame_patterns_and_notes_it():
    """The pattern would take a backtracking engine ages on this name."""
    name = b"a" * 60 + b"!"
    data = make(
        "Profile",
        sample_type=TYPES,
        sample=[make("Sample", value=[1], location_id=[1])],
        location=[make("Location", id=1, line=[make("Line", function_id=1)])],
        function=[make("Function", id=1, name=1)],
        string_table=[b"", name, b"(a+)+"],
        drop_frames=2,
    )
    reading = read_one("x", "", gzip.compress(data), ReportSettings())
    assert [row.function for row in reading.top.rows] == [name.decode()]
    for ending in (".top.txt", ".flame.html"):
        assert b"request to drop some frames is not followed" in reading.files[ending]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cpu.pb.gz", "cpu"), ("a.b.pprof", "a.b"), ("x", "x"), (".gz", ".gz"), ("cpu.gz", "cpu"), ("r.zip", "r")],
)
def test_removes_endings_from_name(name, expected):
    assert stem(name) == expected
