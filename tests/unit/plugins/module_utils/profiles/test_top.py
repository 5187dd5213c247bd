# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of functions agrees with `go tool pprof -top`, line by line."""

from __future__ import annotations

import gzip

import golang
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.frames import Frames
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.pprof_reader import read
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.top import top_wait, tops
from pprofs import profile

FROM_PROGRAM = ("cpu", "heap", "allocs", "goroutine", "threadcreate", "block", "mutex")
FROM_SERVICE = ("cpu", "heap", "allocs", "goroutine", "threadcreate")
ALL = [f"profiled {kind}" for kind in FROM_PROGRAM] + [f"served {kind}" for kind in FROM_SERVICE]


def opened(path):
    return read(gzip.decompress(path.read_bytes()), ProfileLimits())


def made(*parts, **fields):
    return read(profile(*parts, **fields), ProfileLimits())


@pytest.mark.parametrize("name", ALL)
def test_table_agrees_with_go_tool_pprof(profiles, name):
    found = opened(profiles[name])
    assert found.stacks
    for top in tops(found, Frames(found)):
        theirs = golang.top(profiles[name], top.kind.type)
        assert top.lines() == theirs
        assert len(theirs) > 1 or not top.total


@pytest.mark.parametrize("name", ALL)
def test_agrees_after_rewrite_by_go_tool_pprof(profiles, tmp_path, name):
    again = tmp_path / "again.pb.gz"
    golang.pprof(profiles[name], "-proto", f"-output={again}")
    mine, theirs = (tops(found, Frames(found)) for found in (opened(profiles[name]), opened(again)))
    assert [top.kind for top in mine] == [top.kind for top in theirs]
    assert [top.lines() for top in mine] == [top.lines() for top in theirs]


@pytest.mark.parametrize("name", ALL)
def test_default_sample_type_agrees_with_go_tool_pprof(profiles, name):
    found = opened(profiles[name])
    (line,) = (line for line in golang.pprof(profiles[name], "-top") if line.startswith("Type: "))
    assert line == f"Type: {found.sample_types[found.default].type}"
    assert found.index_of(found.sample_types[0].type) == 0
    with pytest.raises(ValueError, match="no sample type nonsense, only "):
        found.index_of("nonsense")


def test_finds_planted_functions(profiled, served):
    service = opened(served["cpu"])
    rows = {row.function: row for row in tops(service, Frames(service))[1].rows}
    hashing = rows["cloudpods.lab/services/pkg/troubles.hashBlocks"].cum
    assert hashing > 0.4 * sum(service.values[1])
    program = opened(profiled["cpu"])
    recursive = next(row for row in tops(program, Frames(program))[1].rows if row.function == "main.fall")
    assert 0 < recursive.cum <= sum(program.values[1])  # though it stands in most stacks many times


def test_finds_wait_below_functions_of_go():
    stacks = [
        ((1,), ("runtime.gopark", "time.Sleep", "main.tick", "runtime.goexit")),
        ((3,), ("runtime.gopark", ("sync.(*Mutex).Lock", "main.(*lock).take"), "main.serve", "runtime.goexit")),
        ((9,), ("runtime.gopark", "runtime.bgsweep")),
    ]
    found = made((("goroutine", "count"),), stacks)
    assert top_wait(found, Frames(found), 0) == ("main.(*lock).take", 3)
    assert top_wait(made(), Frames(made()), 0) == ("", 0)


def test_reads_labels_of_samples(profiled):
    found = made(stacks=[((1, 1), ("a",)), ((1, 1), ("a",))], labels={1: {"task": "3", "kind": "x\n"}})
    assert found.labels == {1: (("kind", "x\n"), ("task", "3"))}
    real = opened(profiled["cpu"])
    assert {("kind", "sync;cloud\n"), ("task", "task-1")} <= {
        pair for labels in real.labels.values() for pair in labels
    }
