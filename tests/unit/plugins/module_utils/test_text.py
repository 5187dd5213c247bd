# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers, tables and sentences read well."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.text import (
    columns,
    counted,
    did_you_mean,
    duration,
    elided,
    size,
)
from hypothesis import given
from hypothesis import strategies as st


def test_elided_keeps_both_ends():
    error = "exec sql SELECT " + "x" * 600 + ": Error 1040: Too many connections"
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
