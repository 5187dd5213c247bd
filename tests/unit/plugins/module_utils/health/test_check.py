# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits from files to files."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import sys
import tarfile
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import verify
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.merge import pack_part
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health import check as check_module
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.check import (
    CheckError,
    CheckRequest,
    check,
    read_rules,
    write_reports,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rules import RuleError
from audit_documents import NOW, cluster, file_of, findings_of, instance, rule, status

sys.path.insert(0, str(Path(__file__).parents[1] / "inputs"))

from packing import tar, zipped, zipped_to_pipe

NEEDS_KUBERNETES = rule(applies_to={"transports": ["kubernetes"]})


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules" / "own.yml"
    path.parent.mkdir()
    path.write_text(file_of(NEEDS_KUBERNETES)[1])
    (path.parent / "README").write_text("not a rule")
    return str(path.parent)


def make_part(root, *statuses, of=None):
    """Write a part as status_info does."""
    for document in (of or cluster(), *statuses):
        inside = document.get("instance", {})
        folder = root / inside.get("cluster", document.get("cluster", ""))
        if inside:
            folder = folder / inside["component"] / inside["name"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ("status.json" if inside else "cluster.json")).write_text(json.dumps(document))
        (folder / "stats-1.json").write_text("{raw")
    return str(root)


def pack(path, names_and_data):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in names_and_data:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(path)


def run(rules, *paths, **more):
    return check(CheckRequest(paths, [rules], **more), NOW)[1]


TWO = (status(instance(restarts=1)), status(instance(name="region-2")))


def test_reads_folder_archive_and_bundle_alike(tmp_path, rules):
    part = make_part(tmp_path / "part", *TWO)
    of_folder = run(rules, part)
    assert findings_of(of_folder) == [("warning", "some_rule")]
    assert (of_folder["counts"]["instances"], of_folder["problems"]) == (2, [])
    archive = pack_part(part)
    assert run(rules, archive) == of_folder
    sealed = seal_bundle(str(tmp_path / "run"), [archive], [], {"id": "run"})
    assert run(rules, sealed.folder) == of_folder
    assert run(rules, sealed.archive) == of_folder


PACKED_ANEW = {
    "tar": tar,
    "tar.xz": lambda files: tar(files, "w:xz"),
    "zip": zipped,
    "zip to a pipe": zipped_to_pipe,
    "zip of its archive": lambda files: zipped({"run.tar.gz": tar(files, "w:gz")}),
}


def files_of(folder, top="run"):
    return {
        f"{top}/{path.relative_to(folder)}": path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("form", PACKED_ANEW)
def test_reads_repacked_bundles_alike(tmp_path, rules, form):
    part = make_part(tmp_path / "part", *TWO)
    audit, document = check(CheckRequest([part], [rules]), NOW)
    write_reports(str(tmp_path / "out"), audit, document, "critical")
    sealed = seal_bundle(str(tmp_path / "run"), [part], [], {"id": "run"}, [str(tmp_path / "out")])
    path = tmp_path / "sent"
    path.write_bytes(PACKED_ANEW[form](files_of(sealed.folder)))
    assert run(rules, str(path)) == run(rules, sealed.folder)
    assert [one["change"] for one in run(rules, sealed.folder, baseline=str(path))["findings"]] == ["same"]
    if form != "zip of its archive":
        assert verify(str(path)).intact
        damaged = dict(files_of(sealed.folder), **{"run/added": b"x"})
        path.write_bytes(PACKED_ANEW[form](damaged))
        assert verify(str(path)).added == ["added"]


@pytest.mark.parametrize("form", PACKED_ANEW)
def test_truncated_repacked_bundle_is_not_ok(tmp_path, rules, form):
    data = PACKED_ANEW[form](files_of(make_part(tmp_path / "part", TWO[1]), "part"))
    path = tmp_path / "sent"
    # What is behind the first block of zeros of a tar is padding.
    end = -(-len(data.rstrip(b"\0")) // 512) * 512 + 512 if data.endswith(bytes(512)) else len(data)
    path.write_bytes(data)
    assert run(rules, str(path))["verdict"] == "ok"
    for length in range(0, end, max(1, end // 40)):
        path.write_bytes(data[:length])
        assert run(rules, str(path))["verdict"] == "unknown"
        assert not verify(str(path)).intact


def test_document_that_is_twice_in_an_archive_is_not_ok(tmp_path, rules):
    files = files_of(make_part(tmp_path / "part", TWO[1]), "part")
    path = tmp_path / "sent.zip"
    path.write_bytes(zipped({"a.tar": tar(files) + tar(files)}))
    document = run(rules, str(path))
    assert (document["verdict"], "it is there twice" in document["problems"][0]["message"]) == ("unknown", True)


@pytest.mark.parametrize(
    "wrap", [gzip.compress, lambda data: b"\xef\xbb\xbf" + data, lambda data: data.decode().encode("utf-16")]
)
def test_reads_compressed_and_reencoded_baselines(tmp_path, rules, wrap):
    part = make_part(tmp_path / "part", *TWO)
    audit, document = check(CheckRequest([part], [rules]), NOW)
    write_reports(str(tmp_path / "out"), audit, document, "critical")
    path = tmp_path / "health.json"
    path.write_bytes(wrap((tmp_path / "out" / "health.json").read_bytes()))
    assert [one["change"] for one in run(rules, part, baseline=str(path))["findings"]] == ["same"]
    path.write_bytes(gzip.compress(path.read_bytes())[:-9])
    with pytest.raises(CheckError, match="cut"):
        run(rules, part, baseline=str(path))


def test_order_in_an_archive_does_not_matter(tmp_path, rules):
    files = [
        ("part/c/region/region-1/status.json", json.dumps(TWO[0]).encode()),
        ("part/c/cluster.json", json.dumps(cluster()).encode()),
        ("part/c/region/region-2/status.json", json.dumps(TWO[1]).encode()),
    ]
    of_order = run(rules, pack(tmp_path / "1.tar.gz", files))
    assert of_order["unknown"] == []
    assert run(rules, pack(tmp_path / "2.tar.gz", reversed(files))) == of_order


def test_audits_several_parts_as_one_fleet(tmp_path, rules):
    first = make_part(tmp_path / "1", *TWO)
    second = make_part(tmp_path / "2", status(instance(cluster="d")), of=cluster("d"))
    document = run(rules, first, second, absent=[{"cluster": "e", "error": "no route"}])
    assert [(one["cluster"], one["verdict"]) for one in document["clusters"]] == [
        ("c", "warning"),
        ("d", "ok"),
        ("e", "unknown"),
    ]


def test_truncated_archive_is_not_ok(tmp_path, rules):
    archive = pack_part(make_part(tmp_path / "part", TWO[1]))
    with open(archive, "rb+") as stream:
        stream.truncate(len(stream.read()) - 12)
    document = run(rules, archive)
    assert (document["verdict"], findings_of(document)) == ("unknown", [])
    assert "cannot be read" in document["problems"][0]["message"]
    assert document["counts"]["instances"] == 1


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"x"), lambda path: path.mkdir(), lambda _path: None])
def test_path_that_is_no_part_is_not_ok(tmp_path, rules, make):
    make(tmp_path / "part")
    document = run(rules, make_part(tmp_path / "good", TWO[1]), str(tmp_path / "part"))
    assert document["verdict"] == "unknown"
    assert [one["place"] for one in document["problems"]] == ["part"]


def test_does_not_follow_links_out_of_a_part(tmp_path, rules):
    part = make_part(tmp_path / "part", TWO[1])
    (tmp_path / "secret").write_text(json.dumps(TWO[0]))
    (tmp_path / "part" / "c" / "region" / "region-3").mkdir()
    (tmp_path / "part" / "c" / "region" / "region-3" / "status.json").symlink_to(tmp_path / "secret")
    document = run(rules, part)
    assert (document["verdict"], findings_of(document)) == ("unknown", [])


def test_does_not_read_a_document_above_the_limit(tmp_path, rules):
    part = make_part(tmp_path / "part", dict(TWO[0], filler="x" * 3000), TWO[1])
    document = run(rules, part, max_document=2000)
    assert [one["place"] for one in document["problems"]] == ["c/region/region-1/status.json"]
    assert document["verdict"] == "unknown"


def test_accepts_file_names_that_are_not_utf8(tmp_path, rules):
    archive = pack(tmp_path / "1.tar.gz", [("part/c\udcff/region/x\udcff/status.json", b"{")])
    audit, document = check(CheckRequest([archive], [rules]), NOW)
    assert document["verdict"] == "unknown"
    write_reports(str(tmp_path / "out"), audit, document, "unknown")


def test_reads_rules_from_files_and_folders_in_order(tmp_path, rules):
    own = tmp_path / "own.yml"
    own.write_text(file_of(rule(id="own"))[1])
    assert [one.id for one in read_rules([rules, str(own)]).rules] == ["some_rule", "own"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("rules: [", "not YAML"),
        (file_of(rule(severity="bad"))[1], "some_rule: 'severity' is 'bad'"),
        (
            file_of(rule(examples=[{"expect": "warning", "status": {}}]))[1],
            "some_rule: example 1: expected warning, got silent",
        ),
    ],
)
def test_errors_in_rules_name_the_file(tmp_path, text, message):
    path = tmp_path / "bad.yml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RuleError) as caught:
        read_rules([str(path)])
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    with pytest.raises(CheckError, match=r"bad\.yml"):
        check(CheckRequest([], [str(path)]), NOW)


def test_an_unknown_threshold_is_an_error(tmp_path, rules):
    with pytest.raises(CheckError, match="there is no threshold 'x'"):
        run(rules, make_part(tmp_path / "part"), thresholds={"x": 1})


def test_baseline_is_a_file_or_in_a_bundle(tmp_path, rules):
    part = make_part(tmp_path / "part", *TWO)
    audit, document = check(CheckRequest([part], [rules]), NOW)
    write_reports(str(tmp_path / "out"), audit, document, "critical")
    sealed = seal_bundle(str(tmp_path / "run"), [part], [], {"id": "run"}, [str(tmp_path / "out")])
    for baseline in (sealed.folder, sealed.archive, str(tmp_path / "run" / "health.json")):
        again = run(rules, sealed.folder, baseline=baseline)
        assert [one["change"] for one in again["findings"]] == ["same"]


@pytest.mark.parametrize("text", [None, "{", "[]", '{"format": "cloudpods.diagnostics/health", "version": 2}'])
def test_malformed_baseline_is_an_error(tmp_path, rules, text):
    path = tmp_path / "health.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CheckError, match=r"the baseline .* cannot be used"):
        run(rules, make_part(tmp_path / "part", *TWO), baseline=str(path))


def test_bundle_without_health_json_is_no_baseline(tmp_path, rules):
    part = make_part(tmp_path / "part", *TWO)
    with pytest.raises(CheckError, match=r"it has no health\.json"):
        run(rules, part, baseline=part)


def test_writes_all_reports_with_private_permissions(tmp_path, rules):
    audit, document = check(CheckRequest([make_part(tmp_path / "part", *TWO)], [rules]), NOW)
    files = write_reports(str(tmp_path / "out"), audit, document, "critical")
    assert [path.rpartition("/")[2] for path in files] == [
        "health.json",
        "health.md",
        "health.junit.xml",
        "health.prom",
    ]
    assert json.loads((tmp_path / "out" / "health.json").read_text()) == json.loads(json.dumps(document))
    for path in (tmp_path / "out").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_size > 0
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_does_not_wait_for_fifos(tmp_path, rules):
    os.mkfifo(tmp_path / "fifo.yml")
    with pytest.raises(RuleError, match="it is not a regular file"):
        read_rules([str(tmp_path / "fifo.yml")])
    os.mkfifo(tmp_path / "fifo.json")
    with pytest.raises(CheckError, match="it is not a regular file"):
        run(rules, make_part(tmp_path / "part", *TWO), baseline=str(tmp_path / "fifo.json"))


def test_refuses_rules_above_the_limit(tmp_path):
    with open(tmp_path / "large.yml", "wb") as sparse:
        sparse.truncate(check_module.MAX_RULES + 1)
    with pytest.raises(RuleError, match="larger than"):
        read_rules([str(tmp_path / "large.yml")])
