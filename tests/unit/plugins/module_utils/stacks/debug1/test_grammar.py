# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cells that a line may continue with, given what was read before."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.blocks import Block
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.grammar import (
    DONE,
    FILE,
    HASH,
    HEAD,
    HEADER,
    HEADER_END,
    PAD1,
    ParseState,
    advance,
)
from dumps import LOG

ROW = b"#\t0xf\tmain.a+0x1\t\t/a.go:7\n"


def block() -> Block:
    return Block(2, (0x10, 0x20))


def test_reads_header():
    (state,) = advance(ParseState(HEADER, {}, 5), b"goroutine profile: total 145\n", 0, None)
    assert (state.step, state.total, state.taken, state.start) == (HEAD, 145, {0: 29}, 5)


def test_reads_row():
    state = advance(ParseState(HASH, {}, 0), ROW, 0, block())[0]
    assert state.step == DONE
    assert state.row()[:5] == (0xF, 0, b"main.a+0x1", b"/a.go", 7)


@pytest.mark.parametrize(("line", "step"), [(b"#\t0xf" + LOG, PAD1), (b"#\t0xf\tmain.a+0x1\t" + LOG, FILE)])
def test_stops_before_other_text(line, step):
    (state,) = advance(ParseState(HASH, {}, 0), line, 3, block())
    assert (state.step, state.taken, state.guesses) == (step, {3: len(line) - len(LOG)}, 0)


def test_address_of_the_block_ends_before_other_digits():
    (state,) = advance(ParseState(HASH, {}, 0), b"#\t0xf123\n", 0, block())
    assert (state.pc, state.step) == (0xF, PAD1)
    assert state.taken == {0: 5}


def test_guesses_when_text_does_not_look_like_a_log_line():
    (state, *_others) = advance(ParseState(HEADER, {}, 0), b"goroutine profile: total 145other text\n", 0, None)
    assert (state.step, state.total, state.guesses) == (HEADER_END, 145, 1)


@pytest.mark.parametrize("line", [LOG, b"\n", b"goroutine profile: total x\n"])
def test_rejects_other_lines(line):
    assert advance(ParseState(HEADER, {}, 0), line, 0, None) == []


def test_equal_states_have_equal_keys():
    first = advance(ParseState(HASH, {}, 0), ROW, 0, block())[0]
    second = advance(ParseState(HASH, {}, 9), ROW, 4, block())[0]
    assert first.key() == second.key()
    assert first.key() != advance(ParseState(HASH, {}, 0), ROW.replace(b":7", b":8"), 0, block())[0].key()
