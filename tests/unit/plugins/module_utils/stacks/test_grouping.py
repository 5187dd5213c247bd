# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was read to groups: of a debug=1 dump's blocks, and of goroutines one by one."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.blocks import Block, FrameRow
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug1.grouping import (
    frame_of,
    groups_of,
    labels_of,
    unquote,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug2.builder import DumpBuilder
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug2.goroutine import read_clean
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.model import IDS_KEPT, Frame


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
def test_strings_as_go_quotes_them(quoted, text):
    assert unquote(quoted) == text


def test_labels():
    assert labels_of(rb'{"a":"1, \"x\":", "b c":""}') == {"a": '1, "x":', "b c": ""}
    assert labels_of(None) == {}


def row(pc: int, function: bytes | None, line: int = 1) -> FrameRow:
    return FrameRow(pc, 0, function, b"/x.go", line, (1, 1))


def block(count: int, rows: list[FrameRow], labels: bytes | None = None) -> Block:
    made = Block(count, tuple(one.pc + 1 for one in rows))
    made.rows, made.labels = rows, labels
    return made


def test_a_frame():
    assert frame_of(row(1, b"main.(*T[...]).f+0x1+0x2f", 7)) == Frame("main.(*T[...]).f+0x1", "/x.go", 7)
    assert frame_of(row(0x4F, None)) == Frame("0x4f", "?", 0)


def test_blocks_that_differ_in_addresses_only_are_one_group():
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


def goroutine(number: int, state: str = "select", function: str = "main.a", extra: str = ""):
    text = f"goroutine {number} [{state}]{extra}:\n{function}(0x{number:x})\n\t/x.go:1 +0x2\n"
    return read_clean((text + "created by main.main in goroutine 1\n\t/x.go:9 +0x1").encode())


def test_goroutines_are_grouped_by_state_place_and_labels():
    run = DumpBuilder(0, False)
    run.add(goroutine(2, "select, 9 minutes"))
    run.add(goroutine(3, "select (scan), 4 minutes"))
    run.add(goroutine(4, "IO wait"))
    run.add(goroutine(5, "select", "main.b"))
    run.add(goroutine(6, "select", extra=' {k: v, "a b": "c"}'))
    dump = run.dump()
    assert (dump.form, dump.goroutines, dump.complete) == ("debug2", 5, None)
    assert [(group.count, group.state, group.wait_min, group.wait_max, group.ids) for group in dump.groups] == [
        (2, "select", 4, 9, [2, 3]),
        (1, "IO wait", 0, 0, [4]),
        (1, "select", 0, 0, [5]),
        (1, "select", 0, 0, [6]),
    ]
    assert dump.groups[3].labels == {"k": "v", "a b": "c"}
    assert dump.groups[0].created_by == Frame("main.main", "/x.go", 9)


def test_the_first_ids_are_kept():
    run = DumpBuilder(0, False)
    for number in range(1000, 1000 + 2 * IDS_KEPT):
        run.add(goroutine(number))
    (group,) = run.dump().groups
    assert (group.count, group.ids) == (2 * IDS_KEPT, list(range(1000, 1000 + IDS_KEPT)))


def test_a_run_is_what_its_goroutines_say():
    alone = DumpBuilder(0, False)
    alone.add(goroutine(2))
    assert alone.dump().form == "stack"
    led = DumpBuilder(0, True)
    led.add(goroutine(2))
    assert led.dump().form == "fatal"
    pointers = DumpBuilder(0, False)
    pointers.add(read_clean(b"goroutine 2 gp=0x1 m=nil [select]:\nmain.a()\n\t/x.go:1 +0x2"))
    assert pointers.dump().form == "fatal"
    writer = DumpBuilder(0, False)
    writer.add(read_clean(b"goroutine 2 [running]:\nruntime/pprof.writeGoroutineStacks()\n\t/x.go:1 +0x2"))
    assert writer.dump().form == "debug2"


def test_damage_is_proof_and_a_note_is_doubt():
    run = DumpBuilder(0, False)
    run.add(goroutine(2))
    run.note(7, b"2", "odd")
    assert run.dump().complete is None
    run.damage(3, None, "broken")
    dump = run.dump()
    assert dump.complete is False
    assert [(error.line, error.goroutine, error.message) for error in dump.errors] == [
        (3, None, "broken"),
        (7, 2, "odd"),
    ]
