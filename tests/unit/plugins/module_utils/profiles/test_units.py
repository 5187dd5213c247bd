# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values and percentages with the units of `go tool pprof`."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.units import percent_text, scale_for


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("nanoseconds", 999, "999ns"),
        ("nanoseconds", 1_500_000, "1.50ms"),
        ("nanoseconds", -7_200_000_000_000, "-2hrs"),
        ("bytes", 1536, "1.50kB"),
        ("bytes", 0, "0"),
        ("count", 12, "12"),
        ("requests", 12, "12requests"),
    ],
)
def test_formats_values_with_units(unit, value, shown):
    assert scale_for(unit, value).text(value) == shown


def test_formats_percentages_in_six_characters():
    assert [percent_text(value, 1000) for value in (0, 1, 123, 999.9, 2000)] == [
        "    0%", "  0.1%", "12.30%", "  100%", "200.00%",
    ]  # fmt: skip
    assert percent_text(1, 0) == "    0%"
