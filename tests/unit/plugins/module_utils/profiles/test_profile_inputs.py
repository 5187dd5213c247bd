# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles with their ledger rows, and base profiles to compare with."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.merge import pack_part
from parts import BUSY, CALM, TICK, ask, ledger, part
from pprofs import HEAP, packed


@pytest.mark.parametrize("form", ["one profile", "folder", "archive"])
def test_finds_base_profile(tmp_path, form):
    here = part(tmp_path / "now", {("a", "cpu"): BUSY})
    base = part(tmp_path / "base", {("a", "cpu"): CALM, ("b", "cpu"): BUSY})
    if form == "one profile":
        base = base / "c" / "region" / "a" / "cpu.pb.gz"
    elif form == "archive":
        base = pack_part(str(base))
    (one,) = ask(here, base=str(base))["profiles"]
    changes = {each["function"]: each["flat"] for each in one["diff"]["functions"]}
    expected = {"main.hash": 90 * TICK, "main.main": 0}
    assert (changes, one["diff"]["total"], one["problem"]) == (expected, 10 * TICK, "")


def test_other_instance_is_the_base_only_if_it_is_the_only_one(tmp_path):
    here = part(tmp_path / "now", {("new", "cpu"): BUSY})
    single = part(tmp_path / "single", {("old", "cpu"): CALM})
    several = part(tmp_path / "several", {("old", "cpu"): CALM, ("older", "cpu"): CALM})
    assert ask(here, base=str(single))["profiles"][0]["diff"]["total"] == 10 * TICK
    assert ask(here, base=str(several))["profiles"][0]["diff"] is None


def test_unusable_base_only_prevents_the_difference(tmp_path):
    here = part(tmp_path / "now", {("a", "cpu"): BUSY})
    for data, words in (
        (packed(HEAP), "different sample types"),
        (BUSY[:50], "The end of the profile is missing"),
    ):
        (tmp_path / "base.pb.gz").write_bytes(data)
        (one,) = ask(here, base=str(tmp_path / "base.pb.gz"))["profiles"]
        assert words in one["problem"]
        assert (one["diff"], one["top_function"]) == (None, "main.hash")
    with pytest.raises(ValueError, match=r"the base .*nowhere cannot be read"):
        ask(here, base=str(tmp_path / "nowhere"))


def test_ledger_cannot_name_files_outside(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): BUSY})
    entry = ledger(here)[0].as_dict()
    (here / "ledger.jsonl").write_text(json.dumps({**entry, "path": "../../etc/passwd"}) + "\n")
    found = ask(here, in_place=True)
    assert found["profiles"] == []
    assert "unsafe name" in found["errors"][0]["message"]


def test_ignores_ledger_within_a_part(tmp_path):
    """It could have rows of components that the part may not have."""
    here = part(tmp_path / "part", {("a", "cpu"): BUSY})
    entry = ledger(here)[0].as_dict()
    (here / "c" / "ledger.jsonl").write_text(
        json.dumps({**entry, "path": "region/a/cpu.pb.gz", "component": "keystone"}) + "\n"
    )
    assert [one["component"] for one in ask(here)["profiles"]] == ["region"]


def test_folder_of_bundles_has_the_rows_of_each(tmp_path):
    for name in ("one", "two"):
        part(tmp_path / "runs" / name, {(name, "cpu"): BUSY})
    found = ask(tmp_path / "runs", output=str(tmp_path / "out"))
    assert [one["instance"] for one in found["profiles"]] == ["one", "two"]
    written = [file for one in found["profiles"] for file in one["files"]]
    assert len(set(written)) == len(written) == 10
