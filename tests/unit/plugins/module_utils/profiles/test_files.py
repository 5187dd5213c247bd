# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles in parts and bundles: reports beside them, ledgers that stay consistent, nothing lost on the way."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import verify
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.merge import pack_part, read_ledger
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.profile_report import profile_table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles import analysis
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.analysis import (
    AnalysisRequest,
    WriteError,
    analyse,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.report import ReportSettings, stem, table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from pprofs import CPU, HEAP, packed

SCHEMAS = Path(__file__).parents[5] / "docs" / "schemas"
# A profile of the processor has a sample for each 10 ms of work.
TICK = 10_000_000
BUSY = packed(CPU, [((90, 90 * TICK), ("main.hash", "main.main")), ((10, 10 * TICK), ("main.sort", "main.main"))])
CALM = packed(CPU, [((10, 10 * TICK), ("main.sort", "main.main"))])
IDLE = packed(CPU, [((1, TICK), ("fmt.(*pp).doPrintf", "main.main"))])
REPORTS = {"cpu.top.txt", "cpu.top.json", "cpu.folded", "cpu.speedscope.json", "cpu.flame.html"}


def ask(*paths, **fields):
    defaults = {"patterns": ["*.pb.gz"], "settings": ReportSettings(), "max_bytes": 1 << 20, "functions": 5}
    return analyse(AnalysisRequest(paths=[str(path) for path in paths], **{**defaults, **fields}))


def part(folder, profiles, reason=Reason.NOT_READ_HERE):
    """A part with these profiles: {(instance, capture): bytes}, and a row of a version besides."""
    store = Store(str(folder))
    rows = []
    for (name, capture), data in profiles.items():
        instance = Instance(cluster="c", component="region", name=name)
        artifact = store.keep(["c", "region", name], f"{capture}.pb.gz", data)
        details = {"seconds": 5}
        rows.append(row(instance, f"profile:{capture}", verdict(reason), artifact=artifact, details=details))
    rows.append(row(Instance(cluster="c", component="region", name="a"), "version", verdict(Reason.RECORDED)))
    store.finish(rows)
    return folder


def ledger(folder):
    return read_ledger((folder / "ledger.jsonl").read_bytes())


def names(folder):
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_rows_that_could_not_be_read_on_a_node_get_their_verdict(tmp_path):
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


def test_a_verdict_that_was_given_stays(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): BUSY}, Reason.PROFILE_CUT)
    ask(here, in_place=True)
    assert [entry.reason for entry in ledger(here)] == ["profile_cut", "recorded"]
    assert ledger(here)[0].details["top_function"] == "main.hash"


def test_two_rows_of_one_file_stay_two(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): BUSY})
    (one, other) = ledger(here)
    both = [one, type(one)(**{**vars(one), "instance": "b"}), other]
    (here / "ledger.jsonl").write_text("".join(json.dumps(entry.as_dict()) + "\n" for entry in both))
    ask(here, in_place=True)
    assert [(entry.instance, entry.reason) for entry in ledger(here)] == [
        ("a", "profile_whole"), ("b", "profile_whole"), ("a", "recorded"),
    ]  # fmt: skip


def test_a_packed_part_is_read_and_packed_anew(tmp_path):
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


def test_a_packed_part_stays_as_it_was_when_something_fails(tmp_path, monkeypatch):
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


def test_a_damaged_part_is_said_and_left(tmp_path):
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
def test_a_sealed_bundle_is_read_and_never_changed(bundle, tmp_path, form):
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


def test_what_is_written_is_private_and_as_the_schemas_say(tmp_path):
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


@pytest.mark.parametrize("form", ["one profile", "folder", "archive"])
def test_the_base_is_found(tmp_path, form):
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


def test_another_instance_is_the_base_only_where_it_is_the_only_one(tmp_path):
    here = part(tmp_path / "now", {("new", "cpu"): BUSY})
    single = part(tmp_path / "single", {("old", "cpu"): CALM})
    several = part(tmp_path / "several", {("old", "cpu"): CALM, ("older", "cpu"): CALM})
    assert ask(here, base=str(single))["profiles"][0]["diff"]["total"] == 10 * TICK
    assert ask(here, base=str(several))["profiles"][0]["diff"] is None


def test_a_base_that_does_not_count_the_same_or_is_damaged_is_a_problem_of_the_difference_alone(tmp_path):
    here = part(tmp_path / "now", {("a", "cpu"): BUSY})
    for data, words in (
        (packed(HEAP), "do not count the same"),
        (BUSY[:50], "The end of the profile is missing"),
    ):
        (tmp_path / "base.pb.gz").write_bytes(data)
        (one,) = ask(here, base=str(tmp_path / "base.pb.gz"))["profiles"]
        assert words in one["problem"]
        assert (one["diff"], one["top_function"]) == (None, "main.hash")
    with pytest.raises(ValueError, match=r"the base .*nowhere cannot be read"):
        ask(here, base=str(tmp_path / "nowhere"))


