# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle from parts to verification, with each way to damage it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle import merge
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import MANIFEST, verify
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import (
    failure_message,
    mark_not_deployed,
    seal_bundle,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import LEDGER, Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, LedgerRow, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict


def part(folder: Path, cluster: str, reason: Reason = Reason.PROVEN) -> str:
    store = Store(str(folder))
    instance = Instance(cluster=cluster, component="region", name="pod-1", namespace="onecloud")
    artifact = store.keep([cluster, "region", "pod-1"], "stack-1.txt", b"goroutine profile: total 0\n")
    store.record([row(instance, "stack", verdict(reason), artifact=artifact, details={"total": 3})])
    return str(folder)


@pytest.fixture
def sealed(tmp_path):
    parts = [part(tmp_path / "one", "a"), merge.pack_part(part(tmp_path / "two", "b"))]
    absent = [{"cluster": "c", "error": "no route to host", "reason": "unreachable"}]
    return seal_bundle(str(tmp_path / "out" / "run-1"), parts, absent, {"id": "run-1", "scenario": "deadlock"})


def repack(archive: str, change) -> None:
    with tarfile.open(archive) as source:
        content = {member.name: source.extractfile(member).read() for member in source}
    change(content)
    with tarfile.open(archive, "w:gz") as target:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))


def test_parts_become_one_bundle_with_one_ledger(sealed, tmp_path):
    folder = Path(sealed.folder)
    rows = [json.loads(line) for line in (folder / LEDGER).read_text().splitlines()]
    assert [(entry["cluster"], entry["status"]) for entry in rows] == [
        ("c", "failed"),
        ("a", "complete"),
        ("b", "complete"),
    ]
    assert sorted(p.name for p in folder.iterdir()) == ["a", "b", "issue.md", "ledger.jsonl", MANIFEST]
    assert not (tmp_path / "one").exists()
    assert not (tmp_path / "two.tar.gz").exists()
    for bundle in (sealed.folder, sealed.archive):
        found = verify(bundle)
        assert found.intact, found
        assert found.files == 4


@pytest.mark.parametrize("also", [(), ("profile:cpu",), ("status:ping",)], ids=["alone", "profiles", "status"])
def test_the_verdicts_on_logs_are_in_the_bundle(tmp_path, also):
    store = Store(str(tmp_path / "part"))
    instance = Instance(cluster="c", component="region", name="pod-1", namespace="onecloud")
    details = {"verdict": "dropping", "rule": "tasks_lost", "evidence": ["640 tasks lost"]}
    store.record(
        [row(instance, capture, verdict(Reason.RECORDED), details=details) for capture in ("log_watch", *also)]
    )
    folder = Path(seal_bundle(str(tmp_path / "run"), [store.root], [], {"id": "run"}).folder)
    assert "| region | pod-1 | dropping | tasks\\_lost | 640 tasks lost | - |" in (folder / "issue.md").read_text()


@pytest.mark.parametrize("reason", [Reason.UNREACHABLE, Reason.NO_RESULT])
def test_who_brought_nothing_has_a_row_that_says_why_and_no_more(tmp_path, reason):
    absent = [{"cluster": "c", "error": "pattern 'own' is wrong", "reason": reason.value}]
    (found,) = seal_bundle(str(tmp_path / "run"), [], absent, {"id": "run"}).rows
    assert (found.cluster, found.status, found.reason) == ("c", "failed", reason.value)
    assert "pattern 'own' is wrong" in found.message
    assert ("answer" in found.message) == (reason is Reason.UNREACHABLE)


def test_the_manifest_states_the_run(sealed):
    run = json.loads((Path(sealed.folder) / MANIFEST).read_text())["run"]
    assert (run["id"], run["scenario"], run["rows"], run["complete"], run["failed"]) == ("run-1", "deadlock", 3, 2, 1)


