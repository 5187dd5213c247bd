# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.reader import DumpReader, ReaderState
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.journal_blank_lines import (
    BlankLineRestorer,
    JournalctlOutput,
)
from dumps import cells, interleave
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import examples

CORPUS = Path(__file__).parent / "corpus"
DUMPS = sorted(CORPUS.glob("*/debug1.txt"))
BEFORE, AFTER = (
    b"[info 2026-01-02 03:04:05 main.f(main.go:1)] before\n",
    b"[info 2026-01-02 03:04:06 main.f(main.go:1)] x\n",
)


def as_journal(text):
    """What is left of a text in a journal."""
    return b"".join(line + b"\n" for line in text.split(b"\n") if line)


def fed(text, data, size):
    return b"".join(text.feed(data[start : start + size]) for start in range(0, len(data), size)) + text.feed(b"")


@pytest.mark.parametrize("path", DUMPS, ids=[path.parent.name for path in DUMPS])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_dump_comes_back_as_it_was_written(path, size):
    dump = path.read_bytes()
    kept = as_journal(BEFORE + dump + AFTER)
    assert b"\n\n" in dump
    assert b"\n\n" not in kept
    text = BlankLineRestorer()
    back = b"".join(text.feed(kept[start : start + size]) for start in range(0, len(kept), size)) + text.feed(b"")
    assert back == BEFORE + dump + AFTER
    reader = DumpReader()
    reader.feed(back)
    assert reader.state is ReaderState.COMPLETE


ENTRIES = [
    AFTER,
    b"[I 261123 00:22:28 main.main(main.go:1)] two\nlines\n",
    b"[mysql] 2026/11/22 16:08:10 packets.go:37: unexpected EOF\n" + AFTER,
    b"\x1b[33m[warning 2026-11-23 00:22:28 main.main(main.go:1)]\x1b[0m colours\n",
]


@pytest.mark.parametrize("path", DUMPS, ids=[path.parent.name for path in DUMPS])
@settings(max_examples=examples(60))
@given(st.data())
def test_lines_of_the_log_between_any_two_cells_cost_nothing(path, data):
    dump = path.read_bytes()
    places = data.draw(st.lists(st.integers(1, len(cells(dump)) - 1), max_size=40, unique=True))
    written = interleave(dump, {place: data.draw(st.sampled_from(ENTRIES)) for place in places})
    reader = DumpReader()
    reader.feed(fed(BlankLineRestorer(), as_journal(written + AFTER), 1000))
    assert reader.state is ReaderState.COMPLETE, reader.problems
    assert reader.dump == dump


def test_two_dumps_one_after_the_other():
    dump = DUMPS[-1].read_bytes()
    text = BlankLineRestorer()
    assert text.feed(as_journal(dump + AFTER + dump + AFTER)) == dump + AFTER + dump + AFTER


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_line_of_the_log_before_any_cell_of_the_last_blocks(entry):
    written = (
        b"goroutine profile: total 3\n1 @ 0x2 0x3 0x99\n"
        b"#\t0x1\tmain.f+0x1\t/a.go:1\n#\t0x2\tmain.g+0x1\t/a.go:2\n\n"
        b'1 @ 0x5 0x6 0x99\n# labels: {"a":"b"}\n'
        b"#\t0x4\tmain.f+0x1\t/a.go:3\n#\t0x5\tmain.g+0x1\t/a.go:4\n\n"
        b"1 @ 0x99\n\n"
    )
    assert BlankLineRestorer().feed(as_journal(written + AFTER)) == written + AFTER
    for place in range(1, len(cells(written)) - 1):
        reader = DumpReader()
        reader.feed(BlankLineRestorer().feed(as_journal(interleave(written, {place: entry}) + AFTER)))
        assert reader.state is ReaderState.COMPLETE, (place, reader.problems)
        assert reader.dump == written


@pytest.mark.parametrize(
    "frames",
    [
        b"2 @ 0x2 0x99\n#\t0x1\tmain.f+0x1\t/a.go:1\n",
        b"2 @ 0x2 0x3\n#\t0x1\tmain.f+0x1\t/a.go:1\n#\t0x2\tmain.f+0x1\t/a.go:1\n",
        b"2 @ 0x2 0x3 0x99\n#\t0x1\n#\t0x2\n",
        b"2 @ 0x2 0x3 0x99\n#\t0x77\tmain.f+0x1\t/a.go:1\n",
    ],
)
def test_a_dump_of_one_block_ends(frames):
    written = b"goroutine profile: total 2\n" + frames + b"\n" + AFTER
    assert BlankLineRestorer().feed(as_journal(written)) == written


@pytest.mark.parametrize("head", [b"", b"#\tx\nword\n", b"goroutine profile: total many\n"])
def test_what_is_no_dump_is_left_alone(head):
    text = head + b"3 @ 0x1\n4 @ 0x2\n"
    assert BlankLineRestorer().feed(text) == text


def test_what_has_no_end_is_given_at_the_end():
    text = BlankLineRestorer()
    assert (text.feed(b"a\nb"), text.feed(b""), text.feed(b"")) == (b"a\n", b"b", b"")


CURSOR = b"-- cursor: s=a4b315;i=84c;b=cbb0c4;m=365ff90f2;t=661590ab2631f;x=9e5c70\n"


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("log", [BEFORE, BEFORE + AFTER, b"\n", CURSOR, CURSOR + BEFORE + CURSOR])
def test_the_place_of_the_newest_entry_is_the_last_line_whatever_the_log_says(log, size):
    text = JournalctlOutput()
    own = b"-- cursor: s=own\n"
    assert fed(text, log + own, size) == log
    assert (text.cursor, text.is_empty) == ("s=own", False)


@pytest.mark.parametrize("log", [BEFORE, BEFORE + b"half", b"-- cursor:\n", b"-- cursor: s=a b\n", CURSOR[:-1]])
def test_where_journalctl_was_stopped_there_is_no_place(log):
    text = JournalctlOutput()
    assert fed(text, log, 7) == log
    assert (text.cursor, text.is_empty) == ("", False)


def test_where_nothing_was_printed_there_is_no_place_and_that_was_all():
    text = JournalctlOutput()
    assert text.feed(b"") == b""
    assert (text.cursor, text.is_empty) == ("", True)


def test_a_dump_that_goes_on_after_the_history():
    dump = DUMPS[-1].read_bytes()
    kept = as_journal(BEFORE + dump + AFTER)
    half = kept.index(b"\n", len(kept) // 2) + 1
    text = JournalctlOutput()
    assert fed(text, kept[:half] + CURSOR, 100) + fed(text.text, kept[half:], 100) == BEFORE + dump + AFTER
