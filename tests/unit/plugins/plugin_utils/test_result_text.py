# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text at the end of a run, and when the run counts as failed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.capture_entry import Missed, captured
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.result_text import (
    MOST_NAMES,
    Policy,
    blocks,
    grouped,
    outcome,
    planned,
    without_bundle,
)

FAILS, PASSES = Policy(True, ["it failed"]), Policy(False)


def entry(cluster: str = "a", error: str = "", **result: Any) -> dict[str, Any]:
    """What bundle_capture returns of an access point: it brought a part, or has an error."""
    about = {"run": "run", "host": cluster, "cluster": cluster}
    missed = Missed(error, "no_result") if error else None
    return captured(about, "" if error else f"/parts/{cluster}-1", missed, result, shows_table=True)


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
    assert outcome([entry()], tables, PASSES).lines == lines


@pytest.mark.parametrize("table", [["head", "row", "", "bundle: /x.tar.gz"], ["head", "row"]])
def test_leaves_the_path_of_the_bundle_to_the_end(table):
    assert without_bundle(table) == ["head", "row"]


def test_the_first_failure_counts():
    assert outcome([entry()], [], Policy(True, ["", "b", "c"])).failure == "b"
    assert outcome([entry()], [], Policy(True, ["", ""])).failure == ""


def test_the_short_message_leaves_out_what_the_table_has():
    ended = outcome([entry()], [], Policy(True, ["Nothing was captured: 1 refused. The first: region-1: no."]))
    assert ended.short == "Nothing was captured: 1 refused."
    assert ended.failure.endswith("no.")


@pytest.mark.parametrize("end", [outcome, planned])
def test_each_error_stands_once_with_its_access_points(end):
    entries = [entry("a", "no route"), entry("b", "wrong path"), entry("c", "no route")]
    ended = end(entries, [["head"]], FAILS) if end is outcome else end(entries, FAILS)
    assert ended.lines == ["a, c: no route", "b: wrong path"]
    assert ended.short.endswith(": see the 2 errors above.")
    assert "no route" in ended.failure
    assert "wrong path" in ended.failure
    assert ended.errors == [
        {"error": "no route", "access_points": ["a", "c"]},
        {"error": "wrong path", "access_points": ["b"]},
    ]


def test_the_only_access_point_is_not_named():
    ended = outcome([entry("localhost", "wrong path")], [["head"]], FAILS)
    assert (ended.lines, ended.short) == (["wrong path"], "Nothing was captured: see the error above.")
    assert ended.failure == "Nothing was captured: wrong path"


def test_an_error_fails_nothing_where_the_policy_says_so():
    ended = outcome([entry("a", "wrong path")], [], PASSES)
    assert (ended.lines, ended.failure, ended.short) == (["wrong path"], "", "")


def test_names_only_some_of_many_access_points():
    ended = outcome([entry(f"c{number}", "no route") for number in range(100)], [], FAILS)
    (line,) = ended.lines
    assert line.endswith(f" and {100 - MOST_NAMES} more: no route")
    assert line.count("c") == MOST_NAMES


def test_the_worst_watch_stands_first_and_good_ones_are_a_line_each():
    entries = [
        entry("a", verdict="healthy", table=["table of a"]),
        entry("b", verdict="busy", table=["table of b"]),
        entry("c", verdict="stuck", table=["table of c"]),
    ]
    assert outcome(entries, [], PASSES).lines == [
        "c: stuck", "table of c", "", "b: busy", "table of b", "", "a: healthy",
    ]  # fmt: skip
    assert outcome(entries[:1], [], PASSES).lines == ["table of a"]


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
def test_check_mode_fails_where_nothing_would_be_captured(result, failure):
    ended = planned([entry(**result)], Policy(True))
    assert ended.failure == (f"Nothing would be captured: {failure}" if failure else "")
    assert len([line for line in ended.lines if failure and line.endswith(failure)]) == bool(failure)
    assert planned([entry(**result)], PASSES).failure == ""


def test_check_mode_shows_the_errors_of_some_beside_the_plans_of_others():
    entries = [entry("a", "no route"), entry("b", would=[{"reason": "check_mode"}], plan=["plan of b"])]
    assert planned(entries, Policy(True)).lines == ["plan of b", "", "a: no route"]


def test_groups_nothing_where_all_is_well():
    assert grouped([entry("a"), entry("b")]) == []
