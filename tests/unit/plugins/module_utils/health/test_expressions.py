# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions: functions, fields of the items, and errors."""

from __future__ import annotations

import statistics

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.expressions import (
    EvaluationError,
    ExpressionError,
    compile_expression,
)
from hypothesis import given
from hypothesis import strategies as st


def value_of(source, document, **thresholds):
    """Return field v of the only item of the expression."""
    (item,) = compile_expression(f"{{v: {source}}}").bind(thresholds).items(document)
    return item["v"]


@pytest.mark.parametrize(
    ("source", "document", "value"),
    [
        ("ratio(a, b)", {"a": 3, "b": 4}, 0.75),
        ("ratio(a, b)", {"a": 3, "b": 0}, None),
        ("ratio(a, b)", {"a": 3}, None),
        ("ratio(a, b)", {"a": True, "b": 2}, None),
        ("difference(a, b)", {"a": 3, "b": 4}, -1),
        ("difference(a, b)", {"a": "3", "b": 4}, None),
        ("threshold('t')", {}, 7),
        ("[?x > threshold('t')].x", [{"x": 7}, {"x": 8}], [8]),
        ("group(@, &k)", [{"k": 2}, {"k": 1}, {"k": 2, "n": 1}, {}], [
            {"key": 1, "items": [{"k": 1}]},
            {"key": 2, "items": [{"k": 2}, {"k": 2, "n": 1}]},
        ]),
        ("group(a, &k)", {}, None),
        ("beside_others(@, &n)", [{"n": 1}, {"n": 9}, {"n": 3}], [
            {"n": 1, "others": 6.0},
            {"n": 3, "others": 5.0},
            {"n": 9, "others": 2.0},
        ]),
        ("beside_others(@, &n)", [{"n": 1}], []),
        ("beside_others(@, &n)", [{"n": 1}, {"n": None}, {"n": "x"}], []),
        ("beside_others(a, &n)", {}, None),
    ],
)  # fmt: skip
def test_functions_return_expected_values(source, document, value):
    assert value_of(source, document, t=7) == value


@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=30))
def test_beside_others_adds_the_median_of_the_others(numbers):
    found = value_of("beside_others(@, &n)", [{"n": number} for number in numbers])
    assert len(found) == len(numbers)
    for entry in found:
        rest = list(numbers)
        rest.remove(entry["n"])
        assert entry["others"] == statistics.median(rest)


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("a[?b > `1`].{x: c, y: d}", {"x", "y"}),
        ("a.{x: c}", {"x"}),
        ("a[].{x: c} | [?x]", {"x"}),
        ("a[].{x: c} | [0]", {"x"}),
        ("reverse(sort_by(a[].{x: c}, &x))[:5]", {"x"}),
        ("beside_others(a[].{x: c}, &x)[?others > `1`]", {"x", "others"}),
        ("[a.{x: c}, b.{y: c}]", {"x", "y"}),
        ("[{a: b}][?a].{x: a}", {"x"}),
    ],
)
def test_determines_the_fields_of_items_at_load_time(source, fields):
    assert compile_expression(source).fields == fields


@pytest.mark.parametrize("source", ["a", "a[]", "length(a)", "group(a, &b)", "[a.{x: c}, b]", "a[].[b, c]", "`1`"])
def test_refuses_expressions_without_known_fields(source):
    with pytest.raises(ExpressionError, match="it has to end in named fields"):
        compile_expression(source)


@pytest.mark.parametrize(
    ("source", "document"),
    [
        ("sort_by(a, &b)[].{v: b}", {"a": [{"b": 1}, {"b": "x"}]}),
        ("{v: sum(a)}", {"a": ["x"]}),
        ("{v: max_by(a, &b)}", {"a": None}),
        ("[?a > b].{v: a}", [{"a": 1, "b": "x"}]),
        ("beside_others(@[].{v: v}, &v)", [{"v": 10**400}, {"v": 10**400}]),
    ],
)
def test_raises_one_kind_of_error_on_evaluation(source, document):
    bound = compile_expression(source).bind({})
    with pytest.raises(EvaluationError):
        bound.items(document)


def test_refuses_fields_of_a_list_itself():
    with pytest.raises(ExpressionError, match="asks the list itself for fields"):
        compile_expression("[a].{v: b}")


def test_null_gives_no_items_and_an_object_gives_one():
    bound = compile_expression("a.{v: b}").bind({})
    assert bound.items({}) == []
    assert bound.items({"a": {"b": 1}}) == [{"v": 1}]
