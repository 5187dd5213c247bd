# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Separate dumps and single stacks in one text."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.limits import ParseLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from dumps import CORPUS, LOG, PRINTED, REGION1, REGION2


def found(data: bytes) -> list[tuple[str, int]]:
    return [(dump.form, dump.goroutines) for dump in parse(data).dumps]


@pytest.mark.parametrize("version", ["go1.19", "go1.23", "go1.27"])
def test_only_crashing_threads_give_several_dumps(version):
    several = [name for name in CORPUS if name.startswith(version) and len(parse(CORPUS[name]).dumps) > 1]
    assert set(several) <= {f"{version}/quit-crash", f"{version}/map"}


def test_separates_dumps_in_one_log():
    data = LOG.join([REGION1, REGION2, CORPUS["go1.27/quit"], PRINTED, REGION1, REGION2, PRINTED, PRINTED])
    assert found(data) == [
        ("debug1", 145), ("debug2", 171), ("fatal", 43), ("stack", 1), ("debug1", 145), ("debug2", 171), ("stack", 1),
        ("stack", 1),
    ]  # fmt: skip


def test_separates_adjacent_dumps():
    assert found(REGION2 + REGION2) == [("debug2", 171)] * 2
    assert found(REGION1 * 3) == [("debug1", 145)] * 3
    assert found(CORPUS["go1.27/quit"] * 2) == [("fatal", 43)] * 2


def test_printed_stack_within_a_dump_is_separate():
    lines = CORPUS["go1.27/debug2"].splitlines(keepends=True)
    for at in range(20, 60):
        result = parse(b"".join(lines[:at]) + PRINTED + b"".join(lines[at:]))
        assert sorted((dump.form, dump.goroutines) for dump in result.dumps) == [("debug2", 35), ("stack", 1)], at
        assert [error for dump in result.dumps for error in dump.errors] == []


def test_printed_stack_with_creator_and_no_empty_line_after_it():
    inner = PRINTED.rstrip(b"\n") + b"\ncreated by main.start in goroutine 1\n\t/src/generator/main.go:87 +0x3d\n"
    lines = CORPUS["go1.27/debug2"].splitlines(keepends=True)
    whole = parse(b"".join(lines)).dumps[0]
    for at in range(20, 60):
        dumps = parse(b"".join(lines[:at]) + inner + b"".join(lines[at:])).dumps
        assert [dump.goroutines for dump in dumps if dump.form == "stack"] == [1]
        assert [dump.groups for dump in dumps if dump.form == "debug2"] == [whole.groups], at


def test_repeated_ids_begin_another_dump():
    rest = REGION2.partition(b"\n\n")[2]
    assert found(rest + b"\n" + rest) == [("debug2", 170)] * 2


def test_finds_stack_at_the_end_of_a_message_line():
    data = PRINTED.replace(b"\ngoroutine", b": goroutine")
    assert found(LOG + data + LOG) == [("stack", 1)]
    assert parse(LOG + data).dumps[0].groups[0].frames[0].function == "runtime/debug.Stack"


def test_panic_of_one_goroutine_is_a_single_stack():
    data = b"http: panic serving 10.0.0.1:80: boom\ngoroutine 9 [running]:\nnet/http.(*conn).serve.func1()\n"
    data += b"\t/s.go:1 +0x2\n"
    data += b"created by net/http.(*Server).Serve in goroutine 1\n\t/s.go:9 +0x4\n" + LOG
    data = b"".join(data.replace(b"goroutine 9", b"goroutine %d" % number) for number in (9, 10, 11))
    assert found(data) == [("stack", 1)] * 3


def test_reports_malformed_header():
    broken = CORPUS["go1.27/debug2"].replace(b"goroutine 20 [chan receive]:", b"goroutine 20 [chan rec")
    (dump,) = parse(broken).dumps
    assert (dump.goroutines, dump.complete) == (34, False)
    assert [(error.goroutine, broken.split(b"\n")[error.line - 1]) for error in dump.errors] == [
        (20, b"goroutine 20 [chan rec")
    ]


def test_counts_dumps_above_the_limit():
    result = parse(PRINTED * 8, ParseLimits(single_stacks=5))
    assert len(result.dumps) == 5
    assert [error.message for error in result.errors] == ["3 more dumps are not shown"]
