# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits: findings and gaps become verdicts, and missing data is never ok."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.audit import Audit
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.health_document import (
    health_document,
)
from audit_documents import (
    ASKS_PING,
    FINE,
    NOW,
    RESTARTED,
    SILENT,
    audit_of,
    cluster,
    findings_of,
    health_of,
    instance,
    rule,
    rules_of,
    status,
    verdicts,
    workload,
)


@pytest.mark.parametrize(
    ("rules", "documents", "verdict"),
    [
        ([RESTARTED], [FINE], "ok"),
        ([RESTARTED], [status(instance(restarts=1))], "warning"),
        ([rule(severity="critical")], [status(instance(restarts=1))], "critical"),
        ([ASKS_PING], [FINE], "ok"),
        ([ASKS_PING], [SILENT], "unknown"),
        ([ASKS_PING, RESTARTED], [{**SILENT, "instance": instance(restarts=1)}], "warning"),
        # No rule applies to it.
        ([ASKS_PING], [status()], "unknown"),
        ([rule(applies_to={"components": ["host"]})], [FINE], "unknown"),
        # There are no instances.
        ([RESTARTED], [], "unknown"),
    ],
)
def test_component_verdict_is_the_worst_of_findings_and_gaps(rules, documents, verdict):
    document = health_of(rules_of(*rules), cluster(), *documents)
    assert document["verdict"] == verdict
    if documents:
        assert verdicts(document) == {("c", "region"): verdict}


def test_audit_without_documents_is_unknown():
    assert health_of(rules_of(RESTARTED))["verdict"] == "unknown"


COMPARES = rule(
    id="compares",
    scope="component",
    needs=["process_stats"],
    expression="""instances[?latest.process_stats.goroutines > `100`]
        .{value: latest.process_stats.goroutines, instance: instance.name}""",
    message="{instance}",
)


def replica(name, goroutines=None, **more):
    samples = [{"process_stats": {"goroutines": goroutines, "heap_alloc_bytes": 1}}] if goroutines else []
    return status(instance(name=name), expected=["process_stats"], samples=samples, **more)


@pytest.mark.parametrize(
    ("replicas", "verdict"),
    [
        ([replica("a", 5), replica("b", 6)], "ok"),
        ([replica("a", 5), replica("b")], "unknown"),
        # A finding counts even if data is missing.
        ([replica("a", 500), replica("b")], "warning"),
        ([status()], "unknown"),
    ],
)
def test_rule_of_a_component_is_unknown_if_an_instance_lacks_data(replicas, verdict):
    assert health_of(rules_of(COMPARES), cluster(), *replicas)["verdict"] == verdict


MISSING = rule(
    id="missing", scope="cluster", needs=["discovery"], expression="absent[].{component: @}", message="{component}"
)


def test_incomplete_discovery_reports_nothing_as_missing():
    document = health_of(rules_of(MISSING), cluster(components=["region", "host"]), status())
    assert [(one["component"], one["cluster"]) for one in document["findings"]] == [("host", "c")]
    assert verdicts(document)["c", "host"] == "warning"
    forbidden = cluster(components=["region", "host"], problems=[{"place": "ns", "reason": "forbidden"}])
    document = health_of(rules_of(MISSING), forbidden, status())
    assert (findings_of(document), document["verdict"]) == ([], "unknown")
    assert {one["rule"] for one in document["unknown"]} == {"(discovery)", "missing", "(nothing)"}


def test_instance_with_a_malformed_document_is_unknown_not_missing():
    audit = Audit(rules_of(MISSING, RESTARTED), {}, NOW)
    audit.add("c/cluster.json", json.dumps(cluster(components=["region", "host"])).encode())
    audit.add("c/region/region-1/status.json", json.dumps(status()).encode())
    audit.add("c/host/host-1/status.json", b"{")
    audit.finish()
    document = health_document(audit)
    assert findings_of(document) == []
    assert verdicts(document) == {("c", "region"): "ok", ("c", "host"): "unknown"}
    assert document["verdict"] == "unknown"
    assert document["problems"][0]["place"] == "c/host/host-1/status.json"


def test_access_point_without_documents_is_unknown():
    audit = Audit(rules_of(RESTARTED), {}, NOW)
    audit.add_cluster(cluster())
    audit.add_status("p", status())
    audit.cannot_reach("d", "no route to host")
    audit.finish()
    document = health_document(audit)
    assert [(one["cluster"], one["verdict"], one["error"]) for one in document["clusters"]] == [
        ("c", "ok", ""),
        ("d", "unknown", "no route to host"),
    ]
    assert document["verdict"] == "unknown"


