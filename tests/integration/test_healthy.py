# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture of a healthy cloud: all dumps complete, only the right processes signalled, nothing harmed."""

from __future__ import annotations

import json
import re
import stat
import tarfile
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.capture_options import StackOptions
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import utc_moment
from world import ROOT, Run, World, play

import collection

NAMESPACE = "onecloud"
DUMPING = {
    "region": 4,  # three replicas and a read-only one
    "keystone": 2,
    "glance": 1,
    "webconsole": 1,
    "apigateway": 1,
    "ansibleserver": 1,
    "cloudnet": 1,
    "notify": 1,
    "esxi-agent": 1,
    "host": 2,  # one per node
    "host-deployer": 2,
    "host-health": 2,
    "host-image": 2,
}
ABSENT = "devtool"  # a component of the catalog that the cloud does not have
UNTOUCHABLE = {
    "scheduler": "never_dumps",
    "monitor": "never_dumps",
    "mcp-server": "never_dumps",
    "region-dns": "reloads",
    "climc": "may_die",
    "web": "may_die",
    "itsm": "may_die",
    "etcd": "may_die",
}


@pytest.fixture(scope="module")
def captured(healthy: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict, dict]:
    """Run the playbook with only a kubeconfig; return it with all containers before and after."""
    before = healthy.containers(NAMESPACE)
    run = play(tmp_path_factory.mktemp("healthy"), {}, environment={"K8S_AUTH_KUBECONFIG": healthy.kubeconfig})
    return run, before, healthy.containers(NAMESPACE)


def test_captures_complete_dumps_of_all_replicas(captured):
    run, _before, _after = captured
    assert run.code == 0, run.shown
    found = {component: len(run.of(component=component, status="complete")) for component in DUMPING}
    assert found == DUMPING
    assert len(run.of()) == sum(DUMPING.values())
    for row in run.of():
        text = (run.bundle / row["path"]).read_text()
        total = int(re.match(r"goroutine profile: total (\d+)\n", text)[1])
        blocks = [int(count) for count in re.findall(r"^(\d+) @ 0x", text, re.MULTILINE)]
        assert row["details"]["total"] == row["details"]["goroutines"] == total == sum(blocks)
        assert total > 100


def test_each_dump_belongs_to_its_component(captured):
    run, _before, _after = captured
    for row in run.of():
        binary = {"apigateway": ("apigateway", "yunionapi")}.get(row["component"], (row["component"],))
        assert row["details"]["executable"].rsplit("/", 1)[1] in binary
        assert (run.bundle / row["path"]).parts[-3] == row["component"]
    for component in ("host", "host-deployer", "host-image", "host-health"):
        pids = {(row["node"], row["details"]["pid"]) for row in run.of(component=component)}
        assert len(pids) == 2


def test_restarts_no_container(captured):
    run, before, after = captured
    assert before == after
    assert {row["details"]["restarted"] for row in run.of()} == {False}


def test_signals_all_replicas_at_the_same_time(captured, healthy):
    """Check that no process is signalled before all are ready, unless that takes longer than the barrier waits."""
    run, _before, _after = captured
    assert re.search(r"changed=1 ", run.shown)
    sent = [utc_moment(row["details"]["signal_sent"]) for row in run.of()]
    begun = min(utc_moment(row["started"]) for row in run.of())
    ready = [
        utc_moment(event["stageTimestamp"])
        for event in healthy.audit()
        if event.get("objectRef", {}).get("subresource") == "exec" and event["stage"] == "ResponseStarted"
    ]
    ready = [moment for moment in ready if begun <= moment <= max(sent)]
    assert len(ready) == len(sent)
    assert max(ready) <= min(sent) or (min(sent) - min(ready)).total_seconds() > StackOptions().barrier_timeout


def test_reads_the_version_once_per_image(captured):
    run, _before, _after = captured
    versions = run.of("version")
    assert len(versions) == len(run.of())
    assert {row["status"] for row in versions} == {"complete"}
    for component in DUMPING:
        own = [row for row in versions if row["component"] == component]
        assert sorted({row["reason"] for row in own}) in (["recorded"], ["recorded", "same_image"])
        assert len([row for row in own if row["reason"] == "recorded"]) == 1
        assert {row["details"]["version"]["gitVersion"] for row in own} != {""}
    recorded = next(row for row in versions if row["reason"] == "recorded")
    raw = (run.bundle / recorded["path"]).with_name("version.txt").read_bytes()
    assert raw.startswith(b"Yunion cloud version:\n{")


