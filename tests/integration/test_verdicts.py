# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdict and headline of each playbook for each trouble (troubles.py). Each playbook runs once over all troubles."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from audits import AUDIT as AUDIT_PLAYBOOK
from audits import cloud_of, health
from deploy import apply, sets
from deploy.health import BY_NAME, FREEZE
from standins import Machine
from troubles import (
    AUDIT,
    CLOUD,
    COMPONENTS,
    OVER_SECONDS,
    PLAN,
    PROFILES,
    STACKS,
    WATCH,
    act,
    crash_loop_waits,
    old_trouble_is_over,
    pods,
    start_anew,
    watchdog_speaks,
)
from world import Run, World, play

from patience import patience, wait_until

CPU_SECONDS = 2
AUDIT_TIMEOUT = int(patience(30))
# Far less than the deadline of an instance, because a refusal needs no waiting.
AT_ONCE_SECONDS = patience(15)
TIMEOUT = int(patience(60))
# For runs in which one of a few instances never responds.
SHORT_TIMEOUT = int(patience(8))
WATCH_SECONDS = int(patience(20))


@pytest.fixture(scope="module")
def troubled(world: World, cluster: apply.Cluster) -> Iterator[World]:
    """Return the lab with all troubles."""
    with contextlib.ExitStack() as clouds:
        for cloud, troubles in PLAN.items():
            clouds.enter_context(apply.deployed(cluster, sets.health(cloud_of(cloud), ",".join(troubles))))
        act(world)
        yield world


@pytest.fixture(scope="module")
def instances(troubled: World) -> dict[str, str]:
    """Return the names of the pods in trouble, by their troubles."""
    return {trouble: pod["metadata"]["name"] for trouble, pod in pods(troubled)}


def run(world: World, folder: Any, playbook: str, clouds: dict[str, dict[str, Any]], **variables: object) -> Run:
    """Run a playbook once over these clouds. clouds: namespace -> further variables of that access point."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {
        name: {**local, "cloudpods_kubeconfig": world.kubeconfig, "cloudpods_namespace": name, **more}
        for name, more in clouds.items()
    }
    return play(folder, dict(variables), inventory={"cloudpods": {"hosts": hosts}}, playbook=playbook)


def everywhere() -> dict[str, dict[str, Any]]:
    return {cloud: {} for cloud in COMPONENTS}


@pytest.fixture(scope="module")
def profiles(troubled: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    clouds = {CLOUD[trouble]: {"cloudpods_components": [BY_NAME[trouble].component]} for trouble in PROFILES}
    variables = {
        "cloudpods_profile_kinds": ["cpu"],
        "cloudpods_cpu_seconds": CPU_SECONDS,
        "cloudpods_timeout": SHORT_TIMEOUT,
    }
    folder = tmp_path_factory.mktemp("profiles")
    return run(troubled, folder, "cloudpods.diagnostics.capture_profiles", clouds, **variables)


@pytest.fixture(scope="module")
def stacks(troubled: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    wait_until("a crash loop that waits for long", lambda: crash_loop_waits(troubled), 300)
    folder = tmp_path_factory.mktemp("stacks")
    return run(troubled, folder, "cloudpods.diagnostics.capture_stacks", everywhere(), cloudpods_timeout=TIMEOUT)


@dataclass(frozen=True)
class Judged:
    """Runs of the playbooks with verdicts. instances: the pods in trouble at that time, by trouble."""

    audit: Run
    watch: Run
    instances: dict[str, str]


@pytest.fixture(scope="module")
def judged(troubled: World, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Run audit and watch in parallel, after the old trouble is over and right after the fresh start."""
    wait_until("the old trouble to be old", lambda: old_trouble_is_over(troubled), OVER_SECONDS + 60)
    start_anew(troubled, "fresh-start")
    wait_until("the watchdog of what was started", lambda: watchdog_speaks(troubled, "fresh-start"), 120)
    watched = {cloud: {"cloudpods_components": names} for cloud, names in COMPONENTS.items()}
    calls = {
        "audit": (AUDIT_PLAYBOOK, everywhere(), {"cloudpods_timeout": AUDIT_TIMEOUT}),
        "watch": (
            "cloudpods.diagnostics.watch_logs",
            watched,
            {"cloudpods_watch_duration": WATCH_SECONDS, "cloudpods_watch_until": "duration"},
        ),
    }
    with ThreadPoolExecutor() as pool:
        made = {
            name: pool.submit(run, troubled, tmp_path_factory.mktemp(name), playbook, clouds, **variables)
            for name, (playbook, clouds, variables) in calls.items()
        }
        names = {trouble: pod["metadata"]["name"] for trouble, pod in pods(troubled)}
        return Judged(made["audit"].result(), made["watch"].result(), names)