def test_transport_is_unknown_without_cluster_json():
    only_kubernetes = rule(applies_to={"transports": ["kubernetes"]})
    document = health_of(rules_of(only_kubernetes), status())
    assert document["unknown"][0]["reason"] == "the transport by which it was reached is not known"
    assert health_of(rules_of(only_kubernetes), status(transport="kubernetes"))["verdict"] == "ok"
    assert health_of(rules_of(only_kubernetes), cluster(transport="host"), status())["verdict"] == "unknown"


def test_counts_an_instance_with_two_equal_documents_once():
    document = health_of(rules_of(RESTARTED), cluster(), status(), status())
    assert document["counts"]["instances"] == 1
    assert (document["verdict"], len(document["problems"])) == ("ok", 1)


@pytest.mark.parametrize("restarts", [(0, 9), (9, 0)])
def test_second_document_cannot_hide_findings_of_the_first(restarts):
    """A compromised node may send a healthy document of another node's instance, and be read first."""
    document = health_of(rules_of(RESTARTED), cluster(), *(status(instance(restarts=number)) for number in restarts))
    assert document["counts"]["instances"] == 1
    assert findings_of(document) == [("warning", "some_rule")]
    assert document["unknown"][0]["reason"] == "there are two documents of this instance, and they differ"
    forged = health_of(rules_of(RESTARTED), cluster(), status(), status(instance(image="other")))
    assert (findings_of(forged), forged["verdict"]) == ([], "unknown")


def test_merges_access_points_of_one_cluster():
    loads = [workload()]
    first = cluster(components=["region"], workloads=loads)
    second = cluster(components=["host"], workloads_known=False, named=True)
    audit = audit_of(rules_of(MISSING), first, second, status())
    merged = audit.clusters["c"]
    assert (merged["components"], merged["workloads_known"], merged["named"]) == (["region", "host"], False, True)


def test_clusters_do_not_share_default_lists():
    bare = {key: value for key, value in cluster("d").items() if key not in ("workloads", "problems")}
    again = {**bare, "workloads": [workload()], "problems": [{"place": "p", "reason": "gone"}]}
    audit = audit_of(rules_of(MISSING), bare, again, {**bare, "cluster": "e"})
    assert (len(audit.clusters["d"]["workloads"]), audit.clusters["e"]["workloads"]) == (1, [])
    assert audit.clusters["e"]["problems"] == []


def test_finds_a_cluster_by_its_sanitized_name():
    loaded = rules_of(rule(applies_to={"transports": ["kubernetes"]}), MISSING)
    audit = Audit(loaded, {}, NOW)
    audit.add("a_b/cluster.json", json.dumps(cluster("a b", ["region", "host"])).encode())
    audit.add("a_b/region/region-1/status.json", json.dumps(status(instance(cluster="a b"))).encode())
    audit.add("a_b/host/host-1/status.json", b"{")
    audit.finish()
    document = health_document(audit)
    assert verdicts(document) == {("a b", "host"): "unknown", ("a b", "region"): "ok"}
    assert findings_of(document) == []


def test_instance_without_any_data_is_unknown():
    """An example is etcd in Keystone's catalog, of which no data is requested."""
    etcd = status(instance("etcd", "etcd-1", ready=False), log=None)
    document = health_of(rules_of(RESTARTED), cluster(transport="keystone", components=["etcd"]), etcd)
    assert document["clusters"][0]["components"][0]["verdict"] == "unknown"
    assert [entry["reason"] for entry in document["unknown"]] == ["no data was read from it"]


ALIVE = {"seconds": 600, "bytes": 10, "lines": 1, "patterns": []}


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({"log": ALIVE}, "ok"),
        ({"log": None, "samples": [{"ping": {"answered": True}}]}, "ok"),
        ({"log": None, "certificate": {"not_after": "x", "days_left": 99}}, "ok"),
        # Silence proves nothing, since the process may be frozen.
        ({"log": {**ALIVE, "lines": 0, "bytes": 0}}, "unknown"),
        ({"log": None}, "unknown"),
        ({"log": None, "samples": [{}]}, "unknown"),
        ({"log": None, "of": instance(state="terminated")}, "ok"),
    ],
)
def test_instance_is_ok_only_with_a_sign_of_life(more, verdict):
    document = health_of(rules_of(RESTARTED), cluster(), status(**more))
    assert document["clusters"][0]["components"][0]["verdict"] == verdict
