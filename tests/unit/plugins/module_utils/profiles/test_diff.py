# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The difference of two profiles agrees with `go tool pprof -diff_base`."""

from __future__ import annotations

import gzip

import golang
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.diff import diff
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from pprofs import CPU, HEAP, profile


def opened(path):
    return read(gzip.decompress(path.read_bytes()), ProfileLimits())


def made(*parts, **fields):
    return read(profile(*parts, **fields), ProfileLimits())


PAIRS = [
    ("served cpu_later", "served cpu"),
    ("profiled cpu", "served cpu"),
    ("profiled heap", "served heap"),
    ("served allocs", "served heap"),
    ("profiled goroutine", "served goroutine"),
    ("profiled mutex", "profiled mutex"),
]


@pytest.mark.parametrize("normalize", [False, True], ids=["", "normalized"])
@pytest.mark.parametrize("pair", PAIRS, ids=" less ".join)
def test_agrees_with_go_tool_pprof(profiles, pair, normalize):
    now, before = (profiles[name] for name in pair)
    options = [f"-diff_base={before}", *(["-normalize"] if normalize else [])]
    found = diff(opened(now), opened(before), normalize)
    for top in found.tops:
        assert top.lines() == golang.top(now, top.kind.type, *options)


def test_tree_includes_values_of_base(profiles):
    """-base differs only in the total that percentages refer to."""
    now, before = profiles["served cpu_later"], profiles["served cpu"]
    top = diff(opened(now), opened(before)).tops[1]
    theirs = [line.split(None, 5) for line in golang.top(now, "cpu", f"-base={before}", "-unit=ns")[1:]]
    expected = {(name, int(flat.rstrip("ns")), int(cum.rstrip("ns"))) for flat, _p, _s, cum, _q, name in theirs}
    assert {(row.function, row.flat, row.cum) for row in top.rows} == expected


def test_scales_sample_by_sample():
    now = made(CPU, [((1, 1), ("a",)), ((1, 1), ("a",)), ((1, 1), ("b",))])
    found = diff(now, made(CPU, [((4, 4), ("a",))]), normalize=True)
    assert [(row.function, row.flat) for row in found.tops[1].rows] == [("a", -2), ("b", 1)]


def test_tree_has_both_profiles():
    found = diff(made(CPU, [((1, 10), ("a", "main"))]), made(CPU, [((2, 5), ("b", "main")), ((1, 1), ("a", "main"))]))
    tree = found.tree
    paths = {tuple(tree.names[call] for call in tree.path(node)): node for node in range(1, len(tree.function))}
    now, before = tree.own[1], tree.own[3]
    assert {path: (now[node], before[node]) for path, node in paths.items()} == {
        ("main",): (0, 0),
        ("main", "a"): (10, 1),
        ("main", "b"): (0, 5),
    }


def test_rejects_other_sample_types():
    with pytest.raises(ValueError, match="have different sample types: samples, cpu; before: alloc_objects"):
        diff(made(CPU), made(HEAP))
