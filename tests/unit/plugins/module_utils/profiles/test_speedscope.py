# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The speedscope document of a small profile."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.call_tree import CallTree
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.frames import Frames
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.speedscope import speedscope
from pprofs import profile


def test_leaves_out_values_that_are_not_positive():
    stacks = [((2, 20), ("a", "main")), ((-1, -10), ("b", "main")), ((0, 0), ("c", "main"))]
    found = read(profile(stacks=stacks), ProfileLimits())
    document = speedscope(CallTree(found, Frames(found)), found.sample_types, "x", 1)
    names = [frame["name"] for frame in document["shared"]["frames"]]
    assert document["activeProfileIndex"] == 1
    for each, weight in zip(document["profiles"], (2, 20), strict=True):
        assert [[names[call] for call in stack] for stack in each["samples"]] == [["main", "a"]]
        assert (each["weights"], each["endValue"]) == ([weight], weight)
    assert [each["unit"] for each in document["profiles"]] == ["none", "nanoseconds"]
