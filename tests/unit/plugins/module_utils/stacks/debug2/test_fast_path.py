# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fast path for whole regions gives the same result as reading line by line."""

from __future__ import annotations

import random

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug2 import fast_path
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug2.builder import DumpBuilder
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.limits import ParseLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.model import ParseResult
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from dumps import CORPUS, LOG, PRINTED, REGION2, headers
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import examples


def generated(seed: int, count: int, oddities: tuple[bytes, ...] = ()) -> bytes:
    """Return goroutines in a few places, with their own arguments, waits and ids, and odd pieces between them."""
    rng = random.Random(seed)
    places = [block.partition(b"]:\n")[2] for block in REGION2.split(b"\n\n")[1:30]]
    blocks = [REGION2.split(b"\n\n")[0]]
    for number in range(5000, 5000 + count):
        wait = rng.choice([b"", b", 3 minutes", b", 44 minutes"])
        state = rng.choice([b"select", b"chan receive", b"IO wait", b"select, locked to thread"])
        text = rng.choice(places).replace(b"0x1a1b", b"0x%x" % rng.randrange(1 << 32))
        blocks.append(b"goroutine %d [%s%s]:\n%s" % (number, state, wait, text.rstrip(b"\n")))
    for piece in oddities:
        blocks.insert(rng.randrange(1, len(blocks)), piece.rstrip(b"\n"))
    return b"\n\n".join(blocks) + b"\n"


def small_regions(smallest: int) -> ParseLimits:
    """Return limits with small regions, so that small inputs have many."""
    return ParseLimits(fast_path_bytes=smallest, region_bytes=1 << 14, chunk_bytes=1 << 12)


def parse_line_by_line(data: bytes) -> ParseResult:
    return parse(data, ParseLimits(fast_path_bytes=len(data) + 1))


def absorbed(data: bytes) -> int:
    """Return the number of regions of the data that the fast path accepts as they are."""
    path, builder, at, count = fast_path.FastPath(small_regions(0)), DumpBuilder(0, False), 0, 0
    while at < len(data):
        after, retry = path.add_region(data, at, len(data), builder)
        count += after > at
        following = data.find(b"\n\ngoroutine ", max(after, retry) - 2)
        if after == at and following < 0:
            break
        at = after if after > at else following + 2
    return count


def test_regions_give_the_same_result_as_lines():
    data = generated(1, 1500)
    fast = parse(data, small_regions(1 << 10))
    assert absorbed(data) > 10
    assert fast == parse_line_by_line(data)
    assert [(dump.goroutines, dump.errors) for dump in fast.dumps] == [(headers(data), [])]


ODD = [
    LOG, PRINTED, b"", b"goroutine 77 [running]:\nmain.x()\n\t/x.go:1 +0x2", b"goroutine 78 [select]:",
    b"goroutine 79 [select]:\nmain.x(0x1)\n\t/x.go:1 +0x2", b"goroutine 80 [select]:\nmain.x(0x1)", b"panic: odd",
    b"goroutine 81 [sel", b"goroutine 1 [select]:\nmain.main()\n\t/x.go:1 +0x2",
    b"goroutine 82 gp=0x1 m=nil [select]:\nmain.x(0x1)\n\t/x.go:1 +0x2\ncreated by main.main in goroutine 1\n\t/x.go:3",
    b"goroutine 83 [select] {k: \"v\"}:\nmain.x(0x1)\n\t/x.go:1 +0x2\ncreated by main.main in goroutine 1\n\t/x.go:3",
    b"goroutine 84 [select]:\nmain.x(an odd argument)\n\t/x.go:1 +0x2\ncreated by main.main\n\t/x.go:3 +0x1",
    b"goroutine 87 [select]:\nmain.x(0x1\nlog line)\n\t/x.go:1 +0x2\ncreated by main.main\n\t/x.go:3 +0x1",
    b"goroutine 85 [select]:\n...additional frames elided...\ncreated by main.main\n\t/x.go:3 +0x1",
    b"goroutine 5007 [select]:\nmain.x()\n\t/x.go:1 +0x2\ncreated by main.main\n\t/x.go:3 +0x1",
    b"\tgoroutine running on other thread; stack unavailable", b"rax    0x1", CORPUS["go1.27/deadlock"],
    b"goroutine 86 [select]:\nlog (line)\nmain.x()\n\t/x.go:1 +0x2\ncreated by main.main\n\t/x.go:3 +0x1",
    b"goroutine " + b"9" * 40 + b" [select]:\nmain.x()\n\t/x.go:1 +0x2\ncreated by main.main\n\t/x.go:3 +0x1",
]  # fmt: skip


@settings(max_examples=examples(60))
@given(st.integers(0, 99), st.lists(st.sampled_from(ODD), max_size=3))
def test_oddities_give_the_same_result_as_lines(seed, oddities):
    data = generated(seed, 150, tuple(oddities))
    limits = ParseLimits(fast_path_bytes=1 << 8, region_bytes=1 << 13, chunk_bytes=1 << 12)
    assert parse(data, limits) == parse_line_by_line(data)


@pytest.mark.parametrize("piece", ODD)
def test_each_oddity_gives_the_same_result_as_lines(piece):
    data = generated(7, 300, (piece,))
    assert parse(data, small_regions(1 << 10)) == parse_line_by_line(data)
    assert absorbed(data)
