# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of functions and of locations without a name."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.frames import Frames
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.top import tops
from pprofs import make, profile


def made(*parts, **fields):
    return read(profile(*parts, **fields), ProfileLimits())


def test_names_nameless_location_after_its_binary():
    location = [make("Location", id=1, address=4096, mapping_id=1), make("Location", id=2, address=8192)]
    table = [b"", b"samples", b"count", b"cpu", b"nanoseconds", b"/opt/yunion/bin/region"]
    sample = [make("Sample", location_id=[1, 2], value=[1, 5])]
    mapping = [make("Mapping", id=1, filename=5)]
    found = made(location=location, string_table=table, sample=sample, mapping=mapping)
    assert [row.function for row in tops(found, Frames(found))[1].rows] == ["[region]", "<unknown>"]
