# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits of small clouds that have one trouble each: exactly that is found, and in a healthy one nothing.

Several clouds, each in a namespace of its own, are the access points of one run, as the clusters of a fleet are.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import pytest
from deploy.health import BY_NAME, NONE
from prometheus_client.parser import text_string_to_metric_families
from world import ROOT, Run, World, play

AUDIT = "cloudpods.diagnostics.audit_health"
AT_ONCE = 10  # clouds that the lab's nodes hold at a time, each of a dozen pods
# What a stand-in does within seconds would take a real service minutes.
THRESHOLDS = {
    "goroutines_growth_warning": 100,
    "memory_outlier_minimum": 200_000_000,
    "memory_growth_warning": 20_000_000,
    "growth_ratio": 1.01,
}

# Trouble -> component and rule of everything that is found.
FINDINGS: dict[str, set[tuple[str, str]]] = {
    "pool-saturated": {("region", "worker_pool_saturated")},
    "queue-full": {("region", "worker_pool_nearly_full"), ("region", "goroutines_outlier")},  # a goroutine a client
    "queue-growing": {("region", "worker_queue_growing")},
    "workers-detached": {("region", "worker_pool_detached")},
    "pool-busy": {("region", "log_pool_busy")},
    "db-exhausted": {("region", "db_pool_exhausted")},
    "db-waiting": {("region", "db_pool_waiting")},
    "errors": {("region", "http_errors"), ("region", "log_serious")},  # each 500 is logged with its stack
    "slow-path": {("region", "slow_paths")},
    "goroutines-many": {("region", "goroutines_outlier")},
    "goroutines-growing": {("region", "goroutines_outlier"), ("region", "goroutines_growing")},
    "memory-much": {("region", "memory_outlier")},
    "memory-growing": {("region", "memory_outlier"), ("region", "memory_growing")},
    "version-of-a-replica": {("region", "versions_of_replicas")},
    "version-of-a-component": {("", "versions_of_components")},
    "not-ready": {("region", "component_down"), ("region", "endpoint_not_answering")},  # its Deployment has one replica
    "restarted": {("region", "instance_restarted")},
    "restarting": {("region", "instance_crash_loop")},
    "crash-loop": {("region", "instance_crash_loop")},
    "oom-killed": {("region", "instance_oom_killed")},
    "scaled-to-zero": {("notify", "scaled_to_zero_optional")},
    "missing": {("scheduler", "component_missing")},
    "hung": {("notify", "not_answering")},
    "deaf": {("notify", "not_answering")},
    "internal-pool-full": {("notify", "log_tasks_dropped"), ("notify", "endpoint_not_answering")},
    "answer-hang": {("notify", "endpoint_not_answering")},
    "answer-short": {("notify", "endpoint_not_answering")},
    "answer-reset": {("notify", "endpoint_not_answering")},
    "answer-close": {("notify", "endpoint_not_answering")},
    "answer-unavailable": {("notify", "endpoint_not_answering")},
    "certificate-ending": {("notify", "certificate_ends")},
    "certificate-ended": {("notify", "certificate_ends")},
}
# Trouble -> why something could not be read: then nothing is claimed, neither good nor bad.
UNKNOWN = {
    "no-tls": "tls_failed",
    "answer-drip": "body_cut",
    "answer-huge": "body_too_large",
    "answer-bad-json": "not_json",
    "answer-bad-utf8": "not_json",
    "answer-empty": "not_json",
    "answer-html": "not_json",
    "answer-cut": "body_cut",
    "answer-redirect": "redirected",
}
# No fault, or none that anybody but a client that verifies names would notice.
SILENT = {NONE, "old-release", "answer-gzip", "certificate-of-another"}
# It needs the nodes' network, which the healthy set has.
ELSEWHERE = {"host-hung"}


def cloud_of(trouble: str) -> str:
    """The namespace, and the cluster's name, of a trouble."""
    return f"cloud-{trouble}"


def batches(names: list[str]) -> list[list[str]]:
    return [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]


def audit(world: World, output: Path, clouds: list[str], *arguments: str, **variables: object) -> Run:
    """One run over these clouds as a fleet."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {name: {**local, "kubeconfig": world.kubeconfig, "cloudpods_namespace": name} for name in clouds}
    given = {"cloudpods_interval": 5, "cloudpods_log_seconds": 120, "cloudpods_timeout": 20, **variables}
    return play(output, given, *arguments, inventory={"cloudpods": {"hosts": hosts}}, playbook=AUDIT)


def health(run: Run) -> dict:
    return json.loads((run.bundle / "health.json").read_text())


def deploy(world: World, names: list[str], *arguments: str) -> None:
    """Deploy these clouds at once, or with --delete take them away."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(
            pool.map(
                lambda name: world.deploy("health", "--trouble", name, "--namespace", cloud_of(name), *arguments), names
            )
        )


