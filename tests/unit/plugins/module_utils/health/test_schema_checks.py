# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of untrusted JSON against a schema."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.schema_checks import (
    LARGEST_NUMBER,
    LONGEST_LIST,
    LONGEST_TEXT,
    SchemaError,
    choice,
    each,
    flag,
    loads,
    name,
    number,
    record,
    text,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"NaN", b"[" * 100_000, b'{"a": Infinity}', b"9" * 5000])
def test_refuses_what_is_not_strict_json(data):
    with pytest.raises(SchemaError, match="not JSON"):
        loads(data)


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        (number, True, "x is not a number"),
        (number, "1", "x is not a number"),
        (number, 2 * LARGEST_NUMBER, "x is out of range"),
        (number, float("inf"), "x is out of range"),
        (text, 1, "x is not text"),
        (name, "", "x is empty"),
        (flag, 1, "x is neither true nor false"),
        (choice("a", "b"), "c", "x is not one of a, b"),
        (choice("a", "b"), ["a"], "x is not one of a, b"),
        (each(number), {}, "x is not a list"),
        (each(number), [1, None], "x[] is not a number"),
        (each(number), [1] * (LONGEST_LIST + 1), "x has more than 20000 elements"),
        (record({"a": number}), [], "x is not an object"),
        (record({"a": number}), {"b": 1}, "x lacks a"),
        (record({"a": each(record({"b": text}))}), {"a": [{"b": 1}]}, "x.a[].b is not text"),
        (record({}, {"a": number}), {"a": "1"}, "x.a is not a number"),
    ],
)
def test_names_the_place_of_a_wrong_value(schema, value, message):
    with pytest.raises(SchemaError) as caught:
        schema(value, "x")
    assert str(caught.value) == message


def test_record_keeps_known_keys_and_fills_in_defaults():
    schema = record({"a": number}, {"b": text, "c": each(text), "d": flag}, b="none", c=[])
    assert schema({"a": 1, "c": None, "e": 5}, "x") == {"a": 1, "b": "none", "c": [], "d": None}


def test_defaults_are_not_shared():
    schema = record({}, {"a": each(text)}, a=[])
    schema({}, "x")["a"].append("b")
    assert schema({}, "x") == {"a": []}


@given(st.text())
def test_text_is_bounded_and_can_be_written_to_a_file(value):
    found = text(value * 300, "x")
    assert len(found) <= LONGEST_TEXT
    found.encode()
