# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Analyse profiles in parts and bundles: reports beside them, consistent ledgers, no loss on failure."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import verify
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.merge import pack_part
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.profile_report import profile_table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles import analysis
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.analysis import (
    WriteError,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.report import stem, table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason
from parts import BUSY, CALM, IDLE, TICK, ask, ledger, part
from pprofs import CPU, HEAP, packed

SCHEMAS = Path(__file__).parents[5] / "docs" / "schemas"
REPORTS = {"cpu.top.txt", "cpu.top.json", "cpu.folded", "cpu.speedscope.json", "cpu.flame.html"}


def names(folder):
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_completes_rows_that_were_not_read_on_a_node(tmp_path):
    given = {("a", "cpu"): BUSY, ("b", "cpu"): packed(CPU), ("c", "cpu"): BUSY[:40], ("a", "heap"): BUSY}
    here = part(tmp_path / "part", given)
    before = ledger(here)
    found = ask(here, in_place=True)
    after = ledger(here)
    assert [entry.reason for entry in after] == [
        "profile_whole", "profile_empty", "profile_cut", "profile_bad", "recorded",
    ]  # fmt: skip
    assert [entry.status for entry in after] == ["complete", "complete", "partial", "partial", "complete"]
    assert [(entry.instance, entry.path, entry.sha256) for entry in after] == [
        (entry.instance, entry.path, entry.sha256) for entry in before
    ]
    first = after[0].details
    assert (first["top_function"], first["top_percent"], first["seconds"]) == ("main.hash", 90.0, 5)
    assert first["parsed"] == "c/region/a/cpu.top.json"
    assert json.loads((here / first["parsed"]).read_bytes())["kind"] == "cpu"
    assert "parsed" not in after[2].details
    assert [(one["instance"], one["reason"]) for one in found["profiles"]] == [
        ("a", "profile_whole"), ("a", "profile_bad"), ("b", "profile_empty"), ("c", "profile_cut"),
    ]  # fmt: skip
    assert found["errors"] == []


def test_keeps_existing_verdict(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): BUSY}, Reason.PROFILE_CUT)
    ask(here, in_place=True)
    assert [entry.reason for entry in ledger(here)] == ["profile_cut", "recorded"]
    assert ledger(here)[0].details["top_function"] == "main.hash"


def test_keeps_two_rows_of_one_file(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): BUSY})
    (one, other) = ledger(here)
    both = [one, type(one)(**{**vars(one), "instance": "b"}), other]
    (here / "ledger.jsonl").write_text("".join(json.dumps(entry.as_dict()) + "\n" for entry in both))
    ask(here, in_place=True)
    assert [(entry.instance, entry.reason) for entry in ledger(here)] == [
        ("a", "profile_whole"), ("b", "profile_whole"), ("a", "recorded"),
    ]  # fmt: skip


def test_repacks_part_with_reports(tmp_path):
    packed_part = Path(pack_part(str(part(tmp_path / "part", {("a", "cpu"): BUSY}))))
    found = ask(packed_part, in_place=True)
    assert [one["path"] for one in found["profiles"]] == [f"{packed_part}!part/c/region/a/cpu.pb.gz"]
    assert f"{packed_part}!part/c/region/a/cpu.flame.html" in found["profiles"][0]["files"]
    assert [path.name for path in tmp_path.iterdir()] == ["part.tar.gz"]
    assert stat.S_IMODE(packed_part.stat().st_mode) == 0o600
    sealed = seal_bundle(str(tmp_path / "run"), [str(packed_part)], [], {"id": "run"})
    assert [entry.reason for entry in sealed.rows] == ["profile_whole", "recorded"]
    assert names(tmp_path / "run") >= REPORTS
    assert verify(sealed.archive).intact


def test_failure_leaves_packed_part_unchanged(tmp_path, monkeypatch):
    packed_part = Path(pack_part(str(part(tmp_path / "part", {("a", "cpu"): BUSY}))))
    before = packed_part.read_bytes()

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    for name, error in (("write_file", (WriteError, OSError)), ("pack_to", OSError)):
        with monkeypatch.context() as patched:
            patched.setattr(analysis, name, full)
            with pytest.raises(error, match="No space left"):
                ask(packed_part, in_place=True)
        assert packed_part.read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["part.tar.gz"]


def test_reports_damaged_part_and_leaves_it(tmp_path):
    packed_part = Path(pack_part(str(part(tmp_path / "part", {("a", "cpu"): BUSY}))))
    cut = packed_part.read_bytes()[:-30]
    packed_part.write_bytes(cut)
    good = tmp_path / "cpu.pb.gz"
    good.write_bytes(BUSY)
    for fields, words in (({"in_place": True}, "cannot be read"), ({"output": str(tmp_path / "out")}, "is cut")):
        found = ask(packed_part, good, **fields)
        assert [error["path"] for error in found["errors"]] == [str(packed_part)]
        assert words in found["errors"][0]["message"]
        assert found["profiles"][-1]["path"] == str(good)
    assert packed_part.read_bytes() == cut


