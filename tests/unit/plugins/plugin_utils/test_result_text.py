# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text and failure message at the end of a run."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.capture_entry import MissedCapture, capture_entry
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.result_text import (
    MOST_NAMES,
    FailurePolicy,
    blocks,
    check_mode_outcome,
    group_errors,
    run_outcome,
    without_bundle,
)

FAILS, PASSES = FailurePolicy(True, ["it failed"]), FailurePolicy(False)


def entry(cluster: str = "a", error: str = "", **result: Any) -> dict[str, Any]:
    """Return the entry of bundle_capture for an access point with a part or an error."""
    about = {"run": "run", "host": cluster, "cluster": cluster}
    missed = MissedCapture(error, "no_result") if error else None
    return capture_entry(about, "" if error else f"/parts/{cluster}-1", missed, result, shows_table=True)


@pytest.mark.parametrize(
    ("tables", "lines"),
    [
        ([], []),
        ([["head", "row"]], ["head", "row"]),
        ([[], ["one"], [], ["two"]], ["one", "", "two"]),
    ],
)
def test_separates_tables_by_an_empty_line(tables, lines):
    assert blocks(tables) == lines
    assert run_outcome([entry()], tables, PASSES).lines == lines


@pytest.mark.parametrize("table", [["head", "row", "", "bundle: /x.tar.gz"], ["head", "row"]])
def test_removes_the_path_of_the_bundle(table):
    assert without_bundle(table) == ["head", "row"]


def test_first_failure_counts():
    assert run_outcome([entry()], [], FailurePolicy(True, ["", "b", "c"])).failure == "b"
    assert run_outcome([entry()], [], FailurePolicy(True, ["", ""])).failure == ""


def test_short_message_omits_the_first_row():
    ended = run_outcome(
        [entry()], [], FailurePolicy(True, ["Nothing was captured: 1 refused. The first: region-1: no."])
    )
    assert ended.short == "Nothing was captured: 1 refused."
    assert ended.failure.endswith("no.")


@pytest.mark.parametrize("end", [run_outcome, check_mode_outcome])
def test_groups_errors_by_access_points(end):
    entries = [entry("a", "no route"), entry("b", "wrong path"), entry("c", "no route")]
    ended = end(entries, [["head"]], FAILS) if end is run_outcome else end(entries, FAILS)
    assert ended.lines == ["a, c: no route", "b: wrong path"]
    assert ended.short.endswith(": see the 2 errors above.")
    assert "no route" in ended.failure
    assert "wrong path" in ended.failure
    assert ended.errors == [
        {"error": "no route", "access_points": ["a", "c"]},
        {"error": "wrong path", "access_points": ["b"]},
    ]


def test_does_not_name_the_only_access_point():
    ended = run_outcome([entry("localhost", "wrong path")], [["head"]], FAILS)
    assert (ended.lines, ended.short) == (["wrong path"], "Nothing was captured: see the error above.")
    assert ended.failure == "Nothing was captured: wrong path"


def test_error_does_not_fail_with_policy_none():
    ended = run_outcome([entry("a", "wrong path")], [], PASSES)
    assert (ended.lines, ended.failure, ended.short) == (["wrong path"], "", "")


def test_names_only_some_of_many_access_points():
    ended = run_outcome([entry(f"c{number}", "no route") for number in range(100)], [], FAILS)
    (line,) = ended.lines
    assert line.endswith(f" and {100 - MOST_NAMES} more: no route")
    assert line.count("c") == MOST_NAMES


def test_worst_watch_comes_first():
    entries = [
        entry("a", verdict="healthy", table=["table of a"]),
        entry("b", verdict="busy", table=["table of b"]),
        entry("c", verdict="stuck", table=["table of c"]),
    ]
    assert run_outcome(entries, [], PASSES).lines == [
        "c: stuck", "table of c", "", "b: busy", "table of b", "", "a: healthy",
    ]  # fmt: skip
    assert run_outcome(entries[:1], [], PASSES).lines == ["table of a"]


@pytest.mark.parametrize(
    ("result", "failure"),
    [
        ({"would": [{"reason": "check_mode", "message": "would do"}], "table": ["x: would do"]}, ""),
        ({"would": [{"reason": "not_deployed", "message": "not there"}], "table": ["x: not there"]}, "not there"),
        ({"would": []}, "No instance was found."),
        ({"found": 2, "table": ["x"]}, ""),
        ({"found": 0, "table": ["none"]}, "No instance was found."),
    ],
)
def test_check_mode_fails_without_captures(result, failure):
    ended = check_mode_outcome([entry(**result)], FailurePolicy(True))
    assert ended.failure == (f"Nothing would be captured: {failure}" if failure else "")
    assert len([line for line in ended.lines if failure and line.endswith(failure)]) == bool(failure)
    assert check_mode_outcome([entry(**result)], PASSES).failure == ""


def test_check_mode_shows_errors_beside_plans():
    entries = [entry("a", "no route"), entry("b", would=[{"reason": "check_mode"}], plan=["plan of b"])]
    assert check_mode_outcome(entries, FailurePolicy(True)).lines == ["plan of b", "", "a: no route"]


def test_groups_nothing_without_errors():
    assert group_errors([entry("a"), entry("b")]) == []