@pytest.fixture(scope="module")
def audited(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Trouble -> what health.json says of its cloud: findings, unknown, verdict."""
    found: dict[str, dict] = {}
    troubles = [name for name in (NONE, *BY_NAME) if name not in ELSEWHERE]
    for names in batches(troubles):
        deploy(world, names)
        clouds = [cloud_of(name) for name in names]
        said = health(audit(world, tmp_path_factory.mktemp("audit"), clouds, cloudpods_thresholds=THRESHOLDS))
        for name in names:
            own = {
                part: [one for one in said[part] if one["cluster"] == cloud_of(name)]
                for part in ("findings", "unknown", "clusters")
            }
            found[name] = own
        deploy(world, names, "--delete")
    return found


def test_the_table_covers_every_trouble_that_can_be_planted():
    assert {*FINDINGS, *UNKNOWN, *SILENT, *ELSEWHERE} == {NONE, *BY_NAME}


@pytest.mark.timeout(1800)  # the first of these waits for all audits
@pytest.mark.parametrize("trouble", sorted({*FINDINGS, *UNKNOWN, *SILENT}))
def test_a_trouble_is_named_and_nothing_else(audited, trouble):
    said = {(one["component"], one["rule"]) for one in audited[trouble]["findings"]}
    assert said == FINDINGS.get(trouble, set()), audited[trouble]["findings"]


@pytest.mark.parametrize("trouble", sorted(UNKNOWN))
def test_what_cannot_be_read_is_unknown_and_says_why(audited, trouble):
    (cluster,) = audited[trouble]["clusters"]
    assert cluster["verdict"] == "unknown"
    reasons = [one["reason"] for one in audited[trouble]["unknown"] if one["component"] == "notify"]
    assert any(f"({UNKNOWN[trouble]})" in reason for reason in reasons), reasons


@pytest.mark.parametrize("trouble", sorted(SILENT - {"old-release"}))
def test_where_nothing_is_wrong_the_verdict_is_ok(audited, trouble):
    (cluster,) = audited[trouble]["clusters"]
    assert (cluster["verdict"], audited[trouble]["unknown"]) == ("ok", [])


# One fleet of two, looked at more closely.

SICK, WELL = "db-exhausted", NONE


@pytest.fixture(scope="module")
def fleet(world: World, tmp_path_factory: pytest.TempPathFactory):
    """A healthy and a sick cloud; the run with a capture on critical; what the API server recorded of it."""
    deploy(world, [SICK, WELL])
    clouds = [cloud_of(SICK), cloud_of(WELL)]
    seen = len(world.audit())
    plain = audit(world, tmp_path_factory.mktemp("fleet"), clouds)
    events = [event for event in world.audit()[seen:] if event.get("userAgent", "").startswith("OpenAPI-Generator")
              or "yunioncloud-go" in event.get("userAgent", "")]  # fmt: skip
    yield plain, events, clouds
    deploy(world, [SICK, WELL], "--delete")


def test_the_verdict_is_per_component_cluster_and_fleet(fleet):
    run, _events, _clouds = fleet
    said = health(run)
    jsonschema.validate(said, json.loads((ROOT / "docs" / "schemas" / "health.schema.json").read_text()))
    assert said["verdict"] == "critical"
    assert {one["cluster"]: one["verdict"] for one in said["clusters"]} == {
        cloud_of(SICK): "critical",
        cloud_of(WELL): "ok",
    }
    (finding,) = said["findings"]
    assert (finding["rule"], finding["severity"], finding["scenario"]) == (
        "db_pool_exhausted",
        "critical",
        "slow_system",
    )
    assert finding["advice"]
    assert (finding["value"], finding["threshold"]) == (1, 1)
    evidence = json.loads((run.bundle / finding["artifact"]).read_text())
    assert evidence["instance"]["name"] == finding["instance"]
    assert evidence["samples"][-1]["db_stats"]["databases"][0]["in_use"] == 4
    assert run.code == 2
    assert "db_pool_exhausted" in run.shown or "database connections are in use" in run.shown


def test_the_reports_are_what_their_readers_read(fleet):
    run, _events, _clouds = fleet
    cases = ET.parse(run.bundle / "health.junit.xml").getroot().iter("testcase")  # noqa: S314 - our own
    failed = [case for case in cases if case.find("failure") is not None]
    assert len(failed) == 1
    families = {
        family.name: family for family in text_string_to_metric_families((run.bundle / "health.prom").read_text())
    }
    verdicts = {
        sample.labels["cluster"]: sample.value for sample in families["cloudpods_health_cluster_verdict"].samples
    }
    assert verdicts == {cloud_of(SICK): 3, cloud_of(WELL): 0}
    assert "of 4 database connections are in use" in (run.bundle / "health.md").read_text()
    assert not (run.bundle / "issue.md").exists()


def test_an_audit_only_reads(fleet):
    run, events, _clouds = fleet
    assert "changed=0" in run.shown
    assert "changed=1" not in run.shown
    asked = {(event["verb"], event["objectRef"]["resource"], event["objectRef"].get("subresource")) for event in events}
    assert ("get", "pods", "proxy") in asked
    assert asked <= {
        ("list", "pods", None),
        ("list", "deployments", None),
        ("list", "daemonsets", None),
        ("get", "pods", "proxy"),
        ("get", "pods", "log"),
    }


def test_a_baseline_tells_what_is_new_and_what_is_gone(fleet, world, tmp_path):
    run, _events, clouds = fleet
    same = audit(world, tmp_path, clouds, cloudpods_baseline=str(run.archive), cloudpods_fail_on_severity="none")
    assert same.code == 0, same.shown
    assert [one["change"] for one in health(same)["findings"]] == ["same"]
    well = audit(world, tmp_path, [cloud_of(WELL)], cloudpods_fail_on_severity="unknown")
    assert well.code == 0, well.shown
    worse = audit(world, tmp_path, clouds, cloudpods_baseline=str(well.archive), cloudpods_fail_on_severity="none")
    assert [one["change"] for one in health(worse)["findings"]] == ["new"]


def test_on_critical_exactly_the_affected_components_are_captured(fleet, world, tmp_path):
    _run, _events, clouds = fleet
    before = world.containers(*clouds)
    run = audit(world, tmp_path, clouds, cloudpods_on_critical="capture_stacks", cloudpods_fail_on_severity="none")
    assert run.code == 0, run.shown
    stacks = run.of("stack")
    assert {(row["cluster"], row["component"]) for row in stacks} == {(cloud_of(SICK), "region")}
    assert {row["status"] for row in stacks} == {"complete"}
    assert len(stacks) == len(world.pods(cloud_of(SICK), "app=region"))
    assert world.containers(*clouds) == before
    assert "## region" in (run.bundle / "issue.md").read_text()


def test_rules_and_thresholds_of_ones_own(fleet, world, tmp_path):
    _run, _events, _clouds = fleet
    rules = tmp_path / "own.yml"
    rules.write_text(OWN_RULES)
    thresholds = {"own_goroutines": 10}
    run = audit(world, tmp_path, [cloud_of(WELL)], cloudpods_rules=[str(rules)], cloudpods_thresholds=thresholds)
    found = {(one["component"], one["rule"], one["severity"]) for one in health(run)["findings"]}
    assert ("region", "own_rule", "warning") in found
    bad = audit(world, tmp_path, [cloud_of(WELL)], cloudpods_thresholds={"no_such_threshold": 1})
    assert bad.code == 2
    assert "no_such_threshold" in bad.shown
    assert bad.of("status:ping", status="complete")  # what was read is kept and sealed all the same
    assert bad.archive.exists()


OWN_RULES = """
format: cloudpods.diagnostics/rules
version: 1
thresholds:
  own_goroutines: {default: 1000000, unit: goroutines, what: Of any service.}
rules:
  - id: own_rule
    title: More goroutines than we like
    scope: instance
    needs: [process_stats]
    expression: "[latest.process_stats][].{value: goroutines}"
    levels: {compare: at_least, warning: own_goroutines}
    message: "{value} goroutines"
    advice: Look at it.
    reference: https://example.org/runbook
    examples:
      - expect: warning
        status: {expected: [process_stats], samples: [{process_stats: {goroutines: 2000000, heap_alloc_bytes: 1}}]}
      - expect: silent
        status: {expected: [process_stats], samples: [{process_stats: {goroutines: 100, heap_alloc_bytes: 1}}]}
      - expect: unknown
        status: {expected: [process_stats], missing: [{endpoint: process_stats, sample: 1, reason: no_answer}]}
"""