@pytest.mark.parametrize("shape", ["folder", "archive"])
def test_verification_names_each_damage(sealed, shape):
    if shape == "folder":
        bundle = sealed.folder
        (Path(bundle) / "a/region/pod-1/stack-1.txt").unlink()
        (Path(bundle) / "b/region/pod-1/stack-1.txt").write_bytes(b"goroutine profile: total 1\n")
        (Path(bundle) / "new.txt").write_text("x")
    else:
        bundle = sealed.archive

        def change(content):
            del content["run-1/a/region/pod-1/stack-1.txt"]
            content["run-1/b/region/pod-1/stack-1.txt"] = b"goroutine profile: total 1\n"
            content["run-1/new.txt"] = b"x"

        repack(bundle, change)
    found = verify(bundle)
    assert found.missing == ["a/region/pod-1/stack-1.txt"]
    assert found.changed == ["b/region/pod-1/stack-1.txt"]
    assert found.added == ["new.txt"]


def test_a_tampered_file_with_a_matching_manifest_is_still_seen_by_the_ledger(sealed):
    def change(content):
        name = "run-1/a/region/pod-1/stack-1.txt"
        content[name] = content[name].replace(b"0", b"9")
        manifest = json.loads(content["run-1/manifest.json"])
        entry = next(item for item in manifest["files"] if item["path"] == "a/region/pod-1/stack-1.txt")
        entry["sha256"] = hashlib.sha256(content[name]).hexdigest()
        content["run-1/manifest.json"] = json.dumps(manifest).encode()

    repack(sealed.archive, change)
    found = verify(sealed.archive)
    assert (found.missing, found.added, found.changed) == ([], [], [])
    assert len(found.problems) == 1
    assert "ledger.jsonl" in found.problems[0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"not a bundle",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-20],
        lambda data: data[:100] + bytes([data[100] ^ 0xFF]) + data[101:],
    ],
)
def test_a_broken_archive_is_a_finding_not_a_crash(sealed, damage):
    path = Path(sealed.archive)
    path.write_bytes(damage(path.read_bytes()))
    assert not verify(str(path)).intact


def test_a_bundle_that_is_not_there_is_a_finding(tmp_path):
    assert verify(str(tmp_path / "nothing.tar.gz")).problems


@pytest.mark.parametrize("name", [MANIFEST, LEDGER])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "5", '"a"', "null", "\ud800"])
def test_a_bundle_that_somebody_made_by_hand_is_a_finding(sealed, name, text):
    Path(sealed.folder, name).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert not verify(sealed.folder).intact


@pytest.mark.parametrize("name", [MANIFEST, LEDGER])
def test_a_bundle_that_would_fill_the_memory_is_a_finding(sealed, name):
    Path(sealed.folder, name).write_bytes(b" " * 2001)
    assert verify(sealed.folder, most_kept=2000).problems == [
        f"the bundle cannot be read: ValueError: {name} is larger than 2000 bytes"
    ]


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "bundle.tar.gz")
    assert verify(str(tmp_path / "bundle.tar.gz")).problems


def test_a_link_in_a_folder_is_a_finding(sealed):
    os.symlink("/etc/passwd", os.path.join(sealed.folder, "link"))
    assert "link" in verify(sealed.folder).problems[0]


def hostile_part(path: Path, members) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(path)


def link(name: str, target: str) -> tarfile.TarInfo:
    return special(name, tarfile.SYMTYPE, linkname=target)


def special(name: str, kind: bytes, **more) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    for key, value in more.items():
        setattr(member, key, value)
    return member


