# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree of calls with a limit on its size."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.call_tree import CallTree
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.frames import Frames
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from pprofs import profile


def made(*parts, **fields):
    return read(profile(*parts, **fields), ProfileLimits())


def test_tree_above_the_limit_keeps_the_sums():
    found = made(stacks=[((1, 10), tuple(f"f{call}" for call in range(number, 100))) for number in range(50)])
    whole, cut = CallTree(found, Frames(found)), CallTree(found, Frames(found), most=20)
    assert (whole.cut, cut.cut) == (0, 50)
    assert len(cut.function) == 21
    assert sum(cut.own[1]) == sum(whole.own[1]) == 500
