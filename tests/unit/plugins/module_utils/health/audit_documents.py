# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builders of documents as status_info writes them, of audits, and of rules. A test states only what matters to it."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path
from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.audit import Audit
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.capture_commands import (
    CommandRun,
    add_commands,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.health_document import health_document
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rules import load_rules
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, Workload
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.rates import window_document
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.responses import parse_response

NOW = "2026-01-02T04:00:00.000Z"
# The rules that the role ships.
RULES = str(Path(__file__).parents[5] / "roles" / "audit_health" / "files" / "rules")
SAMPLES = Path(__file__).parents[1] / "status" / "samples"
ENDPOINTS = ["ping", "version", "stats", "worker_stats", "process_stats", "db_stats"]


def instance(component="region", name="region-1", cluster="c", **more: Any) -> dict[str, Any]:
    known = {"namespace": "onecloud", "node": "n1", "ready": True, **more}
    state = known.pop("state", "running")
    return dict(Instance(cluster=cluster, component=component, name=name, **known).as_dict(), state=state)


def status(of: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "format": "cloudpods.diagnostics/status",
        "version": 1,
        "instance": of or instance(),
        "expected": [],
        "samples": [],
        "window": None,
        "missing": [],
        "certificate": None,
        # It lives: it wrote into its log.
        "log": {"seconds": 600, "bytes": 100, "truncated": False, "patterns": [], "busy": []},
    }
    return {**base, **more}


def cluster(name="c", components=("region",), **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "format": "cloudpods.diagnostics/cluster-status",
        "version": 1,
        "cluster": name,
        "transport": "kubernetes",
        "components": list(components),
        "named": False,
        "workloads": [],
        "workloads_known": True,
        "problems": [],
    }
    return {**base, **more}


def workload(component="region", desired=1, ready=1, **more: Any) -> dict[str, Any]:
    named = {"cluster": "c", "namespace": "onecloud", "kind": "Deployment", "name": f"default-{component}", **more}
    return dict(vars(Workload(component=component, desired=desired, ready=ready, **named)))


@functools.cache
def answers() -> str:
    """Return one sample of a real, healthy region, parsed as status_info does, as JSON."""
    sample: dict[str, Any] = {"ping": {"answered": True, "duration_ms": 4.0}}
    for endpoint in ENDPOINTS[1:]:
        packed = SAMPLES / f"{endpoint}.gz"
        body = gzip.decompress(packed.read_bytes()) if packed.exists() else (SAMPLES / endpoint).read_bytes()
        sample[endpoint] = parse_response(endpoint, 200, {}, body).document
    return json.dumps(sample)


def healthy(of: dict[str, Any] | None = None, count: int = 2, change: Any = None) -> dict[str, Any]:
    """Return the status of a healthy region. change(sample, number) modifies each sample."""
    samples = []
    for number in range(1, count + 1):
        sample = json.loads(answers())
        sample.update(at=f"2026-01-02T03:59:{10 * number:02}.000Z", elapsed_seconds=10.0 * (number - 1))
        sample["taken"] = dict.fromkeys(ENDPOINTS, 10.0 * (number - 1))
        if change is not None:
            change(sample, number)
        samples.append(sample)
    return status(
        of,
        expected=list(ENDPOINTS),
        samples=samples,
        window=window_document(samples, restarted=False),
        certificate={"subject": "CN=region", "issuer": "CN=ca", "not_after": "2035-01-01T00:00:00Z", "days_left": 3286},
        log={"seconds": 600, "bytes": 0, "truncated": False, "patterns": [], "busy": []},
    )


def pool(sample: dict[str, Any], name: str, **figures: Any) -> None:
    """Change a worker pool of a sample."""
    next(one for one in sample["worker_stats"]["workers"] if one["name"] == name).update(figures)


def audit_of(rules: Any, *documents: dict[str, Any], **thresholds: Any) -> Audit:
    """Return a finished audit of these documents."""
    audit = Audit(rules, rules.values(thresholds), NOW)
    for document in sorted(documents, key=lambda one: "instance" in one):
        if "instance" in document:
            of = document["instance"]
            audit.add("{cluster}/{component}/{name}/status.json".format(**of), json.dumps(document).encode())
        else:
            audit.add(f"{document['cluster']}/cluster.json", json.dumps(document).encode())
    audit.finish()
    return audit


def health_of(rules: Any, *documents: dict[str, Any], **thresholds: Any) -> dict[str, Any]:
    """Return the health.json of these documents."""
    document = health_document(audit_of(rules, *documents, **thresholds))
    add_commands(document, CommandRun())
    return document


def findings_of(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (severity, rule) of each finding."""
    return [(entry["severity"], entry["rule"]) for entry in document["findings"]]


def rule(**more: Any) -> dict[str, Any]:
    """Return a rule that fires on every instance that restarted."""
    base = {
        "id": "some_rule",
        "title": "T",
        "scope": "instance",
        "expression": "[instance][?restarts > `0`].{value: restarts}",
        "severity": "warning",
        "message": "{value} restarts",
        "advice": "A",
        "reference": "R",
    }
    return {key: value for key, value in {**base, **more}.items() if value is not None}


def file_of(*rules: dict[str, Any], **more: Any) -> tuple[str, str]:
    """Return (name, text) of a file of rules. JSON is YAML."""
    base = {"format": "cloudpods.diagnostics/rules", "version": 1, "rules": list(rules)}
    return "own.yml", json.dumps({**base, **more})


def rules_of(*rules: dict[str, Any], **more: Any) -> Any:
    return load_rules([file_of(*rules, **more)])


RESTARTED = rule()
SILENT = status(expected=["ping"], missing=[{"endpoint": "ping", "sample": 1, "reason": "no_answer"}])
ASKS_PING = rule(id="asks_ping", needs=["ping"], expression="[latest.ping][?!answered].{value: answered}")
FINE = status(expected=["ping"], samples=[{"ping": {"answered": True}}])


def verdicts(document):
    return {
        (one["cluster"], component["component"]): component["verdict"]
        for one in document["clusters"]
        for component in one["components"]
    }