@pytest.mark.parametrize(
    "members",
    [
        [(tarfile.TarInfo("part/../../evil"), b"x")],
        [(tarfile.TarInfo("part//abs"), b"x")],
        [(tarfile.TarInfo("part/.hidden"), b"x")],
        [(tarfile.TarInfo("part/manifest.json"), b"x")],
        [(tarfile.TarInfo("part/health.json"), b"x")],
        [(tarfile.TarInfo("part/issue.md"), b"x")],
        [(tarfile.TarInfo("part/" + "d/" * 1200 + "deep"), b"x")],
        [(tarfile.TarInfo("part/a/good"), b"x"), (tarfile.TarInfo("part/health.md"), b"x")],
        [(link("part/link", "/etc"), b"")],
        [
            (special("part/a/good", tarfile.REGTYPE), b"x"),
            (special("part/a/l", tarfile.LNKTYPE, linkname="part/a/good"), b""),
        ],
        [(special("part/a/fifo", tarfile.FIFOTYPE), b"")],
        [(special("part/a/device", tarfile.CHRTYPE, devmajor=1, devminor=5), b"")],
        [(special("part/a/disk", tarfile.BLKTYPE, devmajor=8), b"")],
        [(special("part/a/x", tarfile.REGTYPE, pax_headers={"path": "part/../../evil"}), b"x")],
        [(tarfile.TarInfo("part/a/new\nline"), b"x")],
        [(tarfile.TarInfo("part/a/\x1b[31m"), b"x")],
        [(tarfile.TarInfo("part/ledger.jsonl"), b'{"sequence": ' + b"9" * 5000 + b"}\n")],
        [(tarfile.TarInfo("part/twice"), b"x"), (tarfile.TarInfo("part/twice"), b"y")],
        [(tarfile.TarInfo("part/ledger.jsonl"), b"not json\n")],
        [(tarfile.TarInfo("part/ledger.jsonl"), b'{"unknown": 1}\n')],
    ],
)
def test_a_hostile_part_becomes_a_row_and_writes_nothing_outside(tmp_path, members):
    bad = hostile_part(tmp_path / "bad.tar.gz", members)
    good = part(tmp_path / "good", "a")
    result = seal_bundle(str(tmp_path / "out" / "run"), [bad, good], [], {})
    assert sorted(entry.reason for entry in result.rows) == ["error", "proven"]
    assert os.path.exists(bad)
    taken = {path.name for path in Path(result.folder).rglob("*") if path.is_file()}
    assert taken == {"stack-1.txt", "issue.md", LEDGER, MANIFEST}
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "out" / "evil").exists()


def test_nobody_gains_rights_by_a_file_of_a_part(tmp_path):
    """Its first folder is cut off, whatever it is: a path that begins at the root, too, ends in the bundle."""
    tool = special("/a/tool", tarfile.REGTYPE, mode=0o6777, uid=0, uname="root")
    sealed = seal_bundle(str(tmp_path / "run"), [hostile_part(tmp_path / "bad.tar.gz", [(tool, b"x")])], [], {})
    assert Path(sealed.folder, "a", "tool").stat().st_mode & 0o7777 == 0o600


def test_two_reports_of_the_same_name_do_not_overwrite_each_other(tmp_path):
    reports = [part(tmp_path / "r1", "a"), part(tmp_path / "r2", "a")]
    result = seal_bundle(str(tmp_path / "run"), [], [], {}, reports)
    assert sorted(entry.reason for entry in result.rows) == ["error", "proven"]
    assert (tmp_path / "r2").exists()


@pytest.mark.parametrize(
    ("reasons", "fails"),
    [
        ([Reason.PROVEN], set()),
        ([Reason.PROVEN, Reason.NEVER_DUMPS], {"any"}),
        ([Reason.PROVEN, Reason.CUT_SHORT], {"partial", "any"}),
        ([Reason.PROVEN, Reason.NO_DUMP], {"partial", "any"}),
        ([Reason.CUT_SHORT], {"partial", "any"}),
        ([Reason.NO_DUMP], {"failed", "partial", "any"}),
        ([Reason.NEVER_DUMPS], {"failed", "partial", "any"}),
        ([], {"failed", "partial", "any"}),
    ],
)
def test_when_a_run_counts_as_failed(reasons, fails):
    instance = Instance(cluster="c", component="region", name="p")
    rows = [row(instance, "stack", verdict(reason)) for reason in reasons]
    assert {policy for policy in ("none", "failed", "partial", "any") if failure_message(rows, policy)} == fails


def test_a_sealed_bundle_is_not_sealed_again(sealed, tmp_path):
    before = Path(sealed.archive).read_bytes()
    again = part(tmp_path / "again", "d")
    with pytest.raises(ValueError, match="is a sealed bundle already"):
        seal_bundle(sealed.folder, [again], [], {"id": "run-1"})
    assert Path(sealed.archive).read_bytes() == before
    assert verify(sealed.folder).intact
    assert Path(again, LEDGER).is_file()