def test_bundle_is_private_sealed_and_matches_its_schemas(captured):
    run, _before, _after = captured
    for path in [run.bundle, *run.bundle.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE(run.archive.stat().st_mode) == 0o600
    schema = json.loads((ROOT / "docs/schemas/ledger-row.schema.json").read_text())
    for row in run.rows:
        jsonschema.validate(row, schema)
    manifest = json.loads((run.bundle / "manifest.json").read_text())
    jsonschema.validate(manifest, json.loads((ROOT / "docs/schemas/manifest.schema.json").read_text()))
    files = {str(path.relative_to(run.bundle)) for path in run.bundle.rglob("*") if path.is_file()}
    assert files == {entry["path"] for entry in manifest["files"]} | {"manifest.json"}
    with tarfile.open(run.archive) as archive:
        assert {name.partition("/")[2] for name in archive.getnames()} == files


def test_shows_a_table_and_the_path_of_the_bundle(captured):
    run, _before, _after = captured
    assert re.search(r"region +4 +4 +- +- +- +- ", run.shown)
    assert str(run.archive) in run.shown
    issue = (run.bundle / "issue.md").read_text()
    assert "## region" in issue
    assert "- instances: 4" in issue


@pytest.fixture(scope="module")
def untouched(healthy: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict, dict]:
    before = healthy.containers(NAMESPACE)
    variables = {"cloudpods_kubeconfig": healthy.kubeconfig, "cloudpods_components": [*UNTOUCHABLE, ABSENT]}
    run = play(tmp_path_factory.mktemp("untouched"), variables)
    return run, before, healthy.containers(NAMESPACE)


def test_refuses_components_without_dumper_and_leaves_them_running(untouched):
    run, before, after = untouched
    assert {row["component"]: row["reason"] for row in run.of()} == UNTOUCHABLE
    assert before == after
    assert not [row for row in run.rows if "signal_sent" in row["details"]]
    assert "changed=0" in run.shown


def test_component_without_instances_has_a_row(untouched):
    run, _before, _after = untouched
    (row,) = run.of("discovery")
    assert (row["component"], row["status"], row["reason"]) == (ABSENT, "failed", "not_found")


def test_unknown_component_fails_with_the_nearest_names(healthy, tmp_path):
    run = play(tmp_path, {"cloudpods_kubeconfig": healthy.kubeconfig, "cloudpods_components": ["regoin"]})
    assert run.code == 2
    assert "regoin" in run.shown
    assert "did you mean region" in run.shown


def test_accepts_all_component_names_of_the_catalog(healthy, tmp_path):
    names = ["identity", "image"]
    run = play(tmp_path, {"cloudpods_kubeconfig": healthy.kubeconfig, "cloudpods_components": names})
    assert {(row["component"], row["status"]) for row in run.of()} == {("keystone", "complete"), ("glance", "complete")}


def test_play_fails_if_nothing_was_captured(untouched):
    run, _before, _after = untouched
    assert run.code == 2
    assert "Nothing was captured" in run.shown
    assert run.archive.exists()


def test_unknown_scenario_fails_with_the_known_names(healthy, tmp_path):
    run = play(tmp_path, {"cloudpods_kubeconfig": healthy.kubeconfig, "cloudpods_scenario": "slow"})
    assert run.code == 2
    assert "deadlock, kvm_image, kvm_server, other_server, slow_system or vmware_server" in run.shown


def test_several_dumps_have_sequence_numbers(healthy, tmp_path):
    variables = {
        "cloudpods_kubeconfig": healthy.kubeconfig,
        "cloudpods_components": "keystone",
        "cloudpods_dump_count": 3,
        "cloudpods_dump_interval": 1,
    }
    run = play(tmp_path, variables)
    assert sorted(row["sequence"] for row in run.of(status="complete")) == [1, 1, 2, 2, 3, 3]
    first, last = (min(row["started"] for row in run.of(sequence=number)) for number in (1, 3))
    assert (
        float(last[17:-1]) - float(first[17:-1])
    ) % 60 > 1.9  # The interval is from start to start; times are in milliseconds.
    names = {Path(row["path"]).name for row in run.of()}
    assert names == {"stack-1.txt", "stack-2.txt", "stack-3.txt"}


def test_checkout_works_like_the_installed_collection(healthy, tmp_path):
    playbook = ROOT / "playbooks" / "capture_stacks.yml"
    variables = {"cloudpods_kubeconfig": healthy.kubeconfig, "cloudpods_scenario": "kvm_image"}
    linked = {"ANSIBLE_COLLECTIONS_PATH": str(collection.link())}
    run = play(tmp_path, variables, playbook=str(playbook), environment=linked)
    assert run.code == 0, run.shown
    assert [row["component"] for row in run.of(status="complete")] == ["glance"]
