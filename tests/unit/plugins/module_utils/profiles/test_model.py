# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles as data."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import Profile, ValueType

TYPES = [ValueType("samples", "count"), ValueType("cpu", "nanoseconds")]


def test_finds_sample_type_by_name():
    profile = Profile(TYPES, [], [], [], [], default=1)
    assert [profile.index_of(name) for name in ("samples", "cpu", "", None)] == [0, 1, 1, 1]
    with pytest.raises(ValueError, match="no sample type heap, only samples, cpu"):
        profile.index_of("heap")
