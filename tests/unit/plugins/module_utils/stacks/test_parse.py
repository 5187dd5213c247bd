# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find every dump, in any form and with any text around it."""

from __future__ import annotations

import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from dumps import CORPUS, LOG, PRINTED, REGION1, REGION2, headers, spread, stated
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import examples

FORMS = {"debug1": "debug1", "debug2": "debug2", "all": "debug2", "stack": "stack"}  # of the corpus; others are fatal


def found(data: bytes) -> list[tuple[str, int]]:
    return [(dump.form, dump.goroutines) for dump in parse(data).dumps]


def test_corpus_is_complete():
    assert len({name.partition("/")[0] for name in CORPUS}) == 8
    assert len(CORPUS) == 52


@pytest.mark.parametrize("name", CORPUS)
def test_reads_every_form_of_every_go_version(name):
    data, form = CORPUS[name], FORMS.get(name.partition("/")[2], "fatal")
    result = parse(data)
    first = result.dumps[0]
    assert first.form == form
    assert {dump.form for dump in result.dumps} == {form}
    assert sum(dump.goroutines for dump in result.dumps) == (stated(data) if form == "debug1" else headers(data))
    assert result.errors == []
    assert first.line == (2 if form == "stack" else 1)
    for dump in result.dumps:
        assert dump.errors == []
        assert dump.complete is (True if form == "debug1" else None)
        assert dump.total == (stated(data) if form == "debug1" else None)
        assert sum(group.count for group in dump.groups) == dump.goroutines
        assert [group.count for group in dump.groups] == sorted((group.count for group in dump.groups), reverse=True)
        for group in dump.groups:
            assert group.frames or group.created_by
            assert (group.state is None) == (form == "debug1")
            assert len(group.ids) == (0 if form == "debug1" else group.count)


def test_debug1_and_debug2_of_one_program_have_the_same_groups():
    """The writer of the dump is excluded."""

    def places(name: str) -> dict[tuple[str, ...], int]:
        counts: dict[tuple[str, ...], int] = {}
        for group in parse(CORPUS[name]).dumps[0].groups:
            functions = tuple(frame.function for frame in group.frames if not frame.function.startswith("runtime."))
            if functions and functions[-1].startswith("main.zoo"):
                counts[functions] = counts.get(functions, 0) + group.count
        return counts

    both = places("go1.27/debug1"), places("go1.27/debug2")
    shared = set(both[0]) & set(both[1])
    assert len(shared) > 10
    assert all(both[0][place] == both[1][place] for place in shared)


def test_reads_dumps_of_a_service():
    (dump,) = parse(REGION1).dumps
    assert (dump.form, dump.total, dump.goroutines, dump.complete) == ("debug1", 145, 145, True)
    assert dump.groups[0].count == 18
    assert dump.groups[0].frames[0].function.endswith("(*CallbackSerializer).run")
    assert dump.groups[0].frames[0].file.endswith("grpcsync/callback_serializer.go")
    assert dump.groups[0].frames[0].line == 76
    (dump,) = parse(REGION2).dumps
    assert (dump.form, dump.goroutines, dump.complete, dump.errors) == ("debug2", headers(REGION2), None, [])
    waits = [int(minutes) for minutes in re.findall(rb", (\d+) minutes", REGION2)]
    assert max(group.wait_max for group in dump.groups) == max(waits, default=0)


@pytest.mark.parametrize("name", ["go1.27/debug1", "go1.27/debug2", "go1.27/quit", "go1.19/panic", "go1.27/stack"])
@pytest.mark.parametrize(
    "around", [LOG, b"\n\n", b"call(0x1)\n\t/y.go:1 +0x2\n", b"\x1b[31m\xff\x00\n", b"x" * 70000 + b"\n"]
)
def test_surrounding_text_changes_nothing(name, around):
    alone = parse(CORPUS[name]).dumps
    result = parse(around + CORPUS[name] + b"\n" + around)
    assert [(dump.form, dump.goroutines, dump.complete, dump.groups) for dump in result.dumps] == [
        (dump.form, dump.goroutines, dump.complete, dump.groups) for dump in alone
    ]
    assert [dump.line for dump in result.dumps] == [dump.line + around.count(b"\n") for dump in alone]


@pytest.mark.parametrize("name", [name for name in CORPUS if "debug2" in name or "quit" in name or "panic" in name])
@pytest.mark.parametrize("lines", [[LOG], [LOG, b"\n", b"[I 261123 00:22:28 main.go:1] two\nlines (of) text\n"]])
def test_log_lines_between_lines_change_nothing(name, lines):
    data = CORPUS[name]
    alone, mixed = parse(data).dumps, parse(spread(data, lines)).dumps
    assert [(dump.goroutines, dump.groups, dump.complete) for dump in mixed] == [
        (dump.goroutines, dump.groups, dump.complete) for dump in alone
    ]


@pytest.mark.parametrize("name", ["go1.27/debug1", "go1.27/debug2", "go1.27/quit"])
def test_reads_windows_line_ends(name):
    data = CORPUS[name]
    assert parse(data.replace(b"\n", b"\r\n")) == parse(data)


@pytest.mark.parametrize("data", [b"", b"\n", LOG, b"\x00" * 1000, b"\x1f\x8b\x08" + b"\xff" * 50])
def test_reports_input_without_goroutines(data):
    result = parse(data)
    assert result.dumps == []
    assert [error.message.partition(":")[0] for error in result.errors] == ["no goroutines were found"]
    assert result.complete is False
    assert ("compressed" in result.errors[0].message) == data.startswith(b"\x1f\x8b")


@settings(max_examples=examples(300))
@given(
    st.lists(
        st.sampled_from([*REGION2.split(b"\n\n")[:9], LOG, b"panic: x", b"", b"exit status 2", PRINTED, b"\t"]),
        max_size=30,
    )
)
def test_counts_every_goroutine_once(pieces):
    data = b"\n\n".join(pieces)
    assert sum(dump.goroutines for dump in parse(data).dumps) == headers(data)


SCRAPS = [
    b"\n", b"\r\n", b"\t", b"goroutine ", b"goroutine 7 [running]:\n", b"9" * 30,
    b"goroutine 7 gp=0x1 m=nil [select]:\n",
    b"goroutine profile: total 3\n", b"2 @ 0x1 0x2\n", b"#\t0x1\tmain.x+0x1\t/x.go:1\n", b"# labels: {\"a\":\"\\x\"}\n",
    b"main.x(0x1)\n\t/x.go:1 +0x1\n", b"created by x in goroutine 1\n\t/x.go:1\n", b"[pod/a/b] ", b"a-1 b ", b"\xff",
    b"\x00",
    b"2026-01-02T03:04:05.1Z ", b"stderr F ", b'{"log":"goroutine 1 [x]:\\n","stream":1}\n', b"SIGQUIT: quit\n",
    b"panic: ",
    LOG, b"-----\n", b"...additional frames elided...\n", b"[originating from goroutine 1]:\n", b"\\", b'"',
]  # fmt: skip


@settings(max_examples=examples(500))
@given(st.lists(st.one_of(st.sampled_from(SCRAPS), st.binary(max_size=20)), max_size=40))
def test_accepts_any_bytes(pieces):
    result = parse(b"".join(pieces))
    assert result.dumps or result.errors
    assert result.complete is not True or all(dump.goroutines == dump.total for dump in result.dumps)
    result.to_dict(max_groups=3)
