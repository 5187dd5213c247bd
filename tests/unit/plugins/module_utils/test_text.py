# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sanitized text cannot act where it is displayed; numbers read well."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.text import (
    clean,
    columns,
    counted,
    did_you_mean,
    duration,
    elided,
    escaped,
    inline,
    path_text,
    printable,
    shortened,
    size,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("region is slow: 云", "region is slow: 云"),
        ("a\x00\x1b]0;title\x07\r\n", "a??]0;title???"),
        ("\x9b2J", "?2J"),
        ("one\u2028two\u2029", "one?two?"),
        # Written from right to left, it would read differently.
        ("user\u202e\u2066nimda", "user??nimda"),
        ("half a character \udc80", "half a character ?"),
        ("caf\u00e9\u3000\u200b\ue000", "caf\u00e9\u3000?\ue000"),
        ("\u061c\u200e\u2060\ufeff", "????"),
    ],
)
def test_replaces_control_and_invisible_characters(text, shown):
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(exclude_categories=[]), max_size=50), st.integers(2, 20))
def test_clean_returns_one_short_encodable_line(text, length):
    line = clean(text, length)
    assert len(line) <= length
    assert len(line.splitlines()) <= 1
    line.encode()


def test_clean_marks_a_cut():
    assert clean("abcdef", 5) == "abcd…"
    assert clean("abcde", 5) == "abcde"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("main.(*T).f", "main.(*T).f"),
        ("a\x1b[31m\nb", "a\\x1b[31m\\nb"),
        ("a\u202eb\u2028", "a\\u202eb\\u2028"),
        ("µ·", "µ·"),
    ],
)
def test_escapes_keep_names_distinct(text, shown):
    assert escaped(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\n\tb  c", "a b c"),
        ("a\x1b[31m\0", "a?[31m?"),
        ("x" * 500, "x" * 500),
        ("x" * 501, "x" * 250 + "… (1 more characters) …" + "x" * 250),
        ("\n" * (13 << 20), f"… ({(13 << 20) - 500} more characters) …"),
    ],
)
def test_shortens_what_a_peer_wrote(text, shown):
    assert shortened(text) == shown


def test_keeps_the_end_where_errors_say_why():
    error = "exec sql SELECT " + "x" * 600 + ": Error 1040: Too many connections"
    assert shortened(error).endswith("Too many connections")
    assert elided(error, 80).endswith("Too many connections")
    assert elided(error, 80).startswith("exec sql SELECT")


@given(st.text(alphabet="abc", max_size=40), st.integers(1, 30))
def test_elides_the_middle_alone(text, length):
    shown = elided(text, length)
    assert len(shown) == min(len(text), length)
    head, mark, tail = (shown, "", "") if shown == text else shown.partition("…")
    assert text.startswith(head)
    assert text.endswith(tail)
    assert mark or shown == text


def test_counts_what_was_left_out_before():
    assert shortened("abcd", 4, 10) == "ab… (10 more characters) …cd"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (4096, "4 KiB"),
        (64 << 20, "64 MiB"),
        (3 << 29, "1.5 GiB"),
        (1 << 52, "4096 TiB"),
    ],
)
def test_size_has_a_fitting_unit(count, shown):
    assert size(count) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 dumps"), (1, "1 dump"), (2, "2 dumps")])
def test_counts_in_the_plural(count, shown):
    assert counted(count, "dump") == shown


def test_path_need_not_be_utf8():
    assert path_text("/var/云\udcff.txt") == "/var/云\ufffd.txt"


def test_inline_escapes_markup():
    assert inline("a|b `c` <d> [e]\n# f") == "a\\|b \\`c\\` \\<d\\> \\[e\\]?# f"


def test_columns_fit_their_widest_cell():
    assert columns([("a", "b"), ("long", "c")]) == ["a     b", "long  c"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0004, "0 ms"),
        (0.85, "850 ms"),
        (1.234, "1.2 s"),
        (9.99, "10 s"),
        (390.6, "6.5 min"),
        (59.7, "60 s"),
        (60.001, "60 s"),
        (119, "119 s"),
        (120, "2 min"),
        (150, "2.5 min"),
        (720, "12 min"),
        (7200, "2 h"),
        (341_460, "95 h"),
        (12 * 86_400, "12 d"),
        (-60, "-60 s"),
    ],
)
def test_duration_has_one_fitting_unit(seconds, shown):
    assert duration(seconds) == shown


@given(st.floats(min_value=0.01, max_value=1e7))
def test_duration_is_off_by_less_than_a_tenth(seconds):
    number, unit = duration(seconds).split()
    factor = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}[unit]
    assert float(number) * factor == pytest.approx(seconds, rel=0.1)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("regoin", "; did you mean region?"),
        ("REGION", "; did you mean region?"),
        ("host-d", "; did you mean host-deployer?"),
        ("xyzzy", "."),
        ("", "."),
    ],
)
def test_suggests_similar_names(name, shown):
    assert did_you_mean(name, ["region", "keystone", "host-deployer"]) == shown