def test_each_trouble_has_an_expected_answer():
    planned = {trouble for troubles in PLAN.values() for trouble in troubles}
    assert set(WATCH) == set(AUDIT) == planned
    assert set(STACKS) | set(PROFILES) <= planned


@pytest.mark.parametrize("trouble", PROFILES)
def test_capture_profiles(instances, profiles, trouble):
    (row,) = profiles.of("profile:cpu", instance=instances[trouble])
    assert not PROFILES[trouble].misses(row["status"], row["reason"], row["message"])


def test_profile_of_an_idle_service_reports_it_as_idle(profiles):
    lines = [line for line in profiles.shown.splitlines() if "devtool" in line]
    assert [line for line in lines if "idle" in line], lines


@pytest.mark.parametrize("trouble", STACKS)
def test_capture_stacks(instances, stacks, trouble):
    (row,) = stacks.of(instance=instances[trouble])
    assert not STACKS[trouble].misses(row["status"], row["reason"], row["message"])
    if STACKS[trouble].verdict != "complete":
        assert "signal_sent" not in row["details"]
        assert row["duration"] < AT_ONCE_SECONDS


def test_frozen_instance_does_not_delay_the_other_replica(instances, stacks):
    frozen = instances["frozen-replica"]
    (fellow,) = [
        row for row in stacks.of(cluster=CLOUD["frozen-replica"], component="region") if row["instance"] != frozen
    ]
    assert (fellow["status"], fellow["reason"]) == ("complete", "proven")
    assert fellow["duration"] < AT_ONCE_SECONDS


@pytest.mark.parametrize("trouble", WATCH)
def test_watch_logs(judged, trouble):
    (row,) = judged.watch.of("log_watch", instance=judged.instances[trouble])
    told = row["details"]
    assert not WATCH[trouble].misses(told["verdict"], told["rule"], *told["evidence"])


def test_watch_reports_an_old_trouble_as_over(judged):
    (line,) = [line for line in judged.watch.shown.splitlines() if judged.instances["over"] in line]
    assert "dropping (over)" in line


@pytest.mark.parametrize("trouble", AUDIT)
def test_audit_health(judged, trouble):
    said = health(judged.audit)
    component, cloud = BY_NAME[trouble].component, CLOUD[trouble]

    def own(part: str) -> list[dict[str, Any]]:
        return [each for each in said[part] if (each["cluster"], each["component"]) == (cloud, component)]

    (cluster,) = [each for each in said["clusters"] if each["cluster"] == cloud]
    (verdict,) = [each["verdict"] for each in cluster["components"] if each["component"] == component]
    findings = own("findings")
    headline = findings[0]["message"] if findings else "; ".join(each["reason"] for each in own("unknown"))
    by = findings[0]["rule"] if findings else ""
    assert not AUDIT[trouble].misses(verdict, by, headline), json.dumps(findings)


FROZEN = [trouble for trouble in WATCH if BY_NAME[trouble].act == FREEZE]


@pytest.mark.parametrize("trouble", FROZEN)
def test_reads_the_log_of_a_frozen_instance(judged, trouble):
    (row,) = judged.audit.of("log", instance=judged.instances[trouble])
    assert (row["status"], row["reason"]) == ("complete", "recorded"), row["message"]


