# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a live log in any split, with log entries between any two cells of the dump."""

from __future__ import annotations

import itertools

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.live_reader import (
    LiveReader,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.reader import DumpReader, ReaderState
from dumps import LOG, REGION1, cells, interleave
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import DUMPS, NASTY, SLOW, USUAL, read, streams

from fuzzing import examples


@SLOW
@given(streams(USUAL), st.data())
def test_truncated_stream_is_never_complete(case, data):
    _dump, stream, _inserted = case
    end = data.draw(st.integers(0, len(stream) - 1))
    reader = read(stream[:end])
    assert reader.state is not ReaderState.COMPLETE
    assert reader.problems


@SLOW
@given(st.sampled_from(DUMPS), st.data())
def test_dump_without_some_lines_is_never_complete(dump, data):
    """Any lines except the first frames of a block, which may be hidden in a complete dump."""
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
def test_every_split_gives_the_same_result(case, cuts, skip):
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
def test_every_split_gives_the_live_reader_the_same_result(case, cuts):
    _dump, stream, _inserted = case
    whole, split = LiveReader(), LiveReader()
    whole.feed(LOG + stream + LOG)
    for piece in pieces(LOG + stream + LOG, cuts):
        split.feed(piece)
    assert whole.done == split.done
    if whole.done:
        assert outcome(split.best)[:2] == outcome(whole.best)[:2]


def test_reads_byte_by_byte():
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
def test_accepts_any_bytes(parts):
    reader = read(b"".join(parts))
    assert reader.done
    assert reader.state is not ReaderState.COMPLETE or reader.counted == reader.total


def test_overflows_above_max_bytes():
    reader = DumpReader(max_bytes=5000)
    reader.feed(REGION1)
    assert reader.state is ReaderState.OVERFLOW
    assert reader.problems
