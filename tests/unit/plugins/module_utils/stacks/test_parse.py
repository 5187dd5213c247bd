# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every dump is found, whatever its form and whatever stands around it."""

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


def test_the_corpus_is_there():
    assert len({name.partition("/")[0] for name in CORPUS}) == 8
    assert len(CORPUS) == 52


@pytest.mark.parametrize("name", CORPUS)
def test_every_form_of_every_version(name):
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


@pytest.mark.parametrize("version", ["go1.19", "go1.23", "go1.27"])
def test_only_crashing_threads_give_several_dumps(version):
    several = [name for name in CORPUS if name.startswith(version) and len(parse(CORPUS[name]).dumps) > 1]
    assert set(several) <= {f"{version}/quit-crash", f"{version}/map"}


def test_the_same_program_has_the_same_groups_in_both_forms():
    """The places of a debug=2 dump and of a debug=1 dump of one program are the same, without the writer's."""

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


def test_a_service():
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


def test_labels_waits_and_creators_are_read():
    groups = parse(CORPUS["go1.27/debug2"]).dumps[0].groups
    states = {group.state for group in groups}
    assert {"chan receive (nil chan)", "IO wait", "sync.Mutex.Lock", "select (no cases)"} <= states
    assert {group.created_by.function for group in groups if group.created_by} >= {"main.start"}
    labelled = [group for group in parse(CORPUS["go1.27/debug1"]).dumps[0].groups if group.labels]
    assert labelled[0].labels == {"request": 'GET /servers?a="1"\n#\t0x1', "ключ": "значение, {x}"}
    assert any(", locked to thread" in str(group.state) for group in groups)


@pytest.mark.parametrize("name", ["go1.27/debug1", "go1.27/debug2", "go1.27/quit", "go1.19/panic", "go1.27/stack"])
@pytest.mark.parametrize(
    "around", [LOG, b"\n\n", b"call(0x1)\n\t/y.go:1 +0x2\n", b"\x1b[31m\xff\x00\n", b"x" * 70000 + b"\n"]
)
def test_whatever_stands_around_it(name, around):
    alone = parse(CORPUS[name]).dumps
    result = parse(around + CORPUS[name] + b"\n" + around)
    assert [(dump.form, dump.goroutines, dump.complete, dump.groups) for dump in result.dumps] == [
        (dump.form, dump.goroutines, dump.complete, dump.groups) for dump in alone
    ]
    assert [dump.line for dump in result.dumps] == [dump.line + around.count(b"\n") for dump in alone]


@pytest.mark.parametrize("name", [name for name in CORPUS if "debug2" in name or "quit" in name or "panic" in name])
@pytest.mark.parametrize("lines", [[LOG], [LOG, b"\n", b"[I 261123 00:22:28 main.go:1] two\nlines (of) text\n"]])
def test_log_lines_between_the_lines(name, lines):
    data = CORPUS[name]
    alone, mixed = parse(data).dumps, parse(spread(data, lines)).dumps
    assert [(dump.goroutines, dump.groups, dump.complete) for dump in mixed] == [
        (dump.goroutines, dump.groups, dump.complete) for dump in alone
    ]


@pytest.mark.parametrize("name", ["go1.27/debug1", "go1.27/debug2", "go1.27/quit"])
def test_windows_line_ends(name):
    data = CORPUS[name]
    assert parse(data.replace(b"\n", b"\r\n")) == parse(data)


def test_several_dumps_in_one_log():
    data = LOG.join([REGION1, REGION2, CORPUS["go1.27/quit"], PRINTED, REGION1, REGION2, PRINTED, PRINTED])
    assert found(data) == [
        ("debug1", 145), ("debug2", 171), ("fatal", 43), ("stack", 1), ("debug1", 145), ("debug2", 171), ("stack", 1),
        ("stack", 1),
    ]  # fmt: skip


def test_dumps_one_after_the_other_without_anything_between():
    assert found(REGION2 + REGION2) == [("debug2", 171)] * 2
    assert found(REGION1 * 3) == [("debug1", 145)] * 3
    assert found(CORPUS["go1.27/quit"] * 2) == [("fatal", 43)] * 2


def test_a_printed_stack_within_a_dump_is_another_dump():
    lines = CORPUS["go1.27/debug2"].splitlines(keepends=True)
    for at in range(20, 60):
        result = parse(b"".join(lines[:at]) + PRINTED + b"".join(lines[at:]))
        assert sorted((dump.form, dump.goroutines) for dump in result.dumps) == [("debug2", 35), ("stack", 1)], at
        assert [error for dump in result.dumps for error in dump.errors] == []


