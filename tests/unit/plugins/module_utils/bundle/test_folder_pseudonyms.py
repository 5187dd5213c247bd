# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identities planted in every kind of artifact are absent from a sealed bundle with tokens."""

from __future__ import annotations

import gzip
import json

import identity_kinds as kinds
import pprofs
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.identity_map import (
    map_of_identities,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.manifest import verify
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.seal import seal_bundle
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.limits import RedactionLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import Redactor
from planted_identities import ARTIFACTS, DOCUMENT, IDENTITIES, INSTANCE, LOG, TEXTS, contents, part, sealed

REPORTS = {
    "health.json": DOCUMENT,
    "health.md": LOG,
    "junit.xml": b"<testsuite>" + LOG.replace(b"<", b"&lt;").replace(b'"', b"&quot;") + b"</testsuite>",
    "top.html": b"<pre>" + LOG.replace(b'"', b"&quot;") + b"</pre>",
}


def forms(identity):
    """Return the identity in plain text and as JSON."""
    return {identity.lower().encode(), json.dumps(identity)[1:-1].lower().encode()}


def test_archive_contains_no_identity(tmp_path):
    reports = tmp_path / "reports"
    reports.mkdir()
    for name, data in REPORTS.items():
        (reports / name).write_bytes(data)
    absent = [{"cluster": "initrode-cloud-8", "error": TEXTS["host in a URL"], "reason": "unreachable"}]
    run = {"id": "kvm-rack7", "asked": TEXTS["project"], "components": ["region"]}
    made = sealed(tmp_path, ARTIFACTS, tmp_path / "map", "kvm-rack7", absent=absent, run=run, reports=[str(reports)])
    found = contents(made.archive)
    assert len(found) == len(ARTIFACTS) + len(REPORTS) + 3
    for name, data in found.items():
        # The name that the user gave the run stays.
        lower = data.lower().replace(b'"id": "kvm-rack7"', b"").replace(b"- id: kvm-rack7\n", b"")
        left = [each for each in IDENTITIES for form in forms(each) if form in lower]
        assert left == [], name
        assert not [each for each in IDENTITIES if each.lower() in name.partition("/")[2].lower()]
        assert b"initrode" not in lower
    # Its user still reads the names that he knows.
    assert any("initrode-cloud-8" in line for line in made.table)
    assert {entry.cluster for entry in made.rows} == {INSTANCE.cluster, "initrode-cloud-8"}


def test_archive_is_intact_and_counts_replacements(tmp_path):
    made = sealed(tmp_path, ARTIFACTS, tmp_path / "map")
    checked = verify(made.archive)
    assert checked.intact, checked.problems
    assert checked.level == "identity"
    assert checked.replaced["host"] > 100
    assert {kind for _text, _identity, kind in kinds.KINDS.values()} <= set(checked.replaced)
    assert verify(made.folder).intact


def test_ledger_paths_are_in_the_archive(tmp_path):
    found = contents(sealed(tmp_path, ARTIFACTS, tmp_path / "map").archive)
    rows = [json.loads(line) for line in found["run/ledger.jsonl"].splitlines()]
    assert len(rows) == len(ARTIFACTS)
    for entry in rows:
        assert f"run/{entry['path']}" in found
        assert f"run/{entry['details'].get('parsed', entry['path'])}" in found
        assert entry["path"].startswith("cluster-0001/region/region-pod-0001/")
        assert (entry["node"], entry["namespace"], entry["component"]) == ("host-0001", "namespace-0001", "region")


def test_json_and_profiles_stay_valid(tmp_path):
    found = contents(sealed(tmp_path, ARTIFACTS, tmp_path / "map").archive)
    for name, data in found.items():
        if name.endswith(".json"):
            assert json.loads(data)
    profile = pprofs.message_class("Profile")()
    profile.ParseFromString(next(data for name, data in found.items() if name.endswith("cpu.pb.gz")))
    assert b"main.main" in profile.string_table
    assert any(b"host-00" in text for text in profile.string_table)


def test_identity_keeps_its_token_across_bundles(tmp_path):
    said = {"a.txt": b"host=athena project=blue-whale", "b.txt": b"it was athena at 10.168.222.17"}
    first = contents(sealed(tmp_path, said, tmp_path / "map", "one", said="").archive)
    other = {"a.txt": b"10.168.222.99 10.168.222.17 athena host=hermes"}
    second = contents(sealed(tmp_path, other, tmp_path / "map", "two", said="").archive)
    place = "cluster-0001/region/region-pod-0001"
    assert first[f"one/{place}/a.txt"] == b"host=host-0002 project=project-0001"
    assert first[f"one/{place}/b.txt"] == b"it was host-0002 at ip-0001"
    assert second[f"two/{place}/a.txt"].split()[1:] == [b"ip-0001", b"host-0002", b"host=host-0003"]


@pytest.mark.parametrize("names", [("Prod", "prod"), ("cluster-0001", "other-9"), ("other-9", "cluster-0001")])
def test_files_get_distinct_paths(tmp_path, names):
    """Names that differ only in case share a token, and a real name may equal a token of an earlier bundle."""
    with map_of_identities(str(tmp_path / "map"), str(tmp_path / "run")) as tokens:
        tokens.of(b"other-9", "cluster")
    parts = []
    for number, name in enumerate(names):
        instance = Instance(cluster=name, component="region", name="region-1")
        parts.append(part(tmp_path / f"part-{number}", {"a.txt": b"%d" % number}, instance))
    made = seal_bundle(str(tmp_path / "run"), parts, [], {}, identity_map=str(tmp_path / "map"))
    found = contents(made.archive)
    assert sorted(data for name, data in found.items() if "/region-1/a" in name) == [b"0", b"1"]
    rows = [json.loads(line) for line in found["run/ledger.jsonl"].splitlines()]
    assert [found[f"run/{entry['path']}"] for entry in rows] == [b"0", b"1"]
    assert verify(made.archive).intact


def test_leaves_out_files_that_cannot_be_searched(tmp_path):
    artifacts = {"cpu.pb.gz": gzip.compress(bytes(4 << 20)), "heap.pb.gz": gzip.compress(b"x")}
    made = sealed(tmp_path, artifacts, tmp_path / "map", redactor=Redactor(limits=RedactionLimits(unpacked=1 << 20)))
    rows = {entry.capture: (entry.status, entry.reason, entry.path) for entry in made.rows}
    assert rows["cpu.pb.gz"] == ("failed", "not_redacted", "")
    assert rows["heap.pb.gz"][2]
    assert not [name for name in contents(made.archive) if "cpu.pb.gz" in name]
    assert verify(made.archive).intact


def test_replaces_identities_in_unusable_parts(tmp_path):
    run = tmp_path / "run"
    (run / "parts").mkdir(parents=True)
    waiting = run / "parts/kvm-node-31-1"
    waiting.write_bytes(gzip.compress(b"no tar of kvm-node-31 10.168.222.17"))
    given_parts = [part(tmp_path / "part", {"a.txt": b"x"}), str(waiting)]
    made = seal_bundle(str(run), given_parts, [], {}, identity_map=str(tmp_path / "map"))
    for name, data in contents(made.archive).items():
        assert b"kvm-node-31" not in data
        assert b"10.168.222.17" not in data
        assert "kvm-node-31" not in name
    assert verify(made.archive).intact
