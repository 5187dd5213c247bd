# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A changed dump gives the same result as the original, and is never more complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.model import Dump, ParseResult
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from dumps import LOG
from hypothesis import given, settings
from hypothesis import strategies as st
from wrappings import CHARACTERS, ESCAPES, LAYOUTS, LOSSES, LOSSLESS, RECORDS, Change, before, each, mixed

from fuzzing import examples

PEOPLE = Path(__file__).parents[4] / "fixtures" / "people"
DUMPS = {
    "debug1": (PEOPLE / "plain-debug1.txt").read_bytes(),
    "debug2": (PEOPLE / "plain-debug2.txt").read_bytes(),
    "fatal": re.sub(rb"(?m)^    ", b"", (PEOPLE / "indented-fatal.log").read_bytes()),
}
RANKS = {False: 0, None: 1, True: 2}


def content(dump: Dump) -> tuple[object, ...]:
    """Return the content of a dump without its position."""
    groups = sorted((group.count, group.state or "", group.frames, group.created_by or ()) for group in dump.groups)
    return dump.form, dump.total, dump.goroutines, groups


def contents(result: ParseResult) -> list[tuple[object, ...]]:
    return [content(dump) for dump in result.dumps]


def assert_not_better(result: ParseResult, plain: ParseResult) -> None:
    assert all(RANKS[dump.complete] <= RANKS[plain.dumps[0].complete] for dump in result.dumps)
    assert RANKS[result.complete] <= RANKS[plain.complete]


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("form", DUMPS)
def test_undoes_wrapping(form, name):
    plain, result = parse(DUMPS[form]), parse(LOSSLESS[name](DUMPS[form]))
    assert contents(result) == contents(plain)
    assert [dump.complete for dump in result.dumps] == [dump.complete for dump in plain.dumps]
    assert [error for dump in result.dumps for error in dump.errors] == result.errors == []


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("form", DUMPS)
def test_reports_lost_proof(form, name):
    data = LOSSES[name](DUMPS[form])
    plain, result = parse(DUMPS[form]), parse(data)
    assert contents(result) == contents(plain)
    is_lost = plain.complete is True and data != DUMPS[form]
    assert result.complete is (None if is_lost else plain.complete)
    assert bool(result.dumps[0].errors) == is_lost


@pytest.mark.parametrize("name", [*LOSSLESS, *(f"loss: {name}" for name in LOSSES)])
@pytest.mark.parametrize("lost", [1, 14, 20])
def test_dump_without_a_line_is_never_complete(name, lost):
    """One line of the dump is removed before the other changes."""
    change = LOSSES[name[6:]] if name.startswith("loss: ") else LOSSLESS[name]
    lines = DUMPS["debug1"].splitlines(keepends=True)
    del lines[lost]
    data = b"".join(lines)
    plain, result = parse(data), parse(change(data))
    assert plain.complete is False
    assert result.complete is False
    assert result.dumps or result.unread


@pytest.mark.parametrize("form", ["debug1", "debug2"])
def test_joins_or_reports_line_broken_anywhere(form):
    """A break anywhere is repaired, or the dump is incomplete or has an error: no half name passes as complete."""
    data = DUMPS[form]
    plain = parse(data)
    for place in range(1, len(data)):
        line = data[data.rfind(b"\n", 0, place) + 1 : data.find(b"\n", place)]
        if b"\n" in data[place - 1 : place + 1] or (form == "debug2" and line.startswith(b"goroutine ")):
            continue
        result = parse(data[:place] + b"\n" + data[place:])
        assert contents(result) == contents(plain) or result.complete is False or result.dumps[0].errors, line


@pytest.mark.parametrize("name", ["region-1  | ", "[pod/region-1/x] ", "2024-05-01T10:00:00Z region-1 "])
def test_separates_writers(name):
    other = name.replace("region-1", "glance-1").encode()
    for form, data in DUMPS.items():
        result = parse(mixed(before(name.encode())(data), before(other)(data), before(b"w-1 | ")(LOG * 50)))
        assert contents(result) == contents(parse(data)) * 2, form
        assert len({dump.source for dump in result.dumps}) == 2


