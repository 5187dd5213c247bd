# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time between two timestamps of a document."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.elapsed import (
    is_utc_timestamp,
    seconds_between,
)


@pytest.mark.parametrize("moment", ["", "yesterday", "2026-13-01T00:00:00Z", "9" * 400])
def test_has_no_seconds_since_what_is_not_a_timestamp(moment):
    assert seconds_between(moment, "2026-01-02T03:00:00Z") is None


def test_a_timestamp_without_a_zone_is_utc():
    assert seconds_between("2026-01-02T03:00:00.5", "2026-01-02T03:00:01Z") == 0.5
    assert is_utc_timestamp("2026-01-02T03:00:01.25Z")
    assert not is_utc_timestamp("2026-01-02T03:00:01")
    assert not is_utc_timestamp(7)
