# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranking of stack groups, and folding of frames."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.issue_report import issue_text
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.stack_groups import (
    INNERMOST,
    MOST_SHOWN,
    OUTERMOST,
    StackGroup,
    is_own,
    merge_groups,
    package_of,
    rank_groups,
    shown_frames,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parents[4] / "unit" / "fixtures"
LOCKED, EXHAUSTED = (FIXTURES / "region-table-locked" / f"stuck{number}.dump.log" for number in (1, 3))
HEALTHY = FIXTURES / "region-healthy" / "dump.log"
HEALTHY_STATES = FIXTURES / "region-healthy" / "pprof_goroutine2"
SRC = "/root/go/src/yunion.io/x/onecloud"


def document(path):
    (dump,) = parse(path.read_bytes()).dumps
    return dump.to_dict()


def issue_of(path):
    """Return the issue of a run with this dump."""
    found = document(path)
    goroutines = sum(group["count"] for group in found["groups"])
    details = {"total": goroutines, "goroutines": goroutines, "parsed": "x.json"}
    entry = row(Instance("c", "region", "region-1"), "stack", verdict(Reason.PROVEN), details=details)
    return issue_text({}, [entry], lambda _path: found)


def blocks(text):
    """Return (line before the block, block) for each stack in an issue."""
    parts = text.split("```text\n")[2:]
    heads = [part.rstrip("\n").rpartition("\n")[2] for part in text.split("```text\n")[1:]]
    return list(zip(heads, (part.partition("\n```")[0] for part in parts), strict=False))


def test_blocked_pool_workers_come_first():
    head, stack = blocks(issue_of(LOCKED))[0]
    assert head == "8 goroutines in 1 dump, in pool workers"
    lines = [line.split("  ")[0] for line in stack.splitlines()]
    # What it waits in, the query, who asks for it, and that it is in a worker.
    assert lines[0] == "internal/poll.runtime_pollWait"
    for function in (
        "github.com/go-sql-driver/mysql.(*mysqlConn).QueryContext",
        "database/sql.(*DB).QueryRow",
        "yunion.io/x/sqlchemy.(*SQuery).CountWithError",
        "yunion.io/x/onecloud/pkg/cloudcommon/db.ListItems",
        "yunion.io/x/onecloud/pkg/appsrv/dispatcher.handleList",
        "yunion.io/x/onecloud/pkg/appsrv.(*SWorker).run",
    ):
        assert function in lines
    assert "... 9 more frames ..." in lines
    assert "database/sql.(*DB).retry" not in lines


def test_counts_goroutines_that_wait_for_a_worker():
    text = issue_of(LOCKED)
    assert "- 648: requests that wait for a worker or for its answer" in text
    assert "- 648: background reads of requests in progress" in text
    assert "responseWriterChannel" not in text
    assert "backgroundRead" not in text


def test_waits_for_a_connection_come_after_its_holders():
    found = rank_groups(merge_groups([document(EXHAUSTED)]))
    innermost = [group.functions[0] for group in found if group.in_worker]
    waits = [function == "database/sql.(*DB).conn" for function in innermost]
    assert waits == sorted(waits)
    assert (found[0].count, sum(waits) > 0) == (54, True)
    # Also where nobody is seen to have one, they are shown.
    assert rank_groups([group for group in found if group.functions[0] == "database/sql.(*DB).conn"])[0].count == 594


@pytest.mark.parametrize("path", [HEALTHY, HEALTHY_STATES], ids=["debug=1", "debug=2"])
def test_idle_service_has_no_groups(path):
    found = rank_groups(merge_groups([document(path)]))
    assert [group.functions for group in found if any("onecloud" in function for function in group.functions)] == []
    assert sum(group.count for group in found) <= 2
    assert "as in an idle service" in issue_of(path)


def group(*functions, count=1, state=""):
    return StackGroup(count, 1, state, functions, tuple(f"/src/{n}.go:1" for n in range(len(functions))))


def test_shows_busy_stacks_that_resemble_idle_ones():
    lock = "sync.runtime_SemacquireMutex"
    cron = "yunion.io/x/onecloud/pkg/cloudcommon/cronman.(*SCronJobManager).run"
    assert rank_groups([group(cron)]) == []
    assert rank_groups([group(lock, cron)])
    serializer = "google.golang.org/grpc/internal/grpcsync.(*CallbackSerializer).run"
    assert rank_groups([group(serializer)]) == []
    assert rank_groups([group(lock, "main.callback", serializer)])
    # A worker between two tasks holds nothing.
    assert not group("yunion.io/x/onecloud/pkg/appsrv.(*SWorker).run").in_worker


def test_own_code_comes_before_libraries():
    own, library = group("chan.x", "yunion.io/x/onecloud/pkg/compute.Sync"), group("net.x", "syscall.y", count=9)
    worker = group("net.x", "lab.example/pkg/appsrv.(*SWorker).run")
    assert rank_groups([library, own, worker]) == [worker, own, library]


@pytest.mark.parametrize(
    ("function", "location", "own"),
    [
        ("yunion.io/x/onecloud/pkg/appsrv.(*SWorker).run", f"{SRC}/pkg/appsrv/workers.go:110", True),
        ("yunion.io/x/sqlchemy.(*SQuery).Row", f"{SRC}/vendor/yunion.io/x/sqlchemy/query.go:370", True),
        ("main.main", f"{SRC}/cmd/region/main.go:28", True),
        ("example.org/fork/pkg/x.F", "/src/example.org/fork/pkg/x/x.go:1", True),
        ("database/sql.(*DB).conn", "/usr/local/go/src/database/sql/sql.go:1369", False),
        ("net.(*conn).Read", "/usr/local/go/src/net/net.go:196", False),
        ("sync.(*Pool[yunion.io/x/onecloud/pkg/y.T]).Get", "/usr/local/go/src/sync/pool.go:1", False),
        ("github.com/go-sql-driver/mysql.(*buffer).fill", f"{SRC}/vendor/github.com/go-sql-driver/x.go:90", False),
        ("github.com/x/y.F", "/root/go/pkg/mod/github.com/x/y@v1.2.3/f.go:1", False),
        ("github.com/x/y.F", "github.com/x/y@v1.2.3/f.go:1", False),
        ("yunion.io/x/onecloud/vendor/github.com/x/y.F", f"{SRC}/vendor/github.com/x/y/f.go:1", False),
    ],
)
def test_recognizes_own_code(function, location, own):
    assert is_own(function, location) is own


@pytest.mark.parametrize(
    ("function", "package"),
    [
        ("net/http.(*conn).serve", "net/http"),
        ("main.main.func1", "main"),
        ("gopkg.in/yaml%2ev2.Unmarshal", "gopkg.in/yaml%2ev2"),
        ("slices.Sort[go.shape.[]a.b/c.d]", "slices"),
        ("", ""),
    ],
)
def test_extracts_import_paths(function, package):
    assert package_of(function) == package


FRAMES = st.lists(st.sampled_from(["net.a", "net.b", "x.org/y.f", "yunion.io/x/z.f", "yunion.io/x/w.f"]), max_size=90)


@given(FRAMES)
def test_folded_frames_are_counted(functions):
    locations = [f"/src/vendor/{number}" for number in range(len(functions))]
    lines = shown_frames(functions, locations)
    whole = [f"{function}  {location}" for function, location in zip(functions, locations, strict=True)]
    folds = [int(line.split()[1]) for line in lines if line.startswith("... ")]
    assert len(lines) - len(folds) + sum(folds) == len(whole)
    assert [line for line in lines if not line.startswith("... ")] == [line for line in whole if line in lines]
    assert lines[:INNERMOST] == whole[:INNERMOST]
    assert lines[-OUTERMOST:] == whole[-OUTERMOST:]
    assert all(fold > 1 for fold in folds)
    assert len(lines) <= 3 * MOST_SHOWN
