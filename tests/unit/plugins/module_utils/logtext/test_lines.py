# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams are cut into whole lines, and text that is no log is kept apart."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.lines import LineSplitter, TimestampedLines


def test_passes_on_whole_lines_only():
    cut = LineSplitter()
    assert [cut.feed(b"a\nb"), cut.feed(b"c"), cut.feed(b"\n"), cut.feed(b"d"), cut.end()] == [
        b"a\n", b"", b"bc\n", b"", b"d"
    ]  # fmt: skip


def test_does_not_hold_a_line_without_end():
    cut = LineSplitter(longest=10)
    assert cut.feed(b"x" * 11) == b"x" * 11
    assert cut.drop() == b"\n"
    assert cut.drop() == b""


def test_drops_an_unfinished_line():
    cut = LineSplitter()
    cut.feed(b"half")
    assert (cut.drop(), cut.feed(b"whole\n")) == (b"", b"whole\n")


LINES = b"2026-11-25T10:00:00.1Z one\n2026-11-25T10:00:00.2Z two\n"
LONG = b"2026-11-25T10:00:00.3Z " + b"x" * 200 + b"\n2026-11-25T10:00:00.4Z after\n"
TEXT = b"unable to retrieve container logs for docker://3c7f1a5e"


def cut(stream, *places, longest=1 << 20):
    """Return what TimestampedLines makes of a stream that comes in these parts: the log, and other text."""
    lines, log = TimestampedLines(longest), b""
    for begin, end in zip((0, *places), (*places, len(stream)), strict=True):
        log += lines.feed(stream[begin:end])
    log += lines.stop(broken=False)
    return log, lines.foreign


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["as it is", "with an end of line"])
@pytest.mark.parametrize("before", [b"", LINES], ids=["at once", "behind lines"])
def test_separates_error_text_wherever_it_is_split(before, end):
    text = TEXT + end
    stream = before + text
    for place in range(len(stream)):
        assert cut(stream, place) == (before, text)
    assert cut(stream, *range(1, len(stream))) == (before, text)


def test_beginning_of_a_line_is_not_foreign():
    for place in range(len(LINES)):
        log, foreign = cut(LINES[:place])
        assert (log, foreign) == (LINES[: LINES.rfind(b"\n", 0, place) + 1], b"")


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_passes_on_a_line_too_long_to_be_held(place):
    stream = LINES + LONG
    assert cut(stream, *range(20, len(stream), 60), longest=50) == (stream, b"")
    assert cut(stream, place, longest=50) == (stream, b"")
    assert cut(stream + b"no stamp\n", *range(20, len(stream), 60), longest=50) == (stream, b"no stamp\n")


def test_end_of_a_broken_stream_is_not_foreign():
    lines = TimestampedLines()
    lines.feed(LINES + b"no st")
    assert (lines.stop(broken=True), lines.foreign) == (b"", b"")


def test_bounds_foreign_text():
    lines = TimestampedLines()
    for _number in range(100):
        lines.feed(b"no stamp\n" * 1000)
    assert len(lines.foreign) <= 2000