def test_what_cannot_be_read_is_an_error_and_not_the_end(tmp_path):
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


def test_a_hostile_ledger_names_nothing_outside(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): BUSY})
    entry = ledger(here)[0].as_dict()
    (here / "ledger.jsonl").write_text(json.dumps({**entry, "path": "../../etc/passwd"}) + "\n")
    found = ask(here, in_place=True)
    assert found["profiles"] == []
    assert "unsafe name" in found["errors"][0]["message"]


def test_a_ledger_within_a_part_does_not_count(tmp_path):
    """It could tell of other components than the part may."""
    here = part(tmp_path / "part", {("a", "cpu"): BUSY})
    entry = ledger(here)[0].as_dict()
    (here / "c" / "ledger.jsonl").write_text(
        json.dumps({**entry, "path": "region/a/cpu.pb.gz", "component": "keystone"}) + "\n"
    )
    assert [one["component"] for one in ask(here)["profiles"]] == ["region"]


def test_a_folder_of_bundles_has_the_rows_of_each(tmp_path):
    for name in ("one", "two"):
        part(tmp_path / "runs" / name, {(name, "cpu"): BUSY})
    found = ask(tmp_path / "runs", output=str(tmp_path / "out"))
    assert [one["instance"] for one in found["profiles"]] == ["one", "two"]
    written = [file for one in found["profiles"] for file in one["files"]]
    assert len(set(written)) == len(written) == 10


def test_single_files_of_one_name_do_not_overwrite_each_other(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cpu.pb.gz").write_bytes(BUSY if folder == "x" else CALM)
    found = ask(tmp_path / "x" / "cpu.pb.gz", tmp_path / "y" / "cpu.pb.gz", output=str(tmp_path / "out"))
    written = [name for one in found["profiles"] for name in one["files"]]
    assert len(set(written)) == len(written) == 10
    shutil.rmtree(tmp_path / "out")
    assert ask(tmp_path / "x" / "cpu.pb.gz")["profiles"][0]["files"] == []


def test_the_table_shows_what_used_the_most(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): BUSY, ("b", "cpu"): BUSY[:40]})
    assert table(ask(here)["profiles"]) == [
        "component  instance  kind  status                 load                     of all  function",
        "region     a         cpu   complete               1 s of 2 s on 0.5 cores  90%     main.hash",
        "region     b         cpu   partial (profile_cut)  -                        -       -",
    ]
    assert table([]) == []


def test_an_idle_service_is_called_idle_and_no_function_of_its_is_named(tmp_path):
    here = part(tmp_path / "part", {("a", "cpu"): IDLE})
    found = ask(here, in_place=True)["profiles"]
    assert [(one["load"], one["top_function"], one["top_percent"]) for one in found] == [
        ("0.01 s of 2 s: idle", "", 0.0)
    ]
    assert (ledger(here)[0].details["load"], ledger(here)[0].details["top_function"]) == ("0.01 s of 2 s: idle", "")
    assert "doPrintf" not in "\n".join([*table(found), *profile_table(ledger(here))])
    # The files show what was seen, and how little that is.
    text = (here / "c" / "region" / "a" / "cpu.top.txt").read_text()
    assert "fmt.(*pp).doPrintf" in text
    assert "0.01 s of 2 s: idle" in text
    assert "0.01 s of 2 s: idle" in (here / "c" / "region" / "a" / "cpu.flame.html").read_text()


def test_a_change_by_one_sample_is_marked_as_chance(tmp_path):
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


def test_a_change_of_many_samples_is_not_marked(tmp_path):
    here = part(tmp_path / "now", {("a", "cpu"): BUSY})
    base = part(tmp_path / "base", {("a", "cpu"): CALM})
    (one,) = ask(here, base=str(base), output=str(tmp_path / "out"))["profiles"]
    assert {each["function"]: each["may_be_chance"] for each in one["diff"]["functions"]} == {
        "main.hash": False, "main.main": False,
    }  # fmt: skip
    assert "larger than chance" not in next((tmp_path / "out").rglob("cpu.diff.top.txt")).read_text()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cpu.pb.gz", "cpu"), ("a.b.pprof", "a.b"), ("x", "x"), (".gz", ".gz"), ("cpu.gz", "cpu"), ("r.zip", "r")],
)
def test_stems(name, expected):
    assert stem(name) == expected
