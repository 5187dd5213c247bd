# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live reader: any split of the stream, and lines of other writers between any two cells of the dump."""

from __future__ import annotations

import itertools
import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.live_reader import (
    LiveReader,
    has_writer,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.reader import DumpReader, ReaderState
from dumps import CORPUS, LOG, PRINTED, REGION1, cells, interleave
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import examples

DUMPS = [data for name, data in CORPUS.items() if name.endswith("debug1")] + [REGION1]
SLOW = settings(max_examples=examples(150))
USUAL = [
    LOG,
    b"[warning 2026-11-23 00:22:28 appsrv.(*SWorkerManager).run(workers.go:329)] queue [x] busy\n",
    b"[I 261123 00:22:28 main.main(main.go:1)] two\nlines\n",
    b"[mysql] 2026/11/22 16:08:10 packets.go:37: unexpected EOF\n",
    b"\x1b[33m[W 2026-11-23 00:22:28 main.main(main.go:1)]\x1b[0m colours\n",
    b"[error 2026-11-23 00:22:28 httperrors.(*E).Send(httperrors.go:110)] Send error\n" + PRINTED,
]
SHORT = b"goroutine profile: total 1\n1 @ 0x3\n#\t0x3\tmain.other+0x1\t/x.go:2\n\n"
# Text that could be a part of a dump. (Labels after the head of a block that has none are the one part that nothing
# can tell from a real one; and what comes after the last frame is not waited for.)
NASTY = [
    b"\n",
    b"\n\n",
    b"0\n",
    b"12\n",
    b"#\n",
    b"#\t0x1\tmain.other+0x1\t/x.go:1\n",
    b"1 @ 0x1 0x2\n",
    b"\t\n",
    b"\t\t/x.go:77\n",
    b"/x.go:5\n",
    b"main.main+0x12\n",
    b"0x47\n",
    b"abc\n",
    b"5f\n",
    b"2026-11-23 00:22:28 plain\n",
    b"2026/11/23 00:22:28 standard\n",
    b"goroutine profile: total 3\n",
    SHORT,
]


@st.composite
def streams(draw: st.DrawFn, texts: list[bytes]) -> tuple[bytes, bytes, list[bytes]]:
    """A dump, a stream with the dump in it, and what else is in the stream."""
    dump = draw(st.sampled_from(DUMPS))
    last = len(cells(dump)) - 10
    places = draw(st.lists(st.integers(1, last), max_size=40, unique=True))
    most = 3 if texts is USUAL else 1
    inserted = {place: b"".join(draw(st.lists(st.sampled_from(texts), min_size=1, max_size=most))) for place in places}
    return dump, interleave(dump, inserted), [inserted[place] for place in sorted(inserted)]


def read(stream: bytes) -> DumpReader:
    reader = DumpReader()
    reader.feed(stream)
    reader.feed(b"")
    return reader


@SLOW
@given(streams(USUAL))
def test_what_services_log_never_costs_the_proof(case):
    dump, stream, inserted = case
    reader = read(stream + LOG)
    assert reader.state is ReaderState.COMPLETE, reader.problems
    assert reader.dump == dump
    # Nothing of theirs is lost, though a newline or a tab may be exchanged for one of the dump's.
    assert sorted(b"".join(reader.foreign)) == sorted(b"".join(inserted))
    assert reader.raw_span == (0, len(stream))


@pytest.mark.parametrize("before_end", range(1, 10))
@pytest.mark.parametrize("text", USUAL)
def test_log_lines_in_its_last_cells(before_end, text):
    reader = read(interleave(REGION1, {len(cells(REGION1)) - before_end: text}))
    assert reader.state is ReaderState.COMPLETE, reader.problems
    assert reader.dump == REGION1


@SLOW
@given(streams(USUAL + NASTY))
def test_what_is_called_complete_is_the_dump(case):
    dump, stream, _inserted = case
    reader = read(stream + LOG)
    assert reader.state is not ReaderState.COMPLETE or reader.dump == dump or not has_writer(reader)


def test_a_file_between_two_texts_of_others_is_not_taken_for_one_of_them():
    """A text that looks like a file comes before the file, and a log line right behind it."""
    before, file, after = REGION1.partition(b"/usr/local/go/src/runtime/pprof/pprof.go:851")
    assert file
    reader = read(before + b"/x.go:5\n" + file + LOG.splitlines(keepends=True)[0] + after + LOG)
    assert reader.problems == ["block 17: what comes after a frame could belong to it"]


# The second block's stack is cut at the depth that Go records, so that its last frame is no goexit.
EVERYWHERE = b"""goroutine profile: total 4
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
def test_a_line_before_each_cell(text):
    assert read(EVERYWHERE).state is ReaderState.COMPLETE
    for place in range(1, len(cells(EVERYWHERE)) - 10):
        reader = read(interleave(EVERYWHERE, {place: text}))
        if text in USUAL:
            assert reader.state is ReaderState.COMPLETE, (place, reader.problems)
        if reader.state is ReaderState.COMPLETE and has_writer(reader):
            assert reader.dump == EVERYWHERE, place


@SLOW
@given(streams(USUAL), st.data())
def test_a_cut_stream_is_never_complete(case, data):
    _dump, stream, _inserted = case
    end = data.draw(st.integers(0, len(stream) - 1))
    reader = read(stream[:end])
    assert reader.state is not ReaderState.COMPLETE
    assert reader.problems


@SLOW
@given(st.sampled_from(DUMPS), st.data())
def test_lost_lines_are_never_complete(dump, data):
    """Any lines but the first frames of a block, which may be hidden in a whole dump."""
    lines = dump.splitlines(keepends=True)
    start = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(start + 1, min(len(lines), start + 30)))
    while start < len(lines) and lines[start].startswith(b"#") and not lines[start - 1].startswith(b"#\t"):
        start += 1
    reader = read(b"".join(lines[:start] + lines[max(start + 1, end) :]))
    assert reader.state is not ReaderState.COMPLETE
    assert reader.problems


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(stream)}), len(stream)]
    return [stream[start:stop] for start, stop in itertools.pairwise(bounds)]


def outcome(reader: DumpReader) -> tuple[object, ...]:
    return (
        reader.state,
        reader.dump,
        reader.foreign,
        reader.raw_span,
        reader.problems,
        reader.total,
        reader.counted,
        reader.superseded,
    )


@SLOW
@given(streams(USUAL + NASTY), st.lists(st.integers(0, 20000), max_size=60), st.booleans())
def test_every_split_gives_the_same(case, cuts, skip):
    _dump, stream, _inserted = case
    whole, split = DumpReader(skip_first_line=skip), DumpReader(skip_first_line=skip)
    whole.feed(LOG + stream)
    for piece in pieces(LOG + stream, cuts):
        split.feed(piece)
    assert outcome(split) == outcome(whole)
    whole.feed(b"")
    split.feed(b"")
    assert outcome(split) == outcome(whole)


@SLOW
@given(streams(USUAL + NASTY), st.lists(st.integers(0, 20000), max_size=60))
def test_every_split_gives_the_live_reader_the_same(case, cuts):
    _dump, stream, _inserted = case
    whole, split = LiveReader(), LiveReader()
    whole.feed(LOG + stream + LOG)
    for piece in pieces(LOG + stream + LOG, cuts):
        split.feed(piece)
    assert whole.done == split.done
    if whole.done:
        assert outcome(split.best)[:2] == outcome(whole.best)[:2]


def test_byte_by_byte():
    stream = interleave(REGION1, dict.fromkeys(range(3, len(cells(REGION1)), 7), LOG))
    reader = DumpReader()
    for at in range(len(stream)):
        assert reader.state is not ReaderState.COMPLETE
        reader.feed(stream[at : at + 1])
    assert reader.state is ReaderState.COMPLETE
    assert reader.dump == REGION1


@settings(max_examples=examples(300))
@given(
    st.lists(
        st.one_of(st.sampled_from(NASTY + USUAL), st.sampled_from(cells(REGION1)[:80]), st.binary(max_size=9)),
        max_size=60,
    )
)
def test_any_bytes_are_read(parts):
    reader = read(b"".join(parts))
    assert reader.done
    assert reader.state is not ReaderState.COMPLETE or reader.counted == reader.total


def test_more_than_is_kept():
    reader = DumpReader(max_bytes=5000)
    reader.feed(REGION1)
    assert reader.state is ReaderState.OVERFLOW
    assert reader.problems


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
def test_contradictions(old, new, problem):
    assert read(SMALL).problems == []
    changed = SMALL.replace(old, new, 1)
    assert changed != SMALL
    problems = read(changed).problems
    assert any(re.search(problem, found) for found in problems), problems


def test_a_hidden_frame_is_the_runtimes():
    assert read(SMALL.replace(b"2 @ 0x10", b"2 @ 0x7 0x10", 1)).problems == []


@pytest.mark.parametrize(
    "blocks",
    [(b"1 @ 0x30 0x99", b"2 @ 0x30 0x99"), (b"1 @ 0x40 0x99", b"1 @ 0x30 0x99"), (b"1 @ 0x30 0x99", b"1 @ 0x30 0x99")],
)
def test_blocks_out_of_order(blocks):
    """Highest counts first, then by address; and one stack has one block."""
    total = sum(int(block[:1]) for block in blocks)
    texts = [b"%s\n#\t0x%x\tmain.f+0x1\t/a.go:1\n\n" % (block, int(block.split()[2], 16) - 1) for block in blocks]
    reader = read(b"goroutine profile: total %d\n" % total + b"".join(texts))
    assert reader.counted == total
    assert any("out of order" in problem for problem in reader.problems)
