# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole regions at a time and line by line: the same result."""

from __future__ import annotations

import random

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug2 import fast_path, scanner
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from dumps import CORPUS, LOG, PRINTED, REGION2, headers
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import examples


def generated(seed: int, count: int, oddities: tuple[bytes, ...] = ()) -> bytes:
    """Goroutines in a few places, with arguments, waits and ids of their own, and odd pieces among them."""
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


@pytest.fixture
def slow(monkeypatch):
    """parse() without the fast way."""

    def line_by_line(data: bytes):
        with monkeypatch.context() as patch:
            patch.setattr(scanner, "SMALLEST", len(data) + 1)
            return parse(data)

    return line_by_line


@pytest.fixture
def regions(monkeypatch):
    """Small regions, so that small inputs have many; and a count of those that were absorbed."""
    absorbed = []
    monkeypatch.setattr(scanner, "SMALLEST", 1 << 10)
    monkeypatch.setattr(fast_path, "_REGION", 1 << 14)
    monkeypatch.setattr(fast_path, "_CHUNK", 1 << 12)
    original = fast_path.FastPath.absorb

    def counting(self, data, start, end, run):
        result = original(self, data, start, end, run)
        absorbed.append(result[0] > start)
        return result

    monkeypatch.setattr(fast_path.FastPath, "absorb", counting)
    return absorbed


def test_regions_are_read_like_lines(regions, slow):
    data = generated(1, 1500)
    fast = parse(data)
    assert sum(regions) > 10
    assert fast == slow(data)
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
def test_oddities_are_read_alike(seed, oddities):
    data = generated(seed, 150, tuple(oddities))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanner, "SMALLEST", len(data) + 1)
        slow = parse(data)
        patch.setattr(scanner, "SMALLEST", 1 << 8)
        patch.setattr(fast_path, "_REGION", 1 << 13)
        patch.setattr(fast_path, "_CHUNK", 1 << 12)
        assert parse(data) == slow


@pytest.mark.parametrize("piece", ODD)
def test_each_oddity_alone(piece, regions, slow):
    data = generated(7, 300, (piece,))
    assert parse(data) == slow(data)
    assert any(regions)
