# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Overlapping reads of one log lose and repeat nothing; reads that do not join are recognized."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.overlap import (
    REMEMBERED,
    Deduplicator,
    lines_since,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.timestamps import timestamp_of
from hypothesis import given
from hypothesis import strategies as st


def lines(*numbers: int, zone: str = "Z") -> bytes:
    """Lines that were written so many tenths of a second after the hour."""
    return b"".join(
        f"2026-11-25T10:{n // 600:02d}:{n // 10 % 60:02d}.{n % 10}{zone} line {n}\n".encode() for n in numbers
    )


def joined(*parts: bytes, made: Deduplicator | None = None) -> tuple[bytes, list[bool | None]]:
    made, passed, joins = made or Deduplicator(), b"", []
    for part in parts:
        made.begin()
        passed += made.take(part)
        joins.append(made.joins)
    return passed, joins


@pytest.mark.parametrize(
    ("parts", "expected", "joins"),
    [
        pytest.param([lines(1, 2)], lines(1, 2), [True], id="one part"),
        pytest.param([lines(1, 2), lines(2, 3)], lines(1, 2, 3), [True, True], id="it begins with the last line"),
        pytest.param([lines(11, 12, 15), lines(11, 12, 15, 16)], lines(11, 12, 15, 16), [True, True], id="a second"),
        pytest.param([lines(1, 2), lines(2)], lines(1, 2), [True, True], id="nothing new"),
        pytest.param([lines(1, 2), lines(3)], lines(1, 2, 3), [True, False], id="rotated away"),
        pytest.param([lines(1, 2), b""], lines(1, 2), [True, None], id="nothing at all"),
        pytest.param([lines(5, 5, 5), lines(5, 5, 5, 5)], lines(5, 5, 5, 5), [True, True], id="the same line again"),
        pytest.param([lines(5, 4), lines(5, 4, 6)], lines(5, 4, 6), [True, True], id="out of order"),
        pytest.param([lines(1, 2) + b"unexpected EOF\n", lines(2, 3)], lines(1, 2) + b"unexpected EOF\n" + lines(3),
                     [True, True], id="the last one is no line"),
        pytest.param([lines(1, 2), b"unable to read\n"], lines(1, 2), [True, None], id="only what is no line"),
        pytest.param([lines(12, zone="+08:00"), lines(12, 13, zone="+08:00")], lines(12, 13, zone="+08:00"),
                     [True, True], id="another zone"),
    ],
)  # fmt: skip
def test_joins_overlapping_reads(parts, expected, joins):
    assert joined(*parts) == (expected, joins)


def test_joins_is_unknown_before_the_last_line():
    made = Deduplicator()
    made.take(lines(11, 12, 13))
    made.begin()
    told = []
    for number in (11, 12, 13, 14):
        made.take(lines(number))
        told.append(made.joins)
    assert told == [None, None, True, True]


def test_ignores_lines_older_than_what_is_remembered():
    log = lines(*range(36000))
    assert len(log) > 3 * REMEMBERED
    passed, joins = joined(log, lines(*range(35000, 36001)))
    assert (len(passed), joins) == (len(log) + len(lines(36000)), [True, True])


def test_copy_is_independent():
    made = Deduplicator()
    made.take(lines(1))
    copy = made.copy()
    made.take(lines(2))
    assert joined(lines(1, 2), made=copy) == (lines(2), [True])
    assert copy.last.order == made.last.order


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.data())
def test_passes_each_line_on_once_however_reads_are_cut(numbers, data):
    log = [lines(number) for number in sorted(numbers)]
    made, passed, seen = Deduplicator(), b"", 0
    while seen < len(log):
        # As sinceTime does it: from the beginning of the second of the last line on.
        second = log[seen - 1][:19] if seen else b""
        part = [line for line in log if line[:19] >= second]
        length = data.draw(st.integers(len(part) - len(log) + seen + 1, len(part)))
        made.begin()
        for cut in (part[: length // 2], part[length // 2 : length]):
            passed += made.take(b"".join(cut))
        assert made.joins
        seen = len(log) - len(part) + length
    assert passed == b"".join(log)


@pytest.mark.parametrize(
    ("block", "tenth", "expected"),
    [
        pytest.param(lines(1, 2, 3), 2, lines(2, 3), id="within a second"),
        pytest.param(lines(1, 2), 3, b"", id="all of them are older"),
        pytest.param(lines(3, 4), 1, lines(3, 4), id="none of them is older"),
        pytest.param(lines(3, 1), 2, lines(3, 1), id="one that comes late is no first line"),
        pytest.param(lines(1) + b"the server says no\n", 2, b"the server says no\n", id="no line of the log"),
        pytest.param(lines(1, 3, zone="+00:00"), 2, lines(3, zone="+00:00"), id="an offset"),
        pytest.param(b"2026-02-30T10:00:00Z a\n", 2, b"2026-02-30T10:00:00Z a\n", id="no such day"),
        pytest.param(b"", 2, b"", id="nothing"),
    ],
)
def test_leaves_out_leading_lines_before_a_moment(block, tenth, expected):
    start = timestamp_of(lines(0)).moment
    assert lines_since(block, start + tenth / 10) == expected
