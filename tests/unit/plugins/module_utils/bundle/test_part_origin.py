# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts contain data of their own cluster only, and conflicting reports on an instance are kept."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import verify
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.merge import MergeLimits, pack_part
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.part_origin import check_origin
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import LEDGER, Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict

REGION = Instance(cluster="b", component="region", name="region-1", namespace="onecloud")


def row_line(cluster: str) -> bytes:
    entry = row(Instance(cluster, "region", "region-1"), "stack", verdict(Reason.PROVEN))
    return json.dumps(entry.as_dict()).encode() + b"\n"


def packed(folder: Path, files: dict[str, bytes]) -> str:
    path = folder / "part.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"part/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(path)


GOOD = {
    "b_1/region/region-1/status.json": json.dumps({"instance": {"cluster": "b/1"}}).encode(),
    "b_1/cluster.json": json.dumps({"cluster": "b/1"}).encode(),
    "b_1/region/region-1/stack-1.txt": b"goroutine profile: total 0\n",
    LEDGER: row_line("b/1"),
}
FOREIGN = {
    "a file": {"a/region/region-1/stack-1.txt": b""},
    "a file whose folder begins alike": {"b_1-other/region/region-1/stack-1.txt": b""},
    "a file at the top": {"b_1": b""},
    "a report": {"health.json": b"{}"},
    "a row": {LEDGER: row_line("b/1") + row_line("a")},
    "an instance": {"b_1/region/r/status.json": json.dumps({"instance": {"cluster": "a"}}).encode()},
    "an access point": {"b_1/cluster.json": json.dumps({"cluster": "a"}).encode()},
    "a machine": {"b_1/machines/n/cluster.json": json.dumps({"cluster": ["b/1"]}).encode()},
    "a row that is none": {LEDGER: b"{"},
    "a row nested deeply": {LEDGER: b"[" * 100_000},
}


def test_accepts_part_of_its_own_cluster(tmp_path):
    check_origin(packed(tmp_path, GOOD), "b/1")


@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_refuses_data_of_another_cluster(tmp_path, files):
    with pytest.raises(ValueError, match=r"the part of b/1|Expecting|nested"):
        check_origin(packed(tmp_path, {**GOOD, **files}), "b/1")


@pytest.mark.parametrize("document", [b"{", b"[" * 100_000, b"[]", b"{}", b'{"instance": 5}', b"\xff"])
def test_accepts_unreadable_document(tmp_path, document):
    check_origin(packed(tmp_path, {**GOOD, "b_1/region/r/status.json": document}), "b/1")


@pytest.mark.parametrize("limits", [MergeLimits(bytes=200), MergeLimits(files=3), MergeLimits(ledger=10)], ids=repr)
def test_limits_what_is_read(tmp_path, limits):
    with pytest.raises(ValueError, match=r"larger than"):
        check_origin(packed(tmp_path, GOOD), "b/1", limits)


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x1f\x8b\x08" + b"\0" * 30])
def test_refuses_what_is_not_a_part(tmp_path, data):
    (tmp_path / "part.tar.gz").write_bytes(data)
    with pytest.raises(ValueError, match="cannot be read"):
        check_origin(str(tmp_path / "part.tar.gz"), "b")


def part(folder: Path, text: bytes, instance: Instance = REGION, sequence: int = 1) -> str:
    """Make a part with one dump and its parsed form."""
    store = Store(str(folder))
    artifact = store.keep(instance.folders, f"stack-{sequence}.txt", text)
    parsed = store.keep(instance.folders, f"stack-{sequence}.json", b'{"groups": []}').path
    store.record([row(instance, "stack", verdict(Reason.PROVEN), sequence, artifact, details={"parsed": parsed})])
    return str(folder)


def test_keeps_both_reports_on_one_instance(tmp_path):
    """The part that is merged first cannot hide captures of another machine."""
    parts = [part(tmp_path / "node-01-1", b"forged"), pack_part(part(tmp_path / "node-02-1", b"real"))]
    sealed = seal_bundle(str(tmp_path / "run"), parts, [], {"id": "run"})
    assert [Path(sealed.folder, entry.path).read_bytes() for entry in sealed.rows if entry.path] == [b"forged", b"real"]
    assert [entry.details["parsed"] for entry in sealed.rows if entry.path] == [
        "b/region/region-1/stack-1.json",
        "b/of-node-02-1/region/region-1/stack-1.json",
    ]
    disputed = sealed.rows[-1]
    assert (disputed.cluster, disputed.status, disputed.reason) == ("b", "failed", "disputed")
    assert "node-01 and node-02 both report region/region-1, stack" in disputed.message
    assert verify(sealed.archive).intact


def test_reports_conflict_of_rows_without_files(tmp_path):
    forged = Store(str(tmp_path / "node-02-1"))
    forged.record([row(REGION, "stack", verdict(Reason.USR1_NOT_CAUGHT), number) for number in (1, 2)])
    parts = [part(tmp_path / "node-01-1", b"real"), part(tmp_path / "node-01-2", b"later", sequence=2), forged.root]
    rows = seal_bundle(str(tmp_path / "run"), parts, [], {"id": "run"}).rows
    assert [entry.reason for entry in rows] == ["proven", "proven", "usr1_not_caught", "usr1_not_caught", "disputed"]
    assert "node-01 and node-02 both report region/region-1, stack and 1 more captures" in rows[-1].message


def test_two_parts_of_one_access_point_do_not_conflict(tmp_path):
    """A play may capture twice."""
    parts = [part(tmp_path / "cloud-a-1", b"first"), part(tmp_path / "cloud-a-2", b"second")]
    parts.append(part(tmp_path / "cloud-a-3", b"third"))
    sealed = seal_bundle(str(tmp_path / "run"), parts, [], {"id": "run"})
    assert [entry.reason for entry in sealed.rows] == ["proven"] * 3
    texts = [Path(sealed.folder, entry.path).read_bytes() for entry in sealed.rows]
    assert texts == [b"first", b"second", b"third"]
