# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sanitized text cannot act where it is displayed."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.sanitize import (
    clean,
    escaped,
    inline,
    path_text,
    printable,
    shortened,
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
        ("caf\u00e9\u3000\u200b\ue000", "caf\u00e9???"),
        ("\u061c\u200e\u2060\ufeff", "????"),
    ],
)
def test_replaces_control_and_invisible_characters(text, shown):
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(exclude_categories=[]), max_size=50), st.integers(2, 20))
def test_clean_returns_one_short_encodable_line(text, length):
    line = clean(text, length)
    assert len(line) <= length
    assert line.isprintable()
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


def test_counts_what_was_left_out_before():
    assert shortened("abcd", 4, 10) == "ab… (10 more characters) …cd"


def test_path_need_not_be_utf8():
    assert path_text("/var/云\udcff.txt") == "/var/云\ufffd.txt"


def test_inline_escapes_markup():
    assert inline("a|b `c` <d> [e]\n# f") == "a\\|b \\`c\\` \\<d\\> \\[e\\]?# f"


def test_shortened_keeps_the_end_of_an_error():
    error = "exec sql SELECT " + "x" * 600 + ": Error 1040: Too many connections"
    assert shortened(error).endswith("Too many connections")
