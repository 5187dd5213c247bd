# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages: units, optional parts, and long texts."""

from __future__ import annotations

import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rule_messages import (
    FORMS,
    MessageError,
    display,
    format_quantity,
    parse_message,
    shorten,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("source", "values", "text"),
    [
        ("took {value:milliseconds}", {"value": 60000.4}, "took 60 s"),
        ("for {value:seconds}", {"value": 341460}, "for 95 h"),
        ("in {value:days}", {"value": 6.2}, "in 6 d"),
        ("in {value:days}", {"value": 0.5}, "in 12 h"),
        ("{value:bytes}", {"value": 800_000_000}, "763 MiB"),
        ("{value:bytes}", {"value": 2_000_000_000}, "1.86 GiB"),
        ("{value:bytes}", {"value": 17}, "17 bytes"),
        ("{value:bytes}", {"value": -2048}, "-2 KiB"),
        ("{value:percent}", {"value": 0.375}, "37.5 %"),
        ("{value}", {"value": 6e4}, "60000"),
        ("{value:seconds}", {"value": "soon"}, "soon"),
        ("{value:seconds}", {"value": float("nan")}, "unknown"),
        ("It ended[[ ({last})]], {n} times", {"last": "", "n": 2}, "It ended, 2 times"),
        ("It ended[[ ({last})]], {n} times", {"last": "Error", "n": 2}, "It ended (Error), 2 times"),
        ("[[{a} of {b}]] x", {"a": 1, "b": None}, "x"),
        ("{a}", {"a": None}, "unknown"),
        ("{a}  {b}", {"a": "x ", "b": " y"}, "x y"),
        ("{{}}", {}, "{}"),
    ],
)
def test_fills_messages(source, values, text):
    assert parse_message(source).fill(values) == text


@pytest.mark.parametrize("source", ["{", "{value:hours}", "{value!r}", "{}", "a [[b]]"])
def test_refuses_malformed_messages(source):
    with pytest.raises(MessageError):
        parse_message(source)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (341460, "seconds", "95 h"),
        (60000.4, "ms", "60 s"),
        (0.8, "ratio", "0.8"),
        (536870912, "bytes", "512 MiB"),
        (12, "tasks", "12 tasks"),
        (None, "tasks", "unknown"),
    ],
)
def test_formats_quantities_with_the_unit_of_the_threshold(value, unit, text):
    assert format_quantity(value, unit) == text


def test_shortening_keeps_the_end_of_an_error():
    line = "INSERT INTO `x` VALUES (" + "1, " * 300 + "): Error 1040: Too many connections"
    assert shorten(line).startswith("INSERT INTO `x`")
    assert shorten(line).endswith("Error 1040: Too many connections")


@given(st.text(max_size=1000), st.integers(20, 400))
def test_shortened_text_is_within_the_limit(text, longest):
    short = shorten(text, longest)
    assert len(short) <= longest
    if len(text) <= longest:
        assert len(short) == len(text)


@given(st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_never_writes_powers_of_ten(number):
    for text in (display(number), *(form(number) for form in FORMS.values())):
        assert not re.search(r"\de[+-]?\d", text), text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (True, "yes"),
        (640, "640"),
        (2.0, "2"),
        (9.7199999, "9.72"),
        (6e4, "60000"),
        (1e20, "100000000000000000000"),
        ([1, 2, 3, 4, 5, 6, 7], "1, 2, 3, 4, 5, and 2 more"),
        ("a\x1b[31mb\n", "a?[31mb?"),
        ("x" * 500 + "Error 1040", "x" * 239 + " … " + "x" * 148 + "Error 1040"),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_formats_values_for_display(value, text):
    assert display(value) == text
