# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of flame graph pages."""

from __future__ import annotations

import json
from array import array
from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.call_tree import CallTree
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.flamegraph import (
    diff_flamegraph,
    flamegraph,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ValueType

CPU = [ValueType("cpu", "nanoseconds")]


def tree(*own: list[int], names: list[str] | None = None, cut: int = 0) -> CallTree:
    """Return main calling serve (node 2), read (3) and write (4), with these values per sample type."""
    made = CallTree.__new__(CallTree)
    made.names = names or ["main", "serve", "read", "write", "unused"]
    made.files = ["main.go", "", "", "", ""]
    made.function = array("l", [-1, 0, 1, 2, 3])
    made.parent = array("l", [-1, 0, 1, 1, 1])
    made.own = list(own)
    made.cut = cut
    return made


def data_of(page: str) -> Any:
    return json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])


def test_frames_are_in_depth_first_order_with_the_widest_child_first():
    data = data_of(flamegraph(tree([0, 1, 10, 20, 30]), CPU, "t", 0, ["note"], 100))
    (graph,) = data["trees"]
    assert [data["names"][name] for name in graph["name"]] == ["all", "main", "write", "read", "serve"]
    assert data["names"] == ["all", "main", "serve", "read", "write"]
    assert data["files"][1] == "main.go"
    assert graph["depth"] == [0, 1, 2, 2, 2]
    assert graph["value"] == [61, 61, 30, 20, 10]
    assert graph["own"] == [0, 1, 30, 20, 10]
    assert (data["notes"], graph["notes"], data["diff"]) == (["note"], [], False)


def test_small_frames_are_shown_as_one():
    (graph,) = data_of(flamegraph(tree([0, 1, 10, 20, 30]), CPU, "t", 0, [], 2))["trees"]
    assert graph["name"][-1] == -1
    assert graph["merged"] == [0, 0, 0, 2]
    assert graph["value"] == [61, 61, 30, 30]
    assert graph["notes"] == ["The 2 largest of 4 frames are shown, smaller ones are put together."]


def test_a_difference_is_as_wide_as_the_larger_value():
    before = [0, 0, 0, 50, 0]
    (graph,) = data_of(diff_flamegraph(tree([0, 1, 10, 20, 30], before), CPU, "t", 0, [], 100))["trees"]
    assert graph["width"] == [91, 91, 50, 30, 10]
    assert graph["delta"] == [11, 11, -30, 30, 10]
    assert graph["base"] == [50, 50, 50, 0, 0]


def test_names_cannot_end_the_script_element():
    hostile = tree([0, 1, 10, 20, 30], names=["</script><!--", "b", "c", "d", "e"], cut=2)
    page = flamegraph(hostile, CPU, "<b>", 0, [], 100)
    assert page.count("</script>") == 2
    assert "<!--" not in page
    data = data_of(page)
    assert (data["names"][1], data["title"]) == ("</script><!--", "<b>")
    assert data["notes"] == ["Of 2 stacks the innermost calls are left out."]
