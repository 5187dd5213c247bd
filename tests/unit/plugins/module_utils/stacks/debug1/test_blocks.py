# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detect contradictions in a debug=1 dump: counts, columns, frames, order of blocks."""

from __future__ import annotations

import re

import pytest
from streams import read

SMALL = b"""goroutine profile: total 4
2 @ 0x10 0x20 0x99
#	0xf	main.a+0x1		/a.go:1
#	0x1f	main.bbb+0x100000	/a.go:2

1 @ 0x10 0x40 0x99
#	0xf	main.a+0x1	/a.go:1
#	0x3f	main.d+0x1	/a.go:4

1 @ 0x30 0x10 0x99
#	0x2f	main.c+0x1	/a.go:3
#	0xf	main.a+0x1	/a.go:1

"""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"2 @", b"1 @", "3 of 4 goroutines are there"),
        (b"1 @ 0x30", b"2 @ 0x30", "5 of 4 goroutines are there"),
        (b"#\t0xf\tmain.a+0x1\t\t/a.go:1\n", b"", "block 1: the columns|the first frame, 0xf"),
        (b"#\t0xf\tmain.a+0x1\t/a.go:1\n#", b"#", "the first frame, 0xf, of a block is missing"),
        (b"#\t0x3f\tmain.d+0x1\t/a.go:4\n", b"", "block 2: its end is missing|frame"),
        (b"main.bbb+0x100000", b"main.bbb+0x1", "block 1: the columns do not fit"),
        (b"0x20 0x99", b"0x20 0x88", "the last frame, 0x87, of a block is missing"),
        (b"0x10 0x40 0x99", b"0x10 0x40 0x41 0x99", "."),
        (b"#\t0x2f\t", b"#\t0x2e\t", "the frame at 0x2e is not among the addresses"),
        (b"1 @ 0x10 0x40", b"1 @ 0x50 0x40", "out of order|not among"),
    ],
)
def test_reports_contradiction(old, new, problem):
    assert read(SMALL).problems == []
    changed = SMALL.replace(old, new, 1)
    assert changed != SMALL
    problems = read(changed).problems
    assert any(re.search(problem, found) for found in problems), problems


def test_accepts_hidden_runtime_frame():
    assert read(SMALL.replace(b"2 @ 0x10", b"2 @ 0x7 0x10", 1)).problems == []


@pytest.mark.parametrize(
    "blocks",
    [(b"1 @ 0x30 0x99", b"2 @ 0x30 0x99"), (b"1 @ 0x40 0x99", b"1 @ 0x30 0x99"), (b"1 @ 0x30 0x99", b"1 @ 0x30 0x99")],
)
def test_reports_blocks_out_of_order(blocks):
    """The order is by count, descending, then by address; and one stack has one block."""
    total = sum(int(block[:1]) for block in blocks)
    texts = [b"%s\n#\t0x%x\tmain.f+0x1\t/a.go:1\n\n" % (block, int(block.split()[2], 16) - 1) for block in blocks]
    reader = read(b"goroutine profile: total %d\n" % total + b"".join(texts))
    assert reader.counted == total
    assert any("out of order" in problem for problem in reader.problems)
