# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert blocks of a debug=1 dump to groups."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.blocks import Block, FrameRow
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.grouping import (
    frame_of,
    groups_of,
    labels_of,
    unquote,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.model import Frame


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        (rb'"plain"', "plain"),
        (rb'"a \"b\" \\ c"', 'a "b" \\ c'),
        (rb'"\n\t\a\x00\u00e9\U0001f600"', "\n\t\a\0é😀"),
        (rb'"\xc3\xa9\xff"', "é\ufffd"),
        ('"ключ"'.encode(), "ключ"),
        (rb'"\ud800\Uffffffff"', "?\U0010ffff"),
    ],
)
def test_unquotes_go_strings(quoted, text):
    assert unquote(quoted) == text


def test_parses_labels():
    assert labels_of(rb'{"a":"1, \"x\":", "b c":""}') == {"a": '1, "x":', "b c": ""}
    assert labels_of(None) == {}


def row(pc: int, function: bytes | None, line: int = 1) -> FrameRow:
    return FrameRow(pc, 0, function, b"/x.go", line, (1, 1))


def block(count: int, rows: list[FrameRow], labels: bytes | None = None) -> Block:
    made = Block(count, tuple(one.pc + 1 for one in rows))
    made.rows, made.labels = rows, labels
    return made


def test_converts_row_to_frame():
    assert frame_of(row(1, b"main.(*T[...]).f+0x1+0x2f", 7)) == Frame("main.(*T[...]).f+0x1", "/x.go", 7)
    assert frame_of(row(0x4F, None)) == Frame("0x4f", "?", 0)


def test_merges_blocks_that_differ_only_in_addresses():
    blocks = [
        block(3, [row(1, b"main.a+0x1")]),
        block(2, [row(2, b"main.a+0x2")]),
        block(4, [row(1, b"main.a+0x1")], labels=b'{"k":"v"}'),
        block(1, [row(9, b"main.a+0x9", line=2)]),
    ]
    assert [(group.count, group.labels, group.frames[0].line) for group in groups_of(blocks)] == [
        (5, {}, 1),
        (4, {"k": "v"}, 1),
        (1, {}, 2),
    ]