def test_line_numbers_are_those_of_the_file():
    for name in ("prefix: docker compose", "record: docker", "layout: tabs of 4"):
        (dump,) = parse(LOG * 7 + LOSSLESS[name](DUMPS["debug1"])).dumps
        assert dump.line == 8, name


@pytest.mark.parametrize(
    "data",
    [
        b"<<goroutine 7 [running]:>>\n<<main.x()>\n",
        re.sub(rb"\s+", b" ", DUMPS["fatal"]),
        re.sub(rb"\s+", b" ", DUMPS["debug2"]),
        before(b"? ")(b"goroutine profile: total 3\n") + LOG,
    ],
)
def test_reports_unreadable_goroutines(data):
    result = parse(data)
    messages = [error.message for error in result.errors]
    assert any(message.startswith("goroutines are in an unknown format") for message in messages)
    assert not any(message.startswith("no goroutines") for message in messages)
    assert result.complete is False


def test_message_with_header_words_is_no_goroutine():
    result = parse(LOG + b"retrying as goroutine 7 [running]: said so\n" + LOG)
    assert [error.message for error in result.errors] == ["no goroutines were found"]


WORDS = st.from_regex(r"\A[a-z][a-z0-9]{0,8}(?:-[a-z0-9]{1,4})?\Z").filter(lambda word: word != "goroutine")
TIMES = st.sampled_from(
    ["2024-05-01T10:00:{:02}.123Z", "May  1 10:00:{:02}", "10:00:{:02}", "[2024-05-01 10:00:{:02}]"]
)
SIGNS = st.sampled_from(["|", ">", ":", "-", "#", "::", "│", "»"])


@st.composite
def prefixes(draw) -> Change:
    """Return words, a time or none, and a sign, in any order."""
    parts = draw(st.permutations([draw(WORDS), draw(TIMES), *draw(st.lists(WORDS, max_size=2))]))
    form = " ".join(parts) + draw(SIGNS) + " "
    return each(lambda number, line: form.format(number % 60).encode() + line)


@settings(max_examples=examples(150))
@given(
    st.sampled_from(sorted(DUMPS)),
    st.one_of(st.none(), st.sampled_from(sorted(LAYOUTS))),
    st.one_of(st.none(), prefixes()),
    st.one_of(st.none(), st.sampled_from(sorted(RECORDS))),
)
def test_undoes_any_prefix_within_any_record(form, layout, prefix, record):
    plain = parse(DUMPS[form])
    data = DUMPS[form] if layout is None or "columns" in layout else LAYOUTS[layout](DUMPS[form])
    data = data if prefix is None else prefix(data)
    data = data if record is None else RECORDS[record](data.replace(b"\r", b""))
    result = parse(data)
    assert contents(result) == contents(plain)
    assert_not_better(result, plain)


@settings(max_examples=examples(150))
@given(st.sampled_from(sorted(LOSSLESS)), st.sampled_from(sorted(DUMPS)), st.data())
def test_truncated_file_is_never_more_complete(name, form, draw):
    data = LOSSLESS[name](DUMPS[form])
    cut = data[: draw.draw(st.integers(0, len(data) - 1))]
    result = parse(cut)
    assert result.complete is not True or contents(result) == contents(parse(DUMPS[form]))
    assert result.dumps or result.errors


@settings(max_examples=examples(100))
@given(
    st.sampled_from(sorted({**CHARACTERS, **ESCAPES, **LAYOUTS, **RECORDS})),
    st.integers(0, 10**6),
    st.binary(max_size=9),
)
def test_survives_damage_within_a_wrapping(name, place, junk):
    data = {**CHARACTERS, **ESCAPES, **LAYOUTS, **RECORDS}[name](DUMPS["debug1"])
    at = place % len(data)
    result = parse(data[:at] + junk + data[at + len(junk) :])
    assert result.dumps or result.errors
    result.to_dict(max_groups=3)
