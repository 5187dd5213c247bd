# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the dump that answers the signal among pieces of dumps in the log."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.live_reader import LiveReader
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.reader import ReaderState
from hypothesis import given
from hypothesis import strategies as st

LOG = b"[info 2026-11-23 00:22:28 main.main(main.go:1)] hello\n"
FAKE = (
    b"[error 2026-11-23 00:22:28 main.main(main.go:1)] body\n"
    b"goroutine profile: total 2\n1 @ 0x1 0x2\n#\t0x1\tmain.main+0x1\t/x.go:1\n\n"
    b"1 @ 0x3\n#\t0x3\tmain.other+0x1\t/x.go:2\n\n"
)
UNFINISHED = b"goroutine profile: total 900\n"
FIXTURES = Path(__file__).parents[4] / "fixtures"
# The dump of a real service for one SIGUSR1, to its last empty line.
REAL = (FIXTURES / "region-healthy" / "dump.log").read_bytes()


def read(stream: bytes, cut: int | None = None, **options: bool) -> LiveReader:
    reader = LiveReader(**options)
    for piece in (stream[:cut], stream[cut:]) if cut is not None else (stream,):
        if piece:
            reader.feed(piece)
    return reader


@pytest.mark.parametrize(
    "before", [b"", LOG, FAKE, FAKE * 30, UNFINISHED, UNFINISHED + FAKE, LOG + UNFINISHED * 20, b"\n" + FAKE + LOG]
)
def test_finds_answer_after_any_text(before):
    found = read(before + REAL + LOG)
    assert found.done
    assert found.best.state is ReaderState.COMPLETE
    assert found.best.dump == REAL


@given(st.integers(0, len(LOG + FAKE + UNFINISHED + REAL + LOG)))
def test_every_split_gives_the_same_result(cut):
    assert read(LOG + FAKE + UNFINISHED + REAL + LOG, cut).best.dump == REAL


@pytest.mark.parametrize("entry", [LOG, FAKE, LOG + FAKE])
def test_finds_dump_whose_header_is_cut_by_log_entry(entry):
    header, rest = REAL[: REAL.index(b"\n")], REAL[REAL.index(b"\n") :]
    found = read(LOG + header + entry + rest + LOG)
    assert found.done
    assert found.best.total == int(header.rpartition(b" ")[2])
    # An empty line of the entry may be the end of the header, so the text after it is taken for a block.
    assert found.best.state is (ReaderState.COMPLETE if entry == LOG else ReaderState.DAMAGED)


def with_header_inside() -> bytes:
    """Return the answer with a logged header inside: the text after it, with the writer, looks like a complete dump."""
    blocks = REAL.split(b"\n\n")
    place = next(at for at, block in enumerate(blocks) if b"runtime/pprof." in block)
    left = sum(int(block.split(b" @")[0]) for block in blocks[place:] if block)
    return b"\n\n".join(
        [*blocks[:place], b"goroutine profile: total %d\n" % left + blocks[place], *blocks[place + 1 :]]
    )


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
def test_header_within_answer_is_not_the_answer(size):
    stream = LOG + with_header_inside() + LOG
    found = LiveReader()
    for at in range(0, len(stream), size):
        found.feed(stream[at : at + size])
    assert found.done
    assert found.best.state is ReaderState.COMPLETE
    assert found.best.dump == REAL


@pytest.mark.parametrize("after", [b"", LOG, UNFINISHED * 20])
def test_ambiguous_dump_is_best_when_input_ends(after):
    """By its blocks the first piece could continue in the answer."""
    piece = b"goroutine profile: total 9000\n5000 @ 0x1\n#\t0x1\tmain.main+0x1\t/x.go:1\n\n"
    found = read(piece + REAL + after)
    assert found.done is (after.count(b"\n") == 20)
    assert found.best.state is ReaderState.COMPLETE
    assert found.best.dump == REAL


@given(st.integers(0, len(REAL) - 1))
def test_truncated_dump_is_never_the_answer(end):
    found = read(FAKE + REAL[:end])
    found.feed(b"")
    assert not found.done or found.best.state is not ReaderState.COMPLETE


def test_dump_without_writer_is_not_the_answer():
    found = read(FAKE.split(b"\n", 1)[1])
    assert not found.done
    assert found.best.total is None


def test_skips_older_first_line():
    assert read(REAL.split(b"\n", 1)[0] + b"\n" + LOG + REAL, skip_first_line=True).best.dump == REAL
    assert not read(REAL, skip_first_line=True).done


def test_reports_progress_of_a_dump_that_ends_early():
    found = read(LOG + REAL[:120])
    found.feed(b"")
    assert (found.done, found.best.total, found.best.state) == (False, 145, ReaderState.CUT)
