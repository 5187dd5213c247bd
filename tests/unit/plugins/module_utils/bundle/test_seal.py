# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing of parts into a bundle, and the policy for failed runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import MANIFEST, verify
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import (
    failure_message,
    mark_not_deployed,
    seal_bundle,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import LEDGER, Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, LedgerRow, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from bundle_parts import part


def test_merges_parts_into_one_ledger(sealed, tmp_path):
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
def test_bundle_contains_log_verdicts(tmp_path, also):
    store = Store(str(tmp_path / "part"))
    instance = Instance(cluster="c", component="region", name="pod-1", namespace="onecloud")
    details = {"verdict": "dropping", "rule": "tasks_lost", "evidence": ["640 tasks lost"]}
    store.record(
        [row(instance, capture, verdict(Reason.RECORDED), details=details) for capture in ("log_watch", *also)]
    )
    folder = Path(seal_bundle(str(tmp_path / "run"), [store.root], [], {"id": "run"}).folder)
    assert "| region | pod-1 | dropping | tasks\\_lost | 640 tasks lost | - |" in (folder / "issue.md").read_text()


@pytest.mark.parametrize("reason", [Reason.UNREACHABLE, Reason.NO_RESULT])
def test_absent_access_point_has_a_row(tmp_path, reason):
    absent = [{"cluster": "c", "error": "pattern 'own' is wrong", "reason": reason.value}]
    (found,) = seal_bundle(str(tmp_path / "run"), [], absent, {"id": "run"}).rows
    assert (found.cluster, found.status, found.reason) == ("c", "failed", reason.value)
    assert "pattern 'own' is wrong" in found.message
    assert ("answer" in found.message) == (reason is Reason.UNREACHABLE)


def test_second_report_of_the_same_name_is_refused(tmp_path):
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
def test_failure_depends_on_the_policy(reasons, fails):
    instance = Instance(cluster="c", component="region", name="p")
    rows = [row(instance, "stack", verdict(reason)) for reason in reasons]
    assert {policy for policy in ("none", "failed", "partial", "any") if failure_message(rows, policy)} == fails


def test_refuses_to_seal_twice(sealed, tmp_path):
    before = Path(sealed.archive).read_bytes()
    again = part(tmp_path / "again", "d")
    with pytest.raises(ValueError, match="is a sealed bundle already"):
        seal_bundle(sealed.folder, [again], [], {"id": "run-1"})
    assert Path(sealed.archive).read_bytes() == before
    assert verify(sealed.folder).intact
    assert Path(again, LEDGER).is_file()


def test_failure_message_is_complete():
    gone = row(Instance("c", "region", "r1"), "stack", verdict(Reason.GONE))
    nowhere = row(Instance("", "", ""), "access", verdict(Reason.UNREACHABLE, "no route to host"))
    assert failure_message([], "failed") == "Nothing was captured: no instance was found."
    said = failure_message([gone], "failed")
    assert said.startswith("Nothing was captured: 1 failed (gone). The first: r1: The instance disappeared")
    assert "The first: The target does not answer: no route to host" in failure_message([nowhere], "failed")


def test_failure_message_begins_with_a_failed_capture():
    of = Instance("c", "region", "r1")
    rows = [row(of, "status:db_stats", verdict(Reason.NOT_OFFERED)), row(of, "status:ping", verdict(Reason.NO_ANSWER))]
    assert "The first: r1: No answer arrived" in failure_message(rows, "failed")


# A failed set-up, and components that are not there


def nothing(cluster: str, reason: str = "no_result") -> dict[str, str]:
    return {"cluster": cluster, "error": "the library kubernetes is missing", "reason": reason}


@pytest.mark.parametrize("reason", ["no_result", "unreachable"])
def test_failed_setup_leaves_no_bundle(tmp_path, reason):
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
    """Make a part whose API server was unreachable, with a document as an audit writes it."""
    store = Store(str(folder))
    store.keep([cluster], "status.json", b"{}")
    place = Instance(cluster=cluster, component="", name="", namespace="onecloud")
    store.finish([row(place, "discovery", verdict(Reason.UNREACHABLE, "the connection was refused")), *more])
    return str(folder)


def test_unreachable_api_server_leaves_no_bundle(tmp_path):
    folder = tmp_path / "out" / "run"
    parts = [not_listed(folder / "parts" / f"{name}-1", name) for name in ("a", "b")]
    sealed = seal_bundle(str(folder), parts, [], {})
    assert (sealed.folder, sealed.archive) == ("", "")
    assert len(sealed.table) == 1, sealed.table
    assert sealed.table[0].startswith("a/onecloud, b/onecloud: ")
    assert "the connection was refused" in sealed.table[0]
    assert "Nothing was captured" in failure_message(sealed.rows, "failed")
    assert list((tmp_path / "out").iterdir()) == []


def test_seals_other_rows_beside_a_failed_discovery(tmp_path):
    of = Instance(cluster="a", component="region", name="pod-1", namespace="onecloud")
    entry = row(of, "stack", verdict(Reason.NO_DUMP))
    sealed = seal_bundle(str(tmp_path / "run"), [not_listed(tmp_path / "part", "a", (entry,))], [], {})
    assert verify(sealed.archive).intact
    assert {entry.reason for entry in sealed.rows} == {"unreachable", "no_dump"}


def test_seals_one_access_point_without_the_others(tmp_path):
    brought = part(tmp_path / "part", "a")
    sealed = seal_bundle(str(tmp_path / "run"), [brought], [nothing("b")], {})
    assert verify(sealed.archive).intact
    assert {entry.reason for entry in sealed.rows} == {"proven", "no_result"}


def test_keeps_unreadable_part_after_failed_setup(tmp_path):
    run = tmp_path / "run"
    (run / "parts").mkdir(parents=True)
    bad = run / "parts" / "a-1.tar.gz"
    bad.write_bytes(b"no archive")
    sealed = seal_bundle(str(run), [str(bad)], [nothing("b")], {})
    assert sealed.archive
    assert bad.exists()


def test_seals_run_without_instances(tmp_path):
    assert seal_bundle(str(tmp_path / "run"), [], [], {}).archive


def lacks(cluster: str, component: str, detail: str = "") -> LedgerRow:
    return row(Instance(cluster, component, ""), "discovery", verdict(Reason.NOT_FOUND, detail or component))


def test_component_is_missing_only_if_no_machine_has_it():
    has = row(Instance("a", "region", "region-1"), "stack", verdict(Reason.PROVEN))
    rows = mark_not_deployed(
        [has, lacks("a", "region", "region on node-2"), lacks("b", "region"), lacks("a", "glance")]
    )
    assert [entry.reason for entry in rows] == ["proven", "not_deployed", "not_found", "not_found"]
    assert "region on node-2" in rows[1].message


def test_missing_named_component_fails_the_run():
    has = row(Instance("a", "region", "region-1"), "stack", verdict(Reason.PROVEN))
    told = lacks("a", "regoin", "there is no component 'regoin'; did you mean region?")
    for policy in ("failed", "partial", "any"):
        assert failure_message([has, told], policy).endswith("there is no component 'regoin'; did you mean region?")
    assert failure_message([has, told], "none") == ""
    assert failure_message([has], "failed") == ""
    both = failure_message([has, told, lacks("a", "glance")], "failed")
    assert both.endswith("did you mean region?; glance.")
