# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse untrusted profiles: no exception but ProfileError, and no work or memory above the limits."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileError, ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.validation import validate
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pprofs import ANY_STACKS, CPU, make, profile


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(ANY_STACKS, st.data())
def test_damaged_profile_raises_profile_error_only(stacks, data):
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
        ({"sample": [make("Sample", value=[1], location_id=[7])]}, "refers to location 7"),
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
        ({"location": [make("Location", id=2, line=[b""] * 3000)]}, "a location has 6"),
        ({"location": [make("Location", id=2)] * 2}, "two locations have the id 2"),
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
def test_rejects_excess_and_dangling_references(fields, words):
    base = {"sample_type": TYPES, "location": [make("Location", id=1)], "string_table": [b""]}
    read(make("Profile", **base), LIMITS)
    with pytest.raises(ProfileError, match=words):
        read(make("Profile", **{**base, **fields}), LIMITS)


def test_memory_for_empty_samples_is_bounded():
    """Four million empty samples in eight megabytes would take hundreds as protobuf messages."""
    data = make("Profile", sample_type=TYPES) + b"\x12\x00" * (4 << 20)
    tracemalloc.start()
    with pytest.raises(ProfileError, match="its table sample has more than 2000000"):
        read(data, ProfileLimits())
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
