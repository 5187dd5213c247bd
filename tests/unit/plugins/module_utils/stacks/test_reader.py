# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live reader: any split of the stream, and lines of other writers between any two cells of the dump."""

from __future__ import annotations

import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.live import LiveReader
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.reader import DumpReader, ReaderState
from dumps import CORPUS, LOG, PRINTED, REGION1
from hypothesis import given, settings
from hypothesis import strategies as st

DUMPS = [data for name, data in CORPUS.items() if name.endswith("debug1")] + [REGION1]
SLOW = settings(deadline=None, max_examples=150)
# text/tabwriter writes each cell, each eight tabs of padding and each newline by itself.
CELL = re.compile(rb"^#(?=\t)|\t{1,8}|[^\t\n]+|\n", re.MULTILINE)
USUAL = [
    LOG,
    b"[warning 2026-11-23 00:22:28 appsrv.(*SWorkerManager).run(workers.go:329)] queue [x] busy\n",
    b"[I 261123 00:22:28 main.main(main.go:1)] two\nlines\n",
    b"[mysql] 2026/11/22 16:08:10 packets.go:37: unexpected EOF\n",
    b"\x1b[33m[W 2026-11-23 00:22:28 main.main(main.go:1)]\x1b[0m colours\n",
    b"[error 2026-11-23 00:22:28 httperrors.(*E).Send(httperrors.go:110)] Send error\n" + PRINTED,
]
# Text that could be a part of a dump.
NASTY = [
    b"\n",
    b"\n\n",
    b"0\n",
    b"12\n",
    b"#\n",
    b"#\t0x1\tmain.other+0x1\t/x.go:1\n",
    b"1 @ 0x1 0x2\n",
    b"# labels: {\"a\":\"b\"}\n",
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
    b"goroutine profile: total 2\n1 @ 0x1 0x2\n#\t0x1\tmain.main+0x1\t/x.go:1\n\n1 @ 0x3\n#\t0x3\tmain.other+0x1\t/x.go:2\n\n",
]


def cells(dump: bytes) -> list[bytes]:
    parts = CELL.findall(dump)
    assert b"".join(parts) == dump
    return parts


def interleave(dump: bytes, inserted: dict[int, bytes]) -> bytes:
    """The stream when these texts are written before the cells of these numbers."""
    parts = cells(dump)
    return b"".join(inserted.get(number, b"") + cell for number, cell in enumerate(parts))


@st.composite
def streams(draw: st.DrawFn, texts: list[bytes]) -> tuple[bytes, bytes, list[bytes]]:
    """A dump, a stream with the dump in it, and what else is in the stream."""
    dump = draw(st.sampled_from(DUMPS))
    places = draw(st.lists(st.integers(0, len(cells(dump)) - 1), max_size=40, unique=True))
    inserted = {place: b"".join(draw(st.lists(st.sampled_from(texts), min_size=1, max_size=3))) for place in places}
    inserted.pop(0, None)
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
    assert b"".join(reader.foreign) == b"".join(inserted)
    assert reader.raw_span == (0, len(stream))


@SLOW
@given(streams(USUAL + NASTY))
def test_what_is_called_complete_is_the_dump(case):
    dump, stream, _inserted = case
    reader = read(stream + LOG)
    assert reader.state is not ReaderState.COMPLETE or reader.dump in (dump, NASTY[-1])


@SLOW
@given(streams(USUAL), st.data())
def test_a_cut_stream_is_never_complete(case, data):
    dump, stream, _inserted = case
    end = data.draw(st.integers(0, len(stream) - 1))
    reader = read(stream[:end])
    assert reader.state is not ReaderState.COMPLETE
    assert reader.problems


@SLOW
@given(streams(USUAL), st.data())
def test_a_lost_piece_is_never_complete(case, data):
    dump, stream, _inserted = case
    start = data.draw(st.integers(0, len(stream) - 1))
    end = data.draw(st.integers(start + 1, min(len(stream), start + 300)))
    reader = read(stream[:start] + stream[end:])
    assert reader.state is not ReaderState.COMPLETE or reader.dump == dump


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(stream)}), len(stream)]
    return [stream[start:stop] for start, stop in zip(bounds, bounds[1:])]


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


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(st.sampled_from(NASTY + USUAL), st.sampled_from(cells(REGION1)[:80]), st.binary(max_size=9)), max_size=60))
def test_any_bytes_are_read(parts):
    reader = read(b"".join(parts))
    assert reader.done
    assert reader.state is not ReaderState.COMPLETE or reader.counted == reader.total


def test_more_than_is_kept():
    reader = DumpReader(max_bytes=5000)
    reader.feed(REGION1)
    assert reader.state is ReaderState.OVERFLOW
    assert reader.problems


SMALL = b"goroutine profile: total 3\n2 @ 0x10 0x20 0x99\n#\t0xf\tmain.a+0x1\t/a.go:1\n#\t0x1f\tmain.b+0x1\t/a.go:2\n\n1 @ 0x30 0x99\n#\t0x2f\tmain.c+0x1\t/a.go:3\n\n"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"2 @", b"1 @", "2 of 3 goroutines are there"),
        (b"total 3", b"total 4", "3 of 4 goroutines are there"),
        (b"#\t0xf\tmain.a+0x1\t/a.go:1\n", b"", "frames? (is|are) missing|columns"),
        (b"main.b+0x1", b"main.longer+0x1", "columns do not fit"),
        (b"0x20 0x99", b"0x20 0x88", "the last frame"),
        (b"total 3\n2 @ 0x10 0x20", b"total 3\n2 @ 0x2f 0x10 0x20", None),
        (b"1 @ 0x30 0x99", b"1 @ 0x30 0x20 0x99", "."),
    ],
)
def test_contradictions(old, new, problem):
    assert read(SMALL).problems == []
    changed = SMALL.replace(old, new, 1)
    assert changed != SMALL
    problems = read(changed).problems
    if problem is None:  # an address that is hidden at the beginning is the runtime's: no contradiction
        assert problems == []
    else:
        assert any(re.search(problem, found) for found in problems), problems


@pytest.mark.parametrize(
    "blocks", [(b"1 @ 0x30 0x99", b"2 @ 0x30 0x99"), (b"1 @ 0x40 0x99", b"1 @ 0x30 0x99"), (b"1 @ 0x30 0x99", b"1 @ 0x30 0x99")]
)
def test_blocks_out_of_order(blocks):
    """Highest counts first, then by address; and one stack has one block."""
    total = sum(int(block[:1]) for block in blocks)
    texts = [
        b"%s\n#\t0x%x\tmain.f+0x1\t/a.go:1\n\n" % (block, int(block.split()[2], 16) - 1) for block in blocks
    ]
    reader = read(b"goroutine profile: total %d\n" % total + b"".join(texts))
    assert reader.counted == total
    assert any("out of order" in problem for problem in reader.problems)