SMALL = merge.MergeLimits(bytes=1000, files=3, depth=4, ledger=100)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("part/a/1", 600), ("part/a/2", 401)], "exceeds the size limit"),
        ([(f"part/a/{number}", 1) for number in range(4)], "more than 3 files"),
        ([("part/a/b/c/d/e", 1)], "more than 4 deep"),
        ([("part/a/1", 1), ("part/ledger.jsonl", 101)], "larger than 100 bytes"),
    ],
)
def test_nothing_is_left_of_a_part_over_the_limits(tmp_path, members, said):
    bad = hostile_part(tmp_path / "bad.tar.gz", [(tarfile.TarInfo(name), b"x" * size) for name, size in members])
    with pytest.raises(ValueError, match=said):
        merge.merge_part(str(tmp_path / "run"), bad, SMALL)
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert os.path.exists(bad)


def test_a_part_at_the_limits_is_taken(tmp_path):
    members = [("part/a/b/c/1", 998), ("part/a/2", 1), ("part/a/3", 1)]
    good = hostile_part(tmp_path / "good.tar.gz", [(tarfile.TarInfo(name), b"x" * size) for name, size in members])
    assert merge.merge_part(str(tmp_path / "run"), good, SMALL) == []
    assert sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file()) == 1000


def test_a_sparse_file_of_a_terabyte_is_refused(tmp_path):
    """226 bytes that fill the disk."""
    source = tmp_path / "sparse"
    source.touch()
    os.truncate(source, 1 << 40)
    packed = tmp_path / "bad.tar.gz"
    subprocess.run(["tar", "-czSf", packed, "--transform=s,^,part/a/,", "-C", tmp_path, "sparse"], check=True)
    assert packed.stat().st_size < 1000
    with pytest.raises(ValueError, match="is not a regular file"):
        merge.merge_part(str(tmp_path / "run"), str(packed))


def test_reports_of_the_controller_lie_at_the_top(tmp_path):
    (tmp_path / "findings").mkdir()
    (tmp_path / "findings" / "health.json").write_text("{}")
    evil = hostile_part(tmp_path / "evil.tar.gz", [(tarfile.TarInfo("part/health.json"), b"evil")])
    sealed = seal_bundle(str(tmp_path / "run"), [evil], [], {}, [str(tmp_path / "findings")])
    assert Path(sealed.folder, "health.json").read_text() == "{}"
    assert [entry.reason for entry in sealed.rows] == ["error"]


def test_the_reason_why_a_run_failed_has_no_holes():
    gone = row(Instance("c", "region", "r1"), "stack", verdict(Reason.GONE))
    nowhere = row(Instance("", "", ""), "access", verdict(Reason.UNREACHABLE, "no route to host"))
    assert failure_message([], "failed") == "Nothing was captured: no instance was found."
    said = failure_message([gone], "failed")
    assert said.startswith("Nothing was captured: 1 failed (gone). The first: r1: The instance disappeared")
    assert "The first: The target does not answer: no route to host" in failure_message([nowhere], "failed")


def test_a_failed_capture_is_told_before_one_that_was_skipped():
    of = Instance("c", "region", "r1")
    rows = [row(of, "status:db_stats", verdict(Reason.NOT_OFFERED)), row(of, "status:ping", verdict(Reason.NO_ANSWER))]
    assert "The first: r1: No answer arrived" in failure_message(rows, "failed")


# A failed set-up, and components that are not there


def nothing(cluster: str, reason: str = "no_result") -> dict[str, str]:
    return {"cluster": cluster, "error": "the library kubernetes is missing", "reason": reason}


@pytest.mark.parametrize("reason", ["no_result", "unreachable"])
def test_a_failed_set_up_leaves_no_bundle(tmp_path, reason):
    folder = tmp_path / "out" / "run"
    empty = folder / "parts" / "a-1"
    Store(str(empty)).finish([])
    (folder / "running.json").write_text("{}")
    findings = tmp_path / "findings"
    findings.mkdir()
    (findings / "health.json").write_text("{}")
    absent = [nothing("a", reason), nothing("b", reason)]
    sealed = seal_bundle(str(folder), [str(empty), str(folder / "parts" / "b-1")], absent, {}, [str(findings)])
    assert (sealed.folder, sealed.archive) == ("", "")
    assert [entry.reason for entry in sealed.rows] == [reason] * 2
    assert "the library kubernetes is missing" in "\n".join(sealed.table)
    assert "Nothing was captured" in failure_message(sealed.rows, "failed")
    assert list((tmp_path / "out").iterdir()) == []
    assert not findings.exists()


