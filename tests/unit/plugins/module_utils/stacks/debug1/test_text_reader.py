# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read adjacent and nested debug=1 dumps of one text."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.reader import ReaderState
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.text_reader import read_profiles
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from dumps import LOG, REGION1

HEADER = b"goroutine profile: total 900\n"
LINES = REGION1.splitlines(keepends=True)
MIDDLE = next(number for number, line in enumerate(LINES) if b"io.ReadAtLeast" in line)  # in the middle of a block


def verdicts(data: bytes) -> list[tuple[int, int, bool | None]]:
    return [(dump.line, dump.goroutines, dump.complete) for dump in parse(data).dumps]


def test_header_in_the_middle_of_a_block_is_text():
    data = b"".join(LINES[:MIDDLE]) + LOG + HEADER + b"".join(LINES[MIDDLE:])
    assert verdicts(data) == [(1, 145, True)]


def test_header_between_blocks_makes_both_dumps_incomplete():
    """The blocks after it may belong to either dump."""
    end = LINES.index(b"\n") + 1
    data = b"".join(LINES[:end]) + LOG + HEADER + b"".join(LINES[end:])
    assert verdicts(data) == [(1, 18, False), (end + 2, 127, False)]


def test_many_unfinished_dumps_before_a_complete_one():
    data = HEADER * 30 + REGION1
    assert verdicts(data) == [(line, 0, False) for line in range(1, 31)] + [(31, 145, True)]


def test_complete_dump_within_another():
    """Its blocks may belong to the outer dump, which is therefore incomplete."""
    inner = b"goroutine profile: total 1\n1 @ 0x10 0x99\n#\t0xf\truntime/pprof.write+0x1\t/p.go:1\n\n"
    data = b"".join(LINES[:MIDDLE]) + LOG + inner + b"".join(LINES[MIDDLE:])
    (outer_line, _counted, outer), whole = verdicts(data)
    assert (outer_line, outer) == (1, False)
    assert whole == (MIDDLE + 2, 1, True)


def test_dump_without_its_writer_is_not_complete():
    data = b"goroutine profile: total 1\n1 @ 0x10 0x99\n#\t0xf\tmain.main+0x1\t/p.go:1\n\n"
    (dump,) = parse(data).dumps
    assert (dump.goroutines, dump.complete) == (1, False)
    assert [error.message for error in dump.errors] == ["the goroutine that wrote the dump is missing"]


@pytest.mark.parametrize("cut", [MIDDLE, len(LINES) - 3])
def test_truncated_dump_takes_nothing_of_the_next(cut):
    ((_start, first), (_next, second)) = read_profiles(
        b"".join(LINES[:cut]) + REGION1, [0, sum(len(line) for line in LINES[:cut])]
    )
    assert (first.state, second.state) == (ReaderState.CUT, ReaderState.COMPLETE)
    assert first.dump == b"".join(LINES[:cut])
    assert first.raw_span == (0, len(first.dump))
