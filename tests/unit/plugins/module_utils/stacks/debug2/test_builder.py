# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Group goroutines into a dump and derive its form and verdict."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug2.builder import DumpBuilder
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug2.goroutine import read_clean
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.model import IDS_KEPT, Frame


def goroutine(number: int, state: str = "select", function: str = "main.a", extra: str = ""):
    text = f"goroutine {number} [{state}]{extra}:\n{function}(0x{number:x})\n\t/x.go:1 +0x2\n"
    return read_clean((text + "created by main.main in goroutine 1\n\t/x.go:9 +0x1").encode())


def test_groups_goroutines_by_state_frames_and_labels():
    builder = DumpBuilder(0, False)
    builder.add(goroutine(2, "select, 9 minutes"))
    builder.add(goroutine(3, "select (scan), 4 minutes"))
    builder.add(goroutine(4, "IO wait"))
    builder.add(goroutine(5, "select", "main.b"))
    builder.add(goroutine(6, "select", extra=' {k: v, "a b": "c"}'))
    dump = builder.dump()
    assert (dump.form, dump.goroutines, dump.complete) == ("debug2", 5, None)
    assert [(group.count, group.state, group.wait_min, group.wait_max, group.ids) for group in dump.groups] == [
        (2, "select", 4, 9, [2, 3]),
        (1, "IO wait", 0, 0, [4]),
        (1, "select", 0, 0, [5]),
        (1, "select", 0, 0, [6]),
    ]
    assert dump.groups[3].labels == {"k": "v", "a b": "c"}
    assert dump.groups[0].created_by == Frame("main.main", "/x.go", 9)


def test_keeps_first_ids_of_group():
    builder = DumpBuilder(0, False)
    for number in range(1000, 1000 + 2 * IDS_KEPT):
        builder.add(goroutine(number))
    (group,) = builder.dump().groups
    assert (group.count, group.ids) == (2 * IDS_KEPT, list(range(1000, 1000 + IDS_KEPT)))


def test_derives_form_from_goroutines():
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


def test_damage_makes_dump_incomplete_and_note_does_not():
    builder = DumpBuilder(0, False)
    builder.add(goroutine(2))
    builder.note(7, b"2", "odd")
    assert builder.dump().complete is None
    builder.damage(3, None, "broken")
    dump = builder.dump()
    assert dump.complete is False
    assert [(error.line, error.goroutine, error.message) for error in dump.errors] == [
        (3, None, "broken"),
        (7, 2, "odd"),
    ]