def not_listed(folder: Path, cluster: str, more: tuple[LedgerRow, ...] = ()) -> str:
    """A part that says that the API server could not be reached, with a document as an audit writes it."""
    store = Store(str(folder))
    store.keep([cluster], "status.json", b"{}")
    place = Instance(cluster=cluster, component="", name="", namespace="onecloud")
    store.finish([row(place, "discovery", verdict(Reason.UNREACHABLE, "the connection was refused")), *more])
    return str(folder)


def test_an_api_server_that_cannot_be_reached_leaves_no_bundle(tmp_path):
    folder = tmp_path / "out" / "run"
    parts = [not_listed(folder / "parts" / f"{name}-1", name) for name in ("a", "b")]
    sealed = seal_bundle(str(folder), parts, [], {})
    assert (sealed.folder, sealed.archive) == ("", "")
    assert len(sealed.table) == 1, sealed.table
    assert sealed.table[0].startswith("a/onecloud, b/onecloud: ")
    assert "the connection was refused" in sealed.table[0]
    assert "Nothing was captured" in failure_message(sealed.rows, "failed")
    assert list((tmp_path / "out").iterdir()) == []


def test_whatever_else_was_seen_is_sealed_beside_a_failed_list(tmp_path):
    of = Instance(cluster="a", component="region", name="pod-1", namespace="onecloud")
    entry = row(of, "stack", verdict(Reason.NO_DUMP))
    sealed = seal_bundle(str(tmp_path / "run"), [not_listed(tmp_path / "part", "a", (entry,))], [], {})
    assert verify(sealed.archive).intact
    assert {entry.reason for entry in sealed.rows} == {"unreachable", "no_dump"}


def test_what_one_access_point_brought_is_sealed_whatever_the_others_lack(tmp_path):
    brought = part(tmp_path / "part", "a")
    sealed = seal_bundle(str(tmp_path / "run"), [brought], [nothing("b")], {})
    assert verify(sealed.archive).intact
    assert {entry.reason for entry in sealed.rows} == {"proven", "no_result"}


def test_a_part_that_cannot_be_read_is_kept_after_a_failed_set_up(tmp_path):
    run = tmp_path / "run"
    (run / "parts").mkdir(parents=True)
    bad = run / "parts" / "a-1.tar.gz"
    bad.write_bytes(b"no archive")
    sealed = seal_bundle(str(run), [str(bad)], [nothing("b")], {})
    assert sealed.archive
    assert bad.exists()


def test_a_run_that_found_no_instance_is_sealed_as_before(tmp_path):
    assert seal_bundle(str(tmp_path / "run"), [], [], {}).archive


def lacks(cluster: str, component: str, detail: str = "") -> LedgerRow:
    return row(Instance(cluster, component, ""), "discovery", verdict(Reason.NOT_FOUND, detail or component))


def test_a_named_component_is_missing_only_where_no_machine_of_its_cluster_has_it():
    has = row(Instance("a", "region", "region-1"), "stack", verdict(Reason.PROVEN))
    rows = mark_not_deployed(
        [has, lacks("a", "region", "region on node-2"), lacks("b", "region"), lacks("a", "glance")]
    )
    assert [entry.reason for entry in rows] == ["proven", "not_deployed", "not_found", "not_found"]
    assert "region on node-2" in rows[1].message


def test_a_named_component_that_is_not_there_fails_a_run_unless_that_is_allowed():
    has = row(Instance("a", "region", "region-1"), "stack", verdict(Reason.PROVEN))
    told = lacks("a", "regoin", "there is no component 'regoin'; did you mean region?")
    for policy in ("failed", "partial", "any"):
        assert failure_message([has, told], policy).endswith("there is no component 'regoin'; did you mean region?")
    assert failure_message([has, told], "none") == ""
    assert failure_message([has], "failed") == ""
    both = failure_message([has, told, lacks("a", "glance")], "failed")
    assert both.endswith("did you mean region?; glance.")