@pytest.fixture
def bundle(tmp_path):
    parts = [str(part(tmp_path / "part", {("a", "cpu"): BUSY, ("a", "heap"): packed(HEAP)}))]
    return seal_bundle(str(tmp_path / "run"), parts, [], {"id": "run"})


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_never_changes_sealed_bundle(bundle, tmp_path, form):
    path = Path(getattr(bundle, form))
    out = tmp_path / "out"
    found = ask(path, output=str(out))
    assert [(one["instance"], one["kind"], one["top_function"]) for one in found["profiles"]] == [
        ("a", "cpu", "main.hash"), ("a", "heap", ""),
    ]  # fmt: skip
    assert names(out) >= REPORTS
    assert all((out / stem(path.name) / "c" / "region" / "a" / name).exists() for name in REPORTS)
    refused = ask(path, in_place=True)
    assert (refused["profiles"], [error["path"] for error in refused["errors"]]) == ([], [str(path)])
    assert "sealed bundle" in refused["errors"][0]["message"]
    assert verify(bundle.folder).intact
    assert verify(bundle.archive).intact


def test_reports_are_private_and_follow_the_schemas(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): BUSY})
    base = str(part(tmp_path / "base", {("a", "cpu"): CALM}))
    usual = os.umask(0)
    try:
        ask(here, in_place=True, base=base)
    finally:
        os.umask(usual)
    made = [path for path in here.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
    for name, schema in (("cpu.top.json", "profile-top"), ("cpu.diff.top.json", "profile-diff")):
        document = json.loads((here / "c" / "region" / "a" / name).read_bytes())
        rules = json.loads((SCHEMAS / f"{schema}.schema.json").read_text())
        jsonschema.Draft202012Validator.check_schema(rules)
        validator = jsonschema.Draft202012Validator(rules)
        validator.validate(document)
        for change in ({"version": 2}, {"format": "x"}, {"more": 1}, {"types": [{}]}):
            assert not validator.is_valid({**document, **change})


def test_continues_after_unreadable_file(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): BUSY})
    (here / "link.pb.gz").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe.pb.gz")
    (tmp_path / "large.pb.gz").write_bytes(bytes(2 << 20))
    found = ask(tmp_path / "pipe.pb.gz", tmp_path / "large.pb.gz", "/x\0y", tmp_path / "none", here)
    assert [(Path(error["path"]).name, error["message"]) for error in found["errors"]] == [
        ("pipe.pb.gz", "cannot be read: it is not a regular file"),
        ("x\0y", "cannot be read: embedded null byte"),
        ("none", "cannot be read: No such file or directory"),
    ]
    assert [(one["reason"], one["top_function"]) for one in found["profiles"]] == [
        ("profile_too_large", ""), ("profile_whole", "main.hash"),
    ]  # fmt: skip
    assert "more than 1048576 bytes" in found["profiles"][0]["message"]


def test_files_of_one_name_get_separate_reports(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cpu.pb.gz").write_bytes(BUSY if folder == "x" else CALM)
    found = ask(tmp_path / "x" / "cpu.pb.gz", tmp_path / "y" / "cpu.pb.gz", output=str(tmp_path / "out"))
    written = [name for one in found["profiles"] for name in one["files"]]
    assert len(set(written)) == len(written) == 10
    shutil.rmtree(tmp_path / "out")
    assert ask(tmp_path / "x" / "cpu.pb.gz")["profiles"][0]["files"] == []


def test_table_shows_busiest_function(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): BUSY, ("b", "cpu"): BUSY[:40]})
    assert table(ask(here)["profiles"]) == [
        "component  instance  kind  status                 load                     of all  function",
        "region     a         cpu   complete               1 s of 2 s on 0.5 cores  90%     main.hash",
        "region     b         cpu   partial (profile_cut)  -                        -       -",
    ]
    assert table([]) == []


def test_idle_service_names_no_function(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): IDLE})
    found = ask(here, in_place=True)["profiles"]
    assert [(one["load"], one["top_function"], one["top_percent"]) for one in found] == [
        ("0.01 s of 2 s: idle", "", 0.0)
    ]
    assert (ledger(here)[0].details["load"], ledger(here)[0].details["top_function"]) == ("0.01 s of 2 s: idle", "")
    assert "doPrintf" not in "\n".join([*table(found), *profile_table(ledger(here))])
    # The files show the sample and the low usage.
    text = (here / "c" / "region" / "a" / "cpu.top.txt").read_text()
    assert "fmt.(*pp).doPrintf" in text
    assert "0.01 s of 2 s: idle" in text
    assert "0.01 s of 2 s: idle" in (here / "c" / "region" / "a" / "cpu.flame.html").read_text()


def test_marks_change_of_one_sample_as_chance(tmp_path):
    twice = packed(CPU, [((2, 2 * TICK), ("main.sort", "main.main"))])
    here = part(tmp_path / "now", {("a", "cpu"): twice})
    base = part(tmp_path / "base", {("a", "cpu"): IDLE})
    (one,) = ask(here, base=str(base), output=str(tmp_path / "out"))["profiles"]
    assert [each["may_be_chance"] for each in one["diff"]["functions"]] == [True] * 3
    text = next((tmp_path / "out").rglob("cpu.diff.top.txt")).read_text()
    assert "No change is larger than chance explains." in text
    assert "Now: 0.02 s of 2 s" in text
    assert "Before: 0.01 s of 2 s: idle." in text
    assert text.count("(may be chance)") >= 3


def test_change_of_many_samples_is_not_chance(tmp_path):
    here = part(tmp_path / "now", {("a", "cpu"): BUSY})
    base = part(tmp_path / "base", {("a", "cpu"): CALM})
    (one,) = ask(here, base=str(base), output=str(tmp_path / "out"))["profiles"]
    assert {each["function"]: each["may_be_chance"] for each in one["diff"]["functions"]} == {
        "main.hash": False, "main.main": False,
    }  # fmt: skip
    assert "larger than chance" not in next((tmp_path / "out").rglob("cpu.diff.top.txt")).read_text()