def test_kubelet_error_text_is_not_taken_for_a_log(judged):
    (row,) = judged.audit.of("log", instance=judged.instances["log-gone"])
    assert (row["status"], row["reason"], row["bytes"]) == ("failed", "log_unavailable", 0)
    assert "resolving symlinks" in row["message"]


@pytest.mark.parametrize("trouble", FROZEN)
def test_stops_requests_to_a_hung_service_early(judged, trouble):
    rows = [row for row in judged.audit.rows if row["instance"] == judged.instances[trouble]]
    # Both samples together take less time than one of them is given.
    assert sum(row["duration"] for row in rows) < AUDIT_TIMEOUT


@pytest.mark.parametrize("cloud", COMPONENTS)
def test_healthy_services_are_reported_ok(judged, cloud):
    said = health(judged.audit)
    (cluster,) = [each for each in said["clusters"] if each["cluster"] == cloud]
    verdicts = {each["component"]: each["verdict"] for each in cluster["components"]}
    troubled = {BY_NAME[trouble].component for trouble in WATCH if CLOUD[trouble] == cloud}
    well = set(verdicts) - troubled
    assert {verdicts[component] for component in well} == {"ok"}, verdicts
    watched = {row["component"]: row["details"]["verdict"] for row in judged.watch.of("log_watch", cluster=cloud)}
    assert {watched[component] for component in well & set(watched)} == {"healthy"}, watched


@pytest.fixture(scope="module")
def by_catalogue(troubled: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Audit from a catalog alone: a frozen service, an idle one, and etcd."""
    addresses = {trouble: pod["status"]["podIP"] for trouble, pod in pods(troubled)}
    entries = [
        {"type": "log", "url": f"https://{addresses['frozen-unprobed']}:30999"},
        {"type": "devtool", "url": f"https://{addresses['idle']}:30997"},
        {"type": "etcd", "url": f"https://{addresses['frozen-etcd']}:2379"},
    ]
    machine = Machine(tmp_path_factory.mktemp("catalogue"))
    catalog = machine.folder / "catalog.json"
    catalog.write_text(json.dumps([{**each, "interface": "internal", "region": "region0"} for each in entries]))
    try:
        service = machine.start("keystone", f"catalog={catalog}", ("--port", "0"))
        port = service.log.read_text().rpartition("Start listen on https://0.0.0.0:")[2].split()[0]
        user = {"username": "sysadmin", "password": "standin-admin-password", "project_name": "system"}
        keystone = {"auth_url": f"https://localhost:{port}/v3", "insecure": True, **user}
        variables = {"cloudpods_transport": "keystone", "cloudpods_keystone": keystone, "cloudpods_cluster": "cloud-a"}
        variables["cloudpods_timeout"] = SHORT_TIMEOUT
        inventory = {"cloudpods": {"hosts": {"catalogue": {
            "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "cloudpods_interval": 1,
        }}}}  # fmt: skip
        folder = tmp_path_factory.mktemp("by-catalogue")
        yield play(folder, variables, inventory=inventory, playbook=AUDIT_PLAYBOOK)
    finally:
        machine.stop()


def test_catalog_audit_reports_unchecked_services_as_unknown(by_catalogue):
    said = health(by_catalogue)
    (cluster,) = said["clusters"]
    verdicts = {each["component"]: each["verdict"] for each in cluster["components"]}
    assert verdicts["devtool"] == "ok"
    assert verdicts["logger"] == "critical"
    assert verdicts.get("etcd", "unknown") == "unknown"
    (finding,) = [each for each in said["findings"] if each["component"] == "logger"]
    assert finding["rule"] == "not_answering"


def test_catalog_audit_does_not_mention_an_api_server(by_catalogue):
    said = [row["message"] for row in by_catalogue.rows] + [(by_catalogue.bundle / "health.md").read_text()]
    assert not [text for text in said if re.search("API server|kubelet", text)]
