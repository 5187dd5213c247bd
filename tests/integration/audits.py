# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits of small clouds with planted troubles: the troubles of each cloud and the expected findings.

The clouds of a Plan are the access points of one run, like the clusters of a fleet. They are deployed one after the
other, because two cores start only about a dozen pods at a time. The plans are divided among several test files, so
that several workers share them.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import states
from deploy.health import BY_NAME, NONE, TROUBLE_LABEL
from world import Run, World, play

from patience import wait_until

Plan = dict[str, tuple[str, ...]]  # cloud -> its troubles

AUDIT = "cloudpods.diagnostics.audit_health"
# Lower than the defaults: a stand-in reaches within seconds what takes a real service minutes. On a busy machine the
# first sample is slow, so that only a part of the interval lies between the two samples. A value that grows or has a
# rate exceeds its threshold within a second.
THRESHOLDS = {
    "goroutines_growth_warning": 100,
    "memory_outlier_minimum": 200_000_000,
    "memory_growth_warning": 10_000_000,
    "growth_ratio": 1.001,
    "slow_path_requests": 2,
    "log_busy_seconds": 1,
}
# Seconds between the samples; odd because of `db-waiting`. On a busy machine the first sample takes a part of them, and
# a burst of `db-waiting` must fall into the rest.
INTERVAL = 9

SERVICES = {
    "old-release": ("old-release",),
    "services-1": (
        "pool-busy", "version-of-a-replica", "version-of-a-component", "db-waiting", "errors", "slow-path",
        "goroutines-many", "memory-much",
    ),
    "services-2": (
        "queue-full", "pool-saturated", "queue-growing", "workers-detached", "goroutines-growing", "memory-growing",
    ),
}  # fmt: skip
INSTANCES = {
    "instances": ("restarted", "restarting", "crash-loop", "oom-killed", "scaled-to-zero", "missing"),
}
ANSWERS = {
    "answers-1": (
        "hung", "deaf", "no-tls", "internal-pool-full", "answer-hang", "answer-drip", "answer-huge", "answer-bad-json",
        "certificate-ending", "certificate-ended", "certificate-of-another",
    ),
    "answers-2": (
        "answer-bad-utf8", "answer-empty", "answer-html", "answer-gzip", "answer-cut", "answer-short", "answer-reset",
        "answer-close", "answer-redirect", "answer-unavailable", "not-ready",
    ),
}  # fmt: skip
FLEET = {"sick": ("db-exhausted",), "well": (NONE,)}
# It needs the nodes' network, which the healthy set uses.
ELSEWHERE = {"host-hung"}

# Trouble -> the rules of all findings about its component.
FINDINGS: dict[str, set[str]] = {
    "pool-saturated": {"worker_pool_saturated"},
    "queue-full": {"worker_pool_nearly_full", "goroutines_outlier"},  # one goroutine per client
    "queue-growing": {"worker_queue_growing"},
    "workers-detached": {"worker_pool_detached"},
    "pool-busy": {"log_pool_busy"},
    "db-exhausted": {"db_pool_exhausted"},
    "db-waiting": {"db_pool_waiting"},
    "errors": {"http_errors", "log_serious"},  # each 500 is logged with its stack
    "slow-path": {"slow_paths"},
    "goroutines-many": {"goroutines_outlier"},
    "goroutines-growing": {"goroutines_outlier", "goroutines_growing"},
    "memory-much": {"memory_outlier"},
    "memory-growing": {"memory_outlier", "memory_growing"},
    "version-of-a-replica": {"versions_of_replicas"},
    "version-of-a-component": {"versions_of_components"},
    "not-ready": {"not_answering", "component_down"},  # its Deployment has one replica
    "restarted": {"instance_restarted"},
    "restarting": {"instance_crash_loop"},
    "crash-loop": {"instance_crash_loop"},
    "oom-killed": {"instance_oom_killed"},
    "scaled-to-zero": {"scaled_to_zero_optional"},
    "missing": {"component_missing"},
    "hung": {"not_answering"},
    "deaf": {"not_answering"},
    "internal-pool-full": {"not_answering", "log_tasks_dropped"},
    "answer-hang": {"endpoint_not_answering"},
    "answer-short": {"endpoint_not_answering"},
    "answer-reset": {"endpoint_not_answering"},
    "answer-close": {"endpoint_not_answering"},
    "answer-unavailable": {"endpoint_not_answering"},
    "certificate-ending": {"certificate_ends"},
    "certificate-ended": {"certificate_ended"},
}
# Trouble -> why something cannot be read. An audit then makes no statement about it.
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
# No fault, or one that only a client that verifies names would detect.
SILENT = {NONE, "old-release", "answer-gzip", "certificate-of-another"}


def cloud_of(cloud: str) -> str:
    """Return the namespace of a cloud, which is the cluster's name too."""
    return f"cloud-{cloud}"


