# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever comes from a pod: never an exception, never more work or memory than the limits allow."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileError, ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.report import ReportSettings, read_one
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.validation import KINDS, validate
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pprofs import CPU, make, packed, profile

NAMES = st.text(max_size=12) | st.sampled_from(
    ["</script >", "<!--<script ", "a;b", "\x1b[31m", "main.(*T[...]).f", "\u202e", ""]
)
STACKS = st.lists(
    st.tuples(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5)), st.lists(NAMES, max_size=5)), max_size=6
)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
IDS = st.integers(0, 2**64 - 1)
REASONS = set(Reason)


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


@given(st.sampled_from(KINDS), st.binary(max_size=300))
def test_any_bytes_have_a_proof(kind, data):
    assert validate(kind, data).reason in REASONS
    assert validate(kind, gzip.compress(data)).reason in REASONS


@given(st.sampled_from(KINDS), st.binary(max_size=300))
def test_any_bytes_behind_a_good_beginning_have_a_proof(kind, data):
    for start in (b"go 1.26 trace\0\0\0", b"go 1.21 trace\0\0\0", b"goroutine profile: total 3\n", b"num_symbols: 1\n"):
        assert validate(kind, start + data).reason in REASONS


@given(HOSTILE)
def test_any_protobuf_is_a_profile_or_is_not(data):
    reading = read_one("x", "", gzip.compress(data), ReportSettings())
    assert reading.validation.reason in (Reason.PROFILE_BAD, Reason.PROFILE_EMPTY, Reason.PROFILE_WHOLE)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(STACKS, st.data())
def test_a_damaged_profile_is_never_an_exception(stacks, data):
    whole = profile(CPU, stacks)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + data.draw(st.binary(min_size=1, max_size=3)) + whole[at + 1 :]
    for bad in (whole[:at], changed):
        try:
            read(bad, ProfileLimits())
        except ProfileError:
            pass
    assert validate("cpu", gzip.compress(whole)[:at]).reason in (
        Reason.PROFILE_CUT,
        Reason.PROFILE_EMPTY,
        Reason.PROFILE_WHOLE,
    )


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(STACKS)
def test_every_cut_of_a_packed_profile_is_seen(stacks):
    whole = packed(CPU, stacks)
    assert validate("cpu", whole).reason in (Reason.PROFILE_WHOLE, Reason.PROFILE_EMPTY)
    for length in range(len(whole)):
        assert validate("cpu", whole[:length]).reason is Reason.PROFILE_CUT


@given(STACKS, STACKS)
def test_reports_are_made_of_whatever_was_read(stacks, before):
    reading = read_one("x", "cpu", packed(CPU, stacks), ReportSettings(frames=3), packed(CPU, before))
    assert len(reading.files) == 8
    page = reading.files[".flame.html"].decode()
    assert page.count("<script") == page.count("</script") == 2
    assert "<" not in page.partition('type="application/json">')[2].partition("</script>")[0]
    text = reading.files[".top.txt"].decode()
    assert all(line.isprintable() for line in text.split("\n"))


TYPES = [make("ValueType")]
INLINED = [make("Location", id=1, line=[b""] * 20)]
LIMITS = ProfileLimits(
    content=1 << 20, samples=1000, values=950, functions=500, depth=3000, references=5000, labels=500, message=1 << 12
)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sample": [b""] * 1001}, "its table sample has more than 1000"),
        ({"string_table": [b""] * 1001}, "its table string_table has more than 1000"),
        ({"sample": [b""] * 951}, "more than 950 values"),
        ({"sample": [make("Sample", value=[1], location_id=[7])]}, "refers to place 7"),
        ({"sample": [make("Sample", value=[1, 2])]}, "a sample has 2 values, not 1"),
        ({"sample": [make("Sample", value=[1], location_id=[1] * 5000)]}, "a sample has 5"),
        ({"sample": [make("Sample", value=[1], location_id=[1] * 3001)]}, "or 3001 frames"),
        ({"sample": [make("Sample", value=[1], location_id=[1] * 2600)] * 2}, "more than 5000 frames"),
        ({"location": INLINED, "sample": [make("Sample", value=[1], location_id=[1] * 251)]}, "more than 5000 frames"),
        ({"function": [make("Function", id=at + 1) for at in range(501)]}, "its table function has more than 500"),
        ({"string_table": [b"", b"x" * 101], "sample_type": [make("ValueType", type=1)]}, "more than 100 characters"),
        ({"sample": [make("Sample", value=[1], label=[b""] * 400)] * 2}, "or 500 labels"),
        ({"sample": [b"\xff"]}, "not a whole protobuf"),
        ({"location": [make("Location", id=2, line=[b""] * 1001)]}, "more than 1000 lines"),
        ({"location": [make("Location", id=2, line=[b""] * 3000)]}, "a place has 6"),
        ({"location": [make("Location", id=2)] * 2}, "two places have the id 2"),
        ({"location": [make("Location", id=2, mapping_id=9)]}, "has no mapping"),
        ({"location": [make("Location", id=2, line=[make("Line", function_id=2**64 - 1)])]}, "refers to function 184"),
        ({"function": [make("Function", id=0)]}, "a function has no id"),
        ({"function": [make("Function", id=3, name=2**62)]}, "refers to text 46"),
        ({"function": [make("Function", id=3, name=-1)]}, "refers to text -1"),
        ({"mapping": [make("Mapping", id=3)] * 2}, "two mappings have the id 3"),
        ({"sample_type": TYPES * 17}, "17 sample types"),
        ({"string_table": [b"x" * (1 << 20)]}, "more than 1048576"),
    ],
)  # fmt: skip
def test_what_goes_over_a_limit_or_refers_to_nothing_is_refused(fields, words):
    base = {"sample_type": TYPES, "location": [make("Location", id=1)], "string_table": [b""]}
    read(make("Profile", **base), LIMITS)
    with pytest.raises(ProfileError, match=words):
        read(make("Profile", **{**base, **fields}), LIMITS)


def test_the_memory_for_what_is_mostly_tables_is_bounded():
    """Four million empty samples in eight megabytes, which as messages of protobuf would take hundreds."""
    data = make("Profile", sample_type=TYPES) + b"\x12\x00" * (4 << 20)
    tracemalloc.start()
    with pytest.raises(ProfileError, match="its table sample has more than 2000000"):
        read(data, ProfileLimits())
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_a_name_of_a_megabyte_is_cut():
    reading = read_one("x", "cpu", packed(CPU, [((1, 1), ("f" * (1 << 20),))]), ReportSettings())
    assert len(reading.top.rows[0].function) == 4096 + 3


def test_patterns_for_frames_are_not_run_and_it_is_said():
    """One that a backtracking engine would need ages for, and a name that it would be tried on."""
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