def test_a_printed_stack_with_a_creator_and_no_empty_line_after_it():
    inner = PRINTED.rstrip(b"\n") + b"\ncreated by main.start in goroutine 1\n\t/src/generator/main.go:87 +0x3d\n"
    lines = CORPUS["go1.27/debug2"].splitlines(keepends=True)
    whole = parse(b"".join(lines)).dumps[0]
    for at in range(20, 60):
        dumps = parse(b"".join(lines[:at]) + inner + b"".join(lines[at:])).dumps
        assert [dump.goroutines for dump in dumps if dump.form == "stack"] == [1]
        assert [dump.groups for dump in dumps if dump.form == "debug2"] == [whole.groups], at


def test_dumps_whose_beginning_is_lost_are_told_apart_by_their_ids():
    rest = REGION2.partition(b"\n\n")[2]
    assert found(rest + b"\n" + rest) == [("debug2", 170)] * 2


def test_a_stack_at_the_end_of_a_message_line():
    data = PRINTED.replace(b"\ngoroutine", b": goroutine")
    assert found(LOG + data + LOG) == [("stack", 1)]
    assert parse(LOG + data).dumps[0].groups[0].frames[0].function == "runtime/debug.Stack"


def test_a_panic_of_one_goroutine_that_nobody_printed():
    data = b"http: panic serving 10.0.0.1:80: boom\ngoroutine 9 [running]:\nnet/http.(*conn).serve.func1()\n"
    data += b"\t/s.go:1 +0x2\n"
    data += b"created by net/http.(*Server).Serve in goroutine 1\n\t/s.go:9 +0x4\n" + LOG
    data = b"".join(data.replace(b"goroutine 9", b"goroutine %d" % number) for number in (9, 10, 11))
    assert found(data) == [("stack", 1)] * 3


@pytest.mark.parametrize("data", [b"", b"\n", LOG, b"\x00" * 1000, b"\x1f\x8b\x08" + b"\xff" * 50])
def test_no_goroutines_are_said(data):
    result = parse(data)
    assert result.dumps == []
    assert [error.message.partition(":")[0] for error in result.errors] == ["no goroutines were found"]
    assert result.complete is False
    assert ("compressed" in result.errors[0].message) == data.startswith(b"\x1f\x8b")


def test_a_header_that_cannot_be_read():
    broken = CORPUS["go1.27/debug2"].replace(b"goroutine 20 [chan receive]:", b"goroutine 20 [chan rec")
    (dump,) = parse(broken).dumps
    assert (dump.goroutines, dump.complete) == (34, False)
    assert [(error.goroutine, broken.split(b"\n")[error.line - 1]) for error in dump.errors] == [
        (20, b"goroutine 20 [chan rec")
    ]


def test_a_lost_line_shows():
    lines = CORPUS["go1.27/debug2"].splitlines(keepends=True)
    location = lines.index(b"goroutine 20 [chan receive]:\n") + 2
    (dump,) = parse(b"".join(lines[:location] + lines[location + 1 :])).dumps
    assert dump.complete is False
    assert [(error.line, error.goroutine) for error in dump.errors] == [(location - 1, 20)]
    creator = location + 3
    assert lines[creator].startswith(b"created by")
    (dump,) = parse(b"".join(lines[:creator] + lines[creator + 2 :])).dumps
    # A goroutine may be like that: a doubt, no proof.
    assert (dump.complete, [error.goroutine for error in dump.errors]) == (None, [20])


@pytest.mark.parametrize(
    "data", [b"goroutine " + b"9" * 5000 + b" [running]:\n", b"goroutine profile: total " + b"9" * 5000]
)
def test_absurd_numbers(data):
    assert parse(data).errors != []


def test_a_new_word_in_a_header_is_text():
    data = CORPUS["go1.27/debug2"].replace(
        b"goroutine 20 [chan receive]:", b"goroutine 20 [chan receive, synctest bubble 1]:"
    )
    (dump,) = parse(data).dumps
    assert (dump.goroutines, dump.errors) == (35, [])
    assert "chan receive, synctest bubble 1" in {group.state for group in dump.groups}


def test_dumps_beyond_the_bound_are_told(monkeypatch):
    monkeypatch.setattr(
        "ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug2.scanner.MOST_SINGLE", 5
    )
    result = parse(PRINTED * 8)
    assert len(result.dumps) == 5
    assert [error.message for error in result.errors] == ["3 more dumps are not told"]


@settings(max_examples=examples(300))
@given(
    st.lists(
        st.sampled_from([*REGION2.split(b"\n\n")[:9], LOG, b"panic: x", b"", b"exit status 2", PRINTED, b"\t"]),
        max_size=30,
    )
)
def test_no_goroutine_is_lost_or_counted_twice(pieces):
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
def test_any_bytes_are_read(pieces):
    result = parse(b"".join(pieces))
    assert result.dumps or result.errors
    assert result.complete is not True or all(dump.goroutines == dump.total for dump in result.dumps)
    result.to_dict(max_groups=3)
