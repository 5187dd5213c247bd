# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checked access to values in untrusted JSON."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.json_values import (
    MAX_DIGITS,
    MAX_INTEGER,
    BadValue,
    Fields,
    json_object,
    text_of,
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"\xff", "not UTF-8 at byte 0"),
        (b"{", "not JSON"),
        (b"[1]", "JSON, but a list instead of an object"),
        (b"null", "JSON, but null instead of an object"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": ' + b"7" * (MAX_DIGITS + 1) + b"}", f"more than {MAX_DIGITS} digits"),
        (b"[" * 200_000, "not JSON"),
    ],
    ids=["bytes", "cut", "list", "null", "NaN", "digits", "nesting"],
)
def test_refuses_what_is_not_an_object(body, said):
    with pytest.raises(BadValue, match=said):
        json_object(body)


def test_returns_the_object():
    assert json_object('{"a": "\u00e9"}'.encode()) == {"a": "\u00e9"}
    assert text_of("\u00e9".encode()) == "\u00e9"


@pytest.mark.parametrize(
    ("method", "value", "said"),
    [
        ("number", True, "a is true or false instead of a number"),
        ("number", -1, "a is out of range"),
        ("number", MAX_INTEGER + 1, "a is out of range"),
        ("count", 1.5, "a is not a whole number"),
        ("text", 1, "a is a number instead of text"),
        ("flag", 0, "a is a number instead of true or false"),
        ("items", {}, "a is an object instead of a list"),
        ("inner", [], r"top\.a is a list instead of an object"),
    ],
)
def test_names_the_field_and_what_it_is(method, value, said):
    with pytest.raises(BadValue, match=said):
        getattr(Fields({"a": value}, "top"), method)("a")


def test_names_a_missing_field():
    with pytest.raises(BadValue, match="top: a is missing instead of a list"):
        Fields({}, "top").items("a")


def test_returns_checked_values():
    fields = Fields({"n": 1.5, "c": 3.0, "t": "a\nb", "f": False, "none": None, "o": {"x": 1}}, "top")
    assert fields.number("n") == 1.5
    assert fields.count("c") == 3
    assert fields.text("t").isprintable()
    assert fields.flag("f") is False
    assert fields.items("none") == []
    assert fields.inner("o").count("x") == 1
    assert "n" in fields
    assert "x" not in fields
