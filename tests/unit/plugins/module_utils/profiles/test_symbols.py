# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Request names of addresses in bounded batches, and parse untrusted answers."""

from __future__ import annotations

import gzip
import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles import symbols
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_proto import reader
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from hypothesis import given
from hypothesis import strategies as st
from pprofs import make


def test_requests_addresses_in_batches():
    asked = list(symbols.batches([*range(1, 451), 5, 6]))
    assert [batch.count("+") + 1 for batch in asked] == [200, 200, 50]
    assert asked[0].startswith("0x1+0x2+0x3+")
    assert max(map(len, symbols.batches(range(2**64 - 400, 2**64)))) < 4000
    assert list(symbols.batches([])) == []


@pytest.mark.parametrize("addresses", [range(1, 20_002), [0], [-1], [2**64]])
def test_rejects_invalid_addresses(addresses):
    with pytest.raises(ValueError, match="address"):
        list(symbols.batches(addresses))


def test_skips_malformed_lines_of_an_answer():
    answer = b"num_symbols: 1\n0x10 main.main\n0x11 a b\nx 0x12 main.no\n<b>\n0x13\n0x14 cut"
    assert symbols.parse_symbol_answer(answer) == {16: "main.main", 17: "a b"}


@given(st.binary(max_size=200))
def test_accepts_any_answer(data):
    symbols.parse_symbol_answer(data)
    symbols.addresses_of_dump(data)


def stripped(data: bytes) -> bytes:
    """Return a profile of the service without names of functions, as C code or a stripped binary has it."""
    outline = reader("Profile")(gzip.decompress(data))
    places = [reader("Location")(message) for message in outline.location]
    del outline.location[:], outline.function[:]
    outline.location.extend(
        make("Location", id=one.id, mapping_id=one.mapping_id, address=one.address) for one in places
    )
    return outline.SerializeToString()


def test_finds_addresses_without_name_in_a_profile(served):
    whole = read(gzip.decompress(served["goroutine"].read_bytes()), ProfileLimits())
    assert symbols.addresses_of_profile(whole) == []
    bare = read(stripped(served["goroutine"].read_bytes()), ProfileLimits())
    wanted = symbols.addresses_of_profile(bare)
    used = {whole.locations[place] for stack in whole.stacks for place in stack}
    assert wanted == sorted({place.address for place in used})


def test_finds_addresses_without_name_in_a_dump(served):
    dump = served["goroutine_debug1"].read_bytes()
    rows = {
        int(pc, 16): name
        for pc, name in re.findall(r"^#\t(0x[0-9a-f]+)\t+(.+)\+0x[0-9a-f]+\t", dump.decode(), re.MULTILINE)
    }
    bare = re.sub(rb"^#\t.*\n", b"", dump, flags=re.MULTILINE)
    wanted = symbols.addresses_of_dump(bare)
    assert set(rows) <= set(wanted)
    assert not set(symbols.addresses_of_dump(dump)) & set(rows)
    assert symbols.addresses_of_dump(b"1 @ 0x11 0x21\n#\t0x10\tmain.f+0x1\t/x.go:1\n") == [0x20]
