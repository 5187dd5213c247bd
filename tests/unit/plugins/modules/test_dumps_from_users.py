# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps in the forms in which users send them, read by module stack_analysis.

tests/unit/fixtures/people has parts of a service's dumps, and forms of dumps from public issues.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.modules import stack_analysis

PEOPLE = Path(__file__).parents[2] / "fixtures" / "people"
EXPECTED = json.loads((PEOPLE / "expected.json").read_text())


def analysed(name: str) -> dict:
    defaults = {option: spec.get("default") for option, spec in stack_analysis.ARGUMENTS.items()}
    return stack_analysis.run({**defaults, "paths": [str(PEOPLE / name)]})


def test_every_file_has_an_expected_result():
    assert {path.name for path in PEOPLE.iterdir()} == {*EXPECTED, "expected.json"}


@pytest.mark.parametrize("name", EXPECTED)
def test_reads_dumps_from_users(name):
    expected = EXPECTED[name]
    result = analysed(name)
    (dump,) = result["dumps"]
    assert (dump["form"], dump["goroutines"], dump["complete"]) == (
        expected["form"],
        expected["goroutines"],
        expected["complete"],
    )
    assert (result["complete"], result["errors"]) == (expected["complete"], [])
    assert (dump["source"], dump["line"]) == (expected.get("source"), expected.get("line", 1))
    messages = [error["message"] for error in dump["errors"]]
    assert len(messages) == len(expected.get("errors", []))
    assert all(found.startswith(tuple(expected["errors"])) for found in messages)
    groups = dump["groups"]
    if "groups_of" in expected:
        assert groups == analysed(expected["groups_of"])["dumps"][0]["groups"]
    if "frames" in expected:
        assert sum(len(group["functions"]) for group in groups) == expected["frames"]
    if "creators" in expected:
        assert sum(group["created_by"] is not None for group in groups) == expected["creators"]
    if "counts" in expected:
        assert [group["count"] for group in groups] == expected["counts"]
        assert groups[0]["labels"] == expected["labels"]


def test_keeps_the_position_of_a_frame_without_its_call():
    # Otherwise the caller looks like the function that crashed.
    crashed = [group for group in analysed("call-line-lost-fatal.log")["dumps"][0]["groups"] if group["ids"] == [5123]]
    assert crashed[0]["functions"][0] == "?"
    assert crashed[0]["locations"][0].endswith("guests.go:2414")


def test_reads_c_functions_as_frames():
    (group,) = analysed("cgo-symbolizer-fatal.log")["dumps"][0]["groups"]
    assert group["functions"][:3] == ["librbd_read", "_cgo_0b49d6ed4a0b_Cfunc_rbd_read", "non-Go function"]


def test_labels_in_brackets_are_not_a_state():
    (first, _other) = analysed("labels-inside-debug2.txt")["dumps"][0]["groups"]
    assert (first["state"], first["wait_minutes_min"], first["wait_minutes_max"]) == ("chan receive", 12, 13)
    assert first["ids"] == [5, 6]
