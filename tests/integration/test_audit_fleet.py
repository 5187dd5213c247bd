# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits of a fleet of two clouds: a healthy one, and one with an exhausted database."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from audits import FLEET, THRESHOLDS, Audited, audit, check, cloud_of, deploy, health, planted, remove
from prometheus_client.parser import text_string_to_metric_families
from world import ROOT, Run, World

SICK, WELL = map(cloud_of, FLEET)
CLOUDS = [SICK, WELL]


@pytest.fixture(scope="module")
def clouds(world: World) -> Iterator[World]:
    """Return the lab with both clouds."""
    deploy(world, FLEET)
    yield world
    remove(world, FLEET)


@pytest.fixture(scope="module")
def fleet(clouds: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[dict[str, Any]]]:
    """Return a plain audit of both clouds, and the API server's audit events of it."""
    seen = len(clouds.audit())
    plain = audit(clouds, tmp_path_factory.mktemp("fleet"), CLOUDS, cloudpods_thresholds=THRESHOLDS)
    events = [event for event in clouds.audit()[seen:] if event.get("userAgent", "").startswith("OpenAPI-Generator")
              or "yunioncloud-go" in event.get("userAgent", "")]  # fmt: skip
    return plain, events


@pytest.fixture(scope="module")
def well(clouds: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return an audit of the healthy cloud that fails on everything except `ok`."""
    output = tmp_path_factory.mktemp("well")
    return audit(clouds, output, [WELL], cloudpods_fail_on_severity="unknown", cloudpods_interval=1)


@pytest.fixture(scope="module")
def worse(well, world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Any], dict[str, Any]]:
    """Return an audit of both, compared with the healthy one, with a capture on critical; containers before, after."""
    before = world.containers(*CLOUDS)
    options = {"cloudpods_baseline": str(well.archive), "cloudpods_on_critical": "capture_stacks"}
    run = audit(
        world, tmp_path_factory.mktemp("worse"), CLOUDS, cloudpods_fail_on_severity="none", cloudpods_interval=1,
        **options,
    )  # fmt: skip
    return run, before, world.containers(*CLOUDS)


@pytest.mark.parametrize("trouble", planted(FLEET))
def test_reports_exactly_the_planted_trouble(fleet, trouble):
    run, _events = fleet
    check(Audited(FLEET, health(run)), trouble)


@pytest.mark.parametrize("cloud", FLEET)
def test_reports_nothing_on_healthy_components(fleet, cloud):
    run, _events = fleet
    assert not Audited(FLEET, health(run)).elsewhere(cloud)


def test_has_a_verdict_per_component_cluster_and_fleet(fleet):
    run, _events = fleet
    said = health(run)
    jsonschema.validate(said, json.loads((ROOT / "docs" / "schemas" / "health.schema.json").read_text()))
    assert said["verdict"] == "critical"
    assert {one["cluster"]: one["verdict"] for one in said["clusters"]} == {
        SICK: "critical",
        WELL: "ok",
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


def test_writes_valid_junit_and_prometheus_reports(fleet):
    run, _events = fleet
    cases = ET.parse(run.bundle / "health.junit.xml").getroot().iter("testcase")  # noqa: S314 - our own
    failed = [case for case in cases if case.find("failure") is not None]
    assert len(failed) == 1
    families = {
        family.name: family for family in text_string_to_metric_families((run.bundle / "health.prom").read_text())
    }
    verdicts = {
        sample.labels["cluster"]: sample.value for sample in families["cloudpods_health_cluster_verdict"].samples
    }
    assert verdicts == {SICK: 3, WELL: 0}
    assert "of 4 database connections are in use" in (run.bundle / "health.md").read_text()
    assert not (run.bundle / "issue.md").exists()


def test_audit_sends_only_read_requests(fleet):
    run, events = fleet
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


def test_compares_findings_with_a_baseline(well, worse):
    assert well.code == 0, well.shown
    run, _before, _after = worse
    assert run.code == 0, run.shown
    assert [one["change"] for one in health(run)["findings"]] == ["new"]


def test_captures_exactly_the_critical_components(worse, world):
    run, before, after = worse
    assert run.code == 0, run.shown
    stacks = run.of("stack")
    assert {(row["cluster"], row["component"]) for row in stacks} == {(SICK, "region")}
    assert {row["status"] for row in stacks} == {"complete"}
    assert len(stacks) == len(world.pods(SICK, "app=region"))
    assert after == before
    assert "## region" in (run.bundle / "issue.md").read_text()


def test_own_rules_and_thresholds_add_findings_to_the_baseline(fleet, world, tmp_path):
    plain, _events = fleet
    rules = tmp_path / "own.yml"
    rules.write_text(OWN_RULES)
    options = {"cloudpods_rules": [str(rules)], "cloudpods_thresholds": {"own_goroutines": 10}}
    run = audit(
        world, tmp_path, CLOUDS, cloudpods_baseline=str(plain.archive), cloudpods_fail_on_severity="none",
        cloudpods_interval=1, **options,
    )  # fmt: skip
    assert run.code == 0, run.shown
    findings = health(run)["findings"]
    found = {(one["cluster"], one["component"], one["rule"], one["severity"]) for one in findings}
    assert (WELL, "region", "own_rule", "warning") in found
    assert [one["change"] for one in findings if one["rule"] != "own_rule"] == ["same"]
    assert {one["change"] for one in findings if one["rule"] == "own_rule"} == {"new"}


def test_unknown_threshold_fails_and_keeps_collected_status(clouds, tmp_path):
    thresholds = {"no_such_threshold": 1}
    bad = audit(clouds, tmp_path, [WELL], cloudpods_thresholds=thresholds, cloudpods_interval=1)
    assert bad.code == 2
    assert "no_such_threshold" in bad.shown
    assert bad.of("status:ping", status="complete")  # Collected status is kept and sealed all the same.
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
