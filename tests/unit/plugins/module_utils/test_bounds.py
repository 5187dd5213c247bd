# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds of numbers, and the error message for values out of bounds."""

from __future__ import annotations

import dataclasses
import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bounds import (
    BOUNDS,
    Bounds,
    check_bounds,
    wrong_number,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import (
    EventStreamOptions,
    LogWatchOptions,
    ProfileOptions,
    StackOptions,
    StatusOptions,
    TriggerOptions,
)
from ansible_collections.cloudpods.diagnostics.plugins.modules import (
    log_watch,
    profile_dump,
    service_info,
    stack_dump,
    status_info,
)


@pytest.mark.parametrize("name", BOUNDS)
def test_refuses_value_out_of_bounds(name):
    bounds = BOUNDS[name]
    for value in (bounds.least, bounds.greatest):
        check_bounds({name: value})
    for value in (bounds.least - 1, bounds.greatest + 1, float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ValueError, match=f"{name} is {value}. It has to be {bounds.allowed}."):
            check_bounds({name: value})


@pytest.mark.parametrize(
    ("value", "bounds", "number"),
    [
        (" 30 ", Bounds(0, 60, "number"), 30),
        ("2.5", Bounds(0, 60, "number", whole=False), 2.5),
        (10.0, Bounds(0, 60, "number"), 10),
        ("2.5", Bounds(0, 60, "number"), None),
        ("abc", Bounds(0, 60, "number"), None),
        ("30s", Bounds(0, 60, "number"), None),
        (True, Bounds(0, 60, "number"), None),
        ([30], Bounds(0, 60, "number"), None),
        (None, Bounds(0, 60, "number"), None),
    ],
)
def test_reads_numbers_as_ansible_does(value, bounds, number):
    assert (wrong_number("x", value, bounds) is None) == (number is not None)
    if number is not None:
        assert bounds.number(value) == number


def test_names_every_option_that_is_out_of_bounds():
    sentences = (
        "timeout is -1.0. It has to be a number of seconds from 0.1 to 86400. "
        "count is 0. It has to be a whole number from 1 to 1000."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentences)}$"):
        check_bounds({"timeout": -1.0, "count": 0, "samples": 2})


@pytest.mark.parametrize("module", [log_watch, profile_dump, service_info, stack_dump, status_info])
def test_every_number_has_bounds_and_a_default_within(module):
    spec = {
        name: option for group in vars(module).values() if isinstance(group, dict) for name, option in group.items()
    }
    numbers = {
        name: option["default"] for name, option in spec.items()
        if isinstance(option, dict) and option.get("type") in ("int", "float")
    }  # fmt: skip
    assert set(numbers) <= set(BOUNDS)
    check_bounds(numbers)


@pytest.mark.parametrize(
    "options",
    [EventStreamOptions, LogWatchOptions, ProfileOptions, StackOptions, StatusOptions, TriggerOptions],
)
def test_captures_check_the_same_bounds(options):
    required = {"kinds": ()} if options is ProfileOptions else {}
    fields = {field.name for field in dataclasses.fields(options)} & set(BOUNDS)
    checked = 0
    for name in sorted(fields - {"timeout", "concurrency", "node_concurrency", "interval"}):
        with pytest.raises(ValueError, match=f"{name} is .*It has to be"):
            options(**required, **{name: BOUNDS[name].greatest + 1})
        checked += 1
    assert checked
