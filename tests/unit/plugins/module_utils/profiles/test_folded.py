# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folded stacks and the speedscope file hold the stacks of `go tool pprof`."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter

import golang
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.call_tree import CallTree
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.folded import folded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.frames import Frames
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.speedscope import speedscope
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.top import tops
from pprofs import HEAP, profile


def opened(path):
    return read(gzip.decompress(path.read_bytes()), ProfileLimits())


def made(*parts, **fields):
    return read(profile(*parts, **fields), ProfileLimits())


def traces(path, sample_type):
    """Return the stacks of `go tool pprof -traces`, outermost first, with their values."""
    found: Counter[tuple[str, ...]] = Counter()
    text = "\n".join(golang.pprof(path, "-traces", "-unit=nanoseconds", f"-sample_index={sample_type}"))
    for block in re.split(r"^-+\+-+\n", text, flags=re.MULTILINE)[1:]:
        # Labels come before the value, which is in the line of the innermost function.
        match = re.search(r"^ *(\d+)[a-z]*   (\S.*)$((?:\n {13}\S.*$)*)", block, re.MULTILINE)
        names = [match[2], *(line.strip() for line in match[3].splitlines() if line)]
        found[tuple(re.sub(r" \(inline\)$", "", name) for name in reversed(names))] += int(match[1])
    return {stack: value for stack, value in found.items() if value}


@pytest.mark.parametrize(
    ("name", "sample_type"),
    [
        ("profiled block", "delay"),
        ("profiled mutex", "contentions"),
        ("served cpu", "cpu"),
        ("served goroutine", "goroutine"),
    ],
)
def test_folded_and_speedscope_agree_with_go_tool_pprof(profiles, name, sample_type):
    found = opened(profiles[name])
    frames = Frames(found)
    tree, index = CallTree(found, frames), found.index_of(sample_type)
    expected = traces(profiles[name], sample_type)
    assert expected
    lines = [line.rpartition(" ") for line in folded(tree, index)[0].splitlines()]
    assert {tuple(stack.split(";")): int(value) for stack, _blank, value in lines} == expected
    document = speedscope(tree, found.sample_types, name, index)
    shown = document["profiles"][document["activeProfileIndex"]]
    names = [frame["name"] for frame in document["shared"]["frames"]]
    weights = {
        tuple(names[call] for call in stack): weight
        for stack, weight in zip(shown["samples"], shown["weights"], strict=True)
    }
    assert weights == expected
    assert shown["endValue"] == sum(expected.values())
    json.dumps(document)


def test_recursion_inlining_and_shared_names():
    stacks = [((0, 0, 2, 20), ("a", "b", "a", "b")), ((0, 0, 3, 30), (("x", "y"), "a")), ((0, 0, 0, 0), ("never",))]
    found = made(HEAP, stacks)
    assert [(row.function, row.flat, row.cum) for row in tops(found, Frames(found))[3].rows] == [
        ("x", 30, 30),
        ("a", 20, 50),
        ("b", 0, 20),
        ("y", 0, 30),
    ]
    tree = CallTree(found, Frames(found))
    assert folded(tree, 2) == ("b;a;b;a 2\na;y;x 3\n", 0)
    assert folded(tree, 2, most=5) == ("b;a;b;a 2\n", 1)