def audit(world: World, output: Path, clouds: list[str], *arguments: str, **variables: object) -> Run:
    """Audit these clouds as a fleet, in one run."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {name: {**local, "cloudpods_kubeconfig": world.kubeconfig, "cloudpods_namespace": name} for name in clouds}
    # Everything that was logged counts, whatever the age of the pods.
    given = {"cloudpods_interval": INTERVAL, "cloudpods_log_seconds": 3600, "cloudpods_timeout": 20, **variables}
    return play(output, given, *arguments, inventory={"cloudpods": {"hosts": hosts}}, playbook=AUDIT)


def health(run: Run) -> dict[str, Any]:
    """Return the health.json of a run."""
    return dict(json.loads((run.bundle / "health.json").read_text()))


def deploy(world: World, plan: Plan) -> None:
    """Deploy the clouds of a plan, one after the other."""
    for cloud, troubles in plan.items():
        world.deploy("health", "--trouble", ",".join(troubles), "--namespace", cloud_of(cloud))


def remove(world: World, plan: Plan) -> None:
    """Remove the clouds of a plan, all at once, because most of the time is spent waiting for Kubernetes."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda cloud: world.deploy("health", "--namespace", cloud_of(cloud), "--delete"), plan))


@dataclass(frozen=True)
class Audited:
    """The result of an audit of the clouds of a plan."""

    plan: Plan
    said: dict[str, Any]

    def _cloud(self, trouble: str) -> str:
        (cloud,) = [cloud for cloud, troubles in self.plan.items() if trouble in troubles]
        return cloud_of(cloud)

    def _own(self, part: str, trouble: str) -> list[dict[str, Any]]:
        """Return the findings, or what is unknown, about a trouble's component, its cluster or all components."""
        own = [each for each in self.said[part] if each["cluster"] == self._cloud(trouble)]
        if trouble == NONE or BY_NAME[trouble].everywhere:
            return own
        component = "" if BY_NAME[trouble].of_cluster else BY_NAME[trouble].component
        return [each for each in own if each["component"] == component]

    def findings(self, trouble: str) -> list[dict[str, Any]]:
        return self._own("findings", trouble)

    def unknown(self, trouble: str) -> list[dict[str, Any]]:
        return self._own("unknown", trouble)

    def verdict(self, trouble: str) -> str:
        """Return the verdict on the component in trouble, or on the cloud if all components are in trouble."""
        (cluster,) = [each for each in self.said["clusters"] if each["cluster"] == self._cloud(trouble)]
        if trouble == NONE or BY_NAME[trouble].everywhere:
            return str(cluster["verdict"])
        (own,) = [each for each in cluster["components"] if each["component"] == BY_NAME[trouble].component]
        return str(own["verdict"])

    def elsewhere(self, cloud: str) -> list[dict[str, Any]]:
        """Return the findings in a cloud that belong to none of its troubles."""
        named = [each["key"] for trouble in self.plan[cloud] for each in self.findings(trouble)]
        found = [each for each in self.said["findings"] if each["cluster"] == cloud_of(cloud)]
        return [each for each in found if each["key"] not in named]


def audited(world: World, output: Path, plan: Plan) -> Audited:
    """Deploy a plan's clouds and audit them."""
    deploy(world, plan)
    return Audited(
        plan, health(audit(world, output, [cloud_of(name) for name in plan], cloudpods_thresholds=THRESHOLDS))
    )


def audited_between_crashes(world: World, output: Path, plan: Plan) -> Audited:
    """Deploy and audit like `audited`, but finish while all crashing containers wait for their next start.

    The kubelet doubles the wait each time, so that on any machine one wait is longer than an audit. None of these
    troubles needs time to show between the samples.
    """
    names = [cloud_of(name) for name in plan]
    deploy(world, plan)

    def undisturbed() -> Audited | None:
        before = wait_until("a moment when nothing that crashes runs", lambda: _starts(world, names), seconds=600)
        run = audit(world, output, names, cloudpods_thresholds=THRESHOLDS, cloudpods_interval=1)
        return Audited(plan, health(run)) if _starts(world, names) == before else None

    return wait_until("an audit while nothing is started again", undisturbed, seconds=600)


def _starts(world: World, namespaces: list[str]) -> dict[str, int]:
    """Return how often the containers of each pod were restarted; empty if one runs that is expected to crash again."""
    pods = [pod for namespace in namespaces for pod in world.pods(namespace)]
    for pod in pods:
        trouble = BY_NAME.get(pod["metadata"]["labels"].get(TROUBLE_LABEL))
        if trouble and trouble.state == states.CRASH_LOOP != states.state_of(pod):
            return {}
    return {pod["metadata"]["uid"]: states.restarts_of(pod) for pod in pods}


def planted(plan: Plan) -> list[str]:
    """Return all troubles of a plan."""
    return [trouble for troubles in plan.values() for trouble in troubles]


def check(audited: Audited, trouble: str) -> None:
    """Assert that exactly what FINDINGS says is found, what cannot be read is unknown, and the rest is ok."""
    found = audited.findings(trouble)
    assert {each["rule"] for each in found} == FINDINGS.get(trouble, set()), found
    if trouble in UNKNOWN:
        reasons = [each["reason"] for each in audited.unknown(trouble)]
        assert any(f"({UNKNOWN[trouble]})" in reason for reason in reasons), reasons
        assert audited.verdict(trouble) == "unknown"
    elif trouble in SILENT - {"old-release"}:
        assert (audited.verdict(trouble), audited.unknown(trouble)) == ("ok", [])
