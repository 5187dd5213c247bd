# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reassemble a dump that log entries interrupt between any two of its cells."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.live_reader import (
    has_writer,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.reader import ReaderState
from dumps import LOG, REGION1, cells, interleave
from hypothesis import given
from streams import NASTY, SLOW, USUAL, read, streams


@SLOW
@given(streams(USUAL))
def test_log_entries_never_cost_the_proof(case):
    dump, stream, inserted = case
    reader = read(stream + LOG)
    assert reader.state is ReaderState.COMPLETE, reader.problems
    assert reader.dump == dump
    # The log entries are preserved, though a newline or a tab may be exchanged for one of the dump's.
    assert sorted(b"".join(reader.foreign)) == sorted(b"".join(inserted))
    assert reader.raw_span == (0, len(stream))


@pytest.mark.parametrize("before_end", range(1, 10))
@pytest.mark.parametrize("text", USUAL)
def test_log_entry_in_last_cells(before_end, text):
    reader = read(interleave(REGION1, {len(cells(REGION1)) - before_end: text}))
    assert reader.state is ReaderState.COMPLETE, reader.problems
    assert reader.dump == REGION1


@SLOW
@given(streams(USUAL + NASTY))
def test_complete_dump_is_the_written_one(case):
    dump, stream, _inserted = case
    reader = read(stream + LOG)
    assert reader.state is not ReaderState.COMPLETE or reader.dump == dump or not has_writer(reader)


def test_reports_ambiguous_file_between_log_entries():
    """A text that looks like a file comes before the file, and a log line right after it."""
    before, file, after = REGION1.partition(b"/usr/local/go/src/runtime/pprof/pprof.go:851")
    assert file
    reader = read(before + b"/x.go:5\n" + file + LOG.splitlines(keepends=True)[0] + after + LOG)
    assert reader.problems == ["block 17: text after a frame may belong to it"]


# The second block's stack is cut at Go's maximum depth, so that its last frame is not goexit.
SMALL_DUMP = b"""goroutine profile: total 4
2 @ 0x10 0x20 0x99
#	0xf	main.a+0x1		/a.go:1
#	0x1f	main.bbb+0x100000	/a.go:2

1 @ 0x40 0x50 0x60
#	0x3f	main.d+0x1	/a.go:4
#	0x4f	main.d+0x2	/a.go:5
#	0x5f	main.d+0x3	/a.go:6

1 @ 0x70 0x80 0x99
#	0x6f	runtime/pprof.write+0x1	/p.go:1
#	0x7f	main.main+0x1		/a.go:9

"""


@pytest.mark.parametrize("text", USUAL + NASTY)
def test_log_entry_before_each_cell(text):
    assert read(SMALL_DUMP).state is ReaderState.COMPLETE
    for place in range(1, len(cells(SMALL_DUMP)) - 10):
        reader = read(interleave(SMALL_DUMP, {place: text}))
        if text in USUAL:
            assert reader.state is ReaderState.COMPLETE, (place, reader.problems)
        if reader.state is ReaderState.COMPLETE and has_writer(reader):
            assert reader.dump == SMALL_DUMP, place
