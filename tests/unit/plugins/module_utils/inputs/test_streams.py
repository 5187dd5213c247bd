# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams with lookahead, sections and budgets."""

from __future__ import annotations

import io

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.streams import (
    Budget,
    Cut,
    Damaged,
    FileStream,
    InputLimits,
    Lookahead,
    Readable,
    Section,
    TooMuch,
)


class Broken(Readable):
    """A stream of one byte at a time that is damaged after three bytes."""

    def __init__(self) -> None:
        self.left = [b"a", b"b", b"c"]

    def read(self, size: int) -> bytes:
        if not self.left:
            raise Damaged("broken")
        return self.left.pop(0)[:size]


def test_peek_leaves_bytes_in_the_stream():
    for stream in (Lookahead(FileStream(io.BytesIO(b"12345"))), FileStream(io.BytesIO(b"12345"))):
        assert (stream.peek(2), stream.peek(3), stream.read(1)) == (b"12", b"123", b"1")
        stream.unread(b"1")
        assert stream.exactly(9) == b"12345"
        assert (stream.peek(1), stream.read(1)) == (b"", b"")


def test_skip_returns_number_of_bytes():
    stream = FileStream(io.BytesIO(b"12345"))
    assert (stream.skip(2), stream.skip(9)) == (2, 3)


def test_damage_follows_the_bytes_before_it():
    stream = Lookahead(Broken())
    assert stream.peek(9) == b"abc"
    with pytest.raises(Damaged, match="broken"):
        stream.check()
    assert stream.read(9) == b"abc"
    for _again in range(2):
        with pytest.raises(Damaged, match="broken"):
            stream.read(1)


def test_section_ends_before_the_rest():
    raw = FileStream(io.BytesIO(b"12345"))
    section = Section(raw, 2, "it")
    assert (section.read(9), section.read(9), raw.read(9)) == (b"12", b"", b"345")


def test_section_reports_missing_bytes():
    section = Section(FileStream(io.BytesIO(b"123")), 5, "the file")
    assert section.read(9) == b"123"
    with pytest.raises(Cut, match="the file is cut: 2 of its 5 bytes are missing"):
        section.read(9)


def test_budget_limits_bytes_and_entries():
    budget = Budget(InputLimits(members=1, free=10, ratio=2), size=5)
    budget.spend(20)
    with pytest.raises(TooMuch, match="unpacks to more than"):
        budget.spend(1)
    budget.member()
    with pytest.raises(TooMuch, match="more than 1 entries"):
        budget.member()
