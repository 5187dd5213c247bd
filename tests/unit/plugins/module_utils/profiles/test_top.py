# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of functions is that of `go tool pprof -top`, line by line; files for other tools hold the same."""

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
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.top import tops, waiting_in
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.units import percent_text, scale_for
from pprofs import HEAP, make, profile

FROM_PROGRAM = ("cpu", "heap", "allocs", "goroutine", "threadcreate", "block", "mutex")
FROM_SERVICE = ("cpu", "heap", "allocs", "goroutine", "threadcreate")
ALL = [f"profiled {kind}" for kind in FROM_PROGRAM] + [f"served {kind}" for kind in FROM_SERVICE]


def opened(path):
    return read(gzip.decompress(path.read_bytes()), ProfileLimits())


def made(*parts, **fields):
    return read(profile(*parts, **fields), ProfileLimits())


@pytest.mark.parametrize("name", ALL)
def test_the_table_is_that_of_go_tool_pprof(profiles, name):
    found = opened(profiles[name])
    assert found.stacks
    for top in tops(found, Frames(found)):
        theirs = golang.top(profiles[name], top.kind.type)
        assert top.lines() == theirs
        assert len(theirs) > 1 or not top.total


@pytest.mark.parametrize("name", ALL)
def test_what_go_tool_pprof_reads_and_writes_again_is_the_same(profiles, tmp_path, name):
    again = tmp_path / "again.pb.gz"
    golang.pprof(profiles[name], "-proto", f"-output={again}")
    mine, theirs = (tops(found, Frames(found)) for found in (opened(profiles[name]), opened(again)))
    assert [top.kind for top in mine] == [top.kind for top in theirs]
    assert [top.lines() for top in mine] == [top.lines() for top in theirs]


@pytest.mark.parametrize("name", ALL)
def test_the_sample_type_shown_first_is_the_one_that_go_tool_pprof_shows(profiles, name):
    found = opened(profiles[name])
    (line,) = (line for line in golang.pprof(profiles[name], "-top") if line.startswith("Type: "))
    assert line == f"Type: {found.sample_types[found.default].type}"
    assert found.index_of(found.sample_types[0].type) == 0
    with pytest.raises(ValueError, match="no sample type nonsense, only "):
        found.index_of("nonsense")


def test_the_planted_functions_are_what_is_found(profiled, served):
    service = opened(served["cpu"])
    rows = {row.function: row for row in tops(service, Frames(service))[1].rows}
    hashing = rows["cloudpods.lab/services/pkg/troubles.hashBlocks"].cum
    assert hashing > 0.4 * sum(service.values[1])
    program = opened(profiled["cpu"])
    recursive = next(row for row in tops(program, Frames(program))[1].rows if row.function == "main.fall")
    assert 0 < recursive.cum <= sum(program.values[1])  # though it stands in most stacks many times


def test_what_waits_is_found_behind_the_functions_of_go():
    stacks = [
        ((1,), ("runtime.gopark", "time.Sleep", "main.tick", "runtime.goexit")),
        ((3,), ("runtime.gopark", ("sync.(*Mutex).Lock", "main.(*lock).take"), "main.serve", "runtime.goexit")),
        ((9,), ("runtime.gopark", "runtime.bgsweep")),
    ]
    found = made((("goroutine", "count"),), stacks)
    assert waiting_in(found, Frames(found), 0) == ("main.(*lock).take", 3)
    assert waiting_in(made(), Frames(made()), 0) == ("", 0)


def traces(path, sample_type):
    """The stacks of `go tool pprof -traces`, outermost first, with their values."""
    found: Counter[tuple[str, ...]] = Counter()
    text = "\n".join(golang.pprof(path, "-traces", "-unit=nanoseconds", f"-sample_index={sample_type}"))
    for block in re.split(r"^-+\+-+\n", text, flags=re.MULTILINE)[1:]:
        # Labels stand before the value, which stands in the line of the innermost function.
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
def test_folded_stacks_and_speedscope_hold_the_stacks_of_go_tool_pprof(profiles, name, sample_type):
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


def test_recursion_inlining_and_names_in_common():
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


def test_labels_are_read_with_their_samples(profiled):
    found = made(stacks=[((1, 1), ("a",)), ((1, 1), ("a",))], labels={1: {"task": "3", "kind": "x\n"}})
    assert found.labels == {1: (("kind", "x\n"), ("task", "3"))}
    real = opened(profiled["cpu"])
    assert {("kind", "sync;cloud\n"), ("task", "task-1")} <= {
        pair for labels in real.labels.values() for pair in labels
    }


def test_a_tree_that_grows_too_large_keeps_the_sums():
    found = made(stacks=[((1, 10), tuple(f"f{call}" for call in range(number, 100))) for number in range(50)])
    whole, cut = CallTree(found, Frames(found)), CallTree(found, Frames(found), most=20)
    assert (whole.cut, cut.cut) == (0, 50)
    assert len(cut.function) == 21
    assert sum(cut.own[1]) == sum(whole.own[1]) == 500


def test_what_has_no_name_goes_by_its_binary():
    location = [make("Location", id=1, address=4096, mapping_id=1), make("Location", id=2, address=8192)]
    table = [b"", b"samples", b"count", b"cpu", b"nanoseconds", b"/opt/yunion/bin/region"]
    sample = [make("Sample", location_id=[1, 2], value=[1, 5])]
    mapping = [make("Mapping", id=1, filename=5)]
    found = made(location=location, string_table=table, sample=sample, mapping=mapping)
    assert [row.function for row in tops(found, Frames(found))[1].rows] == ["[region]", "<unknown>"]


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
def test_values_have_units(unit, value, shown):
    assert scale_for(unit, value).text(value) == shown


def test_percentages_have_six_characters():
    assert [percent_text(value, 1000) for value in (0, 1, 123, 999.9, 2000)] == [
        "    0%", "  0.1%", "12.30%", "  100%", "200.00%",
    ]  # fmt: skip
    assert percent_text(1, 0) == "    0%"
