# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status of healthy and faulty services through the API server: responses, errors, rates and reasons."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import ENDPOINTS, component_of, select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.sockets import socket_in
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.api import Api
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.transport import (
    KubernetesTransport,
)
from deploy import apply
from deploy.faults import FAULT_LABEL
from deploy.sets import regions
from peers import peer, with_length
from world import ROOT, World, asked, call, kubeconfig_of, ledger, published

from patience import patience, wait_until

NAMESPACE = "onecloud"
TROUBLED = "onecloud-status"
HARMED = "onecloud-status-harmed"
# Unique in each run, because runs share the lab's audit log.
READER = f"status-reader-{os.getpid()}"
INTERVAL = 1


@dataclass
class Status:
    """The result and the files of one module call."""

    result: dict[str, Any]
    folder: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        return ledger(self.folder)

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.rglob("status.json"))]

    def of(self, component: str) -> list[dict[str, Any]]:
        return [document for document in self.documents if document["instance"]["component"] == component]

    def reasons(self, instance: str) -> dict[tuple[str, int], str]:
        """Return the reasons by (endpoint, sample)."""
        rows = [row for row in self.rows if row["instance"] == instance and row["capture"].startswith("status:")]
        found = {(row["capture"][7:], row["sequence"]): row["reason"] for row in rows}
        assert len(found) == len(rows)
        return found


def read_status(kubeconfig: str, folder: Path, *arguments: str, **options: Any) -> Status:
    """Call the installed module by Ansible, as a user does."""
    outcome, result = call("status_info", kubeconfig, folder, *arguments, **options)
    assert outcome == "SUCCESS", result
    return Status(result, folder / "part")


# Healthy services


@pytest.fixture(scope="module")
def read(healthy: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Status, dict, dict]:
    """Read all endpoints of all replicas twice, by a user of its own; return it, and all containers before, after."""
    kubeconfig = kubeconfig_of(healthy, READER, published("rbac-audit"), NAMESPACE)
    before = healthy.containers(NAMESPACE)
    options = {
        "samples": 2,
        "interval": INTERVAL,
        "log_seconds": 86400,
        "certificates": True,
        "return_documents": "always",
    }
    status = read_status(kubeconfig, tmp_path_factory.mktemp("healthy"), **options)
    return status, before, healthy.containers(NAMESPACE)


def test_reads_every_endpoint_of_every_replica(healthy, read):
    status, _before, _after = read
    pods = {pod["metadata"]["name"] for pod in healthy.pods(NAMESPACE, "app")}
    assert {document["instance"]["name"] for document in status.documents} == pods
    assert (status.result["found"], status.result["counts"]["failed"]) == (len(pods), 0)
    for document in status.documents:
        http = component_of(document["instance"]["component"]).http
        offered = http.endpoints if http else ()
        assert document["expected"] == [name for name in ENDPOINTS if name in offered]
        assert status.reasons(document["instance"]["name"]) == {
            **{(name, number): "recorded" for name in offered for number in (1, 2)},
            **{(name, 1): "not_offered" for name in ENDPOINTS if name not in offered},
        }
        assert [set(offered) - set(sample) for sample in document["samples"]] == [set()] * (2 if offered else 0)
        assert {missing["endpoint"] for missing in document["missing"]} <= {"certificate"}  # without TLS


def test_endpoints_of_components_match_the_catalog(read):
    status, _before, _after = read
    has = {document["instance"]["component"]: set(document["expected"]) for document in status.documents}
    every = set(ENDPOINTS)
    assert has["region"] == has["keystone"] == has["glance"] == every
    assert has["apigateway"] == has["host"] == has["host-image"] == has["esxi-agent"] == every - {"db_stats"}
    assert has["scheduler"] == {"ping", "version"}
    assert has["monitor"] == every - {"process_stats"}
    assert has["webconsole"] == every - {"process_stats", "db_stats"}
    assert has["mcp-server"] == every - {"stats", "db_stats"}
    assert has["host-deployer"] == has["etcd"] == has["web"] == set()


def test_sends_exactly_one_request_per_row(healthy, read):
    status, before, after = read
    requests = asked(healthy, READER)
    assert {(verb, resource) for verb, resource, _path in requests} == {
        ("list", "pods"), ("list", "deployments"), ("list", "daemonsets"), ("get", "pods/proxy"), ("get", "pods/log"),
    }  # fmt: skip
    proxied = collections.Counter(
        (path.split("/pods/")[1].split("/")[0].removeprefix("https:").split(":")[0], path.partition("/proxy")[2])
        for _verb, resource, path in requests
        if resource == "pods/proxy"
    )
    rows = [row for row in status.rows if row["capture"].startswith("status:") and row["status"] == "complete"]
    assert proxied == collections.Counter((row["instance"], f"/{row['capture'][7:]}") for row in rows)
    assert not [path for _verb, _resource, path in requests if path.partition("?")[0].endswith("switch")]
    assert before == after
    assert status.result["changed"] is False


def test_does_not_change_the_state_of_services(healthy, read):
    assert read
    for pod in healthy.pods(NAMESPACE, "app=scheduler"):
        log = healthy.kubectl("-n", NAMESPACE, "logs", pod["metadata"]["name"])
        assert "SWITCHED" not in log
        assert "Forbidden default handler" not in log


def test_rates_count_requests_between_samples(read):
    status, _before, _after = read
    for document in status.of("region"):
        window = document["window"]
        assert (window["reset"], window["restarted"], window["errors_5xx"]) == (False, False, 0)
        # One request to each endpoint between the samples is ours; kubelet and others may send more.
        requests = {path["path"]: path["requests"] for path in window["paths"]}
        assert {f"/{name}" for name in ENDPOINTS} <= set(requests)
        assert window["requests"] == sum(path["requests"] for path in window["paths"])
        first, last = document["samples"]
        assert last["elapsed_seconds"] >= INTERVAL - 0.001  # the value is rounded
        assert window["seconds"] == pytest.approx(last["taken"]["stats"] - first["taken"]["stats"], abs=0.001)


def test_stores_bodies_documents_certificates_and_logs(read):
    status, _before, _after = read
    schemas = ROOT / "docs" / "schemas"
    jsonschema.validate(status.rows, {"items": json.loads((schemas / "ledger-row.schema.json").read_text())})
    document_schema = json.loads((schemas / "status.schema.json").read_text())
    for row in status.rows:
        if row["capture"].startswith("status:") and row["status"] == "complete":
            assert (status.folder / row["path"]).stat().st_size == row["bytes"] > 0
    for document in status.documents:
        jsonschema.validate(document, document_schema)
    for document in status.of("region"):
        assert document["certificate"]["subject"] == "CN=default-region"
        assert document["log"]["bytes"] > 0
        assert {pattern["id"] for pattern in document["log"]["patterns"]} <= {"started"}
    (cluster,) = status.folder.glob("*/cluster.json")
    found = json.loads(cluster.read_text())
    jsonschema.validate(found, json.loads((schemas / "cluster-status.schema.json").read_text()))
    assert found["workloads_known"] is True
    wanted = {workload["name"]: (workload["desired"], workload["ready"]) for workload in found["workloads"]}
    assert wanted["default-region"] == (3, 3)
    assert wanted["default-host"] == (2, 2)
    assert status.result["documents"] == sorted(
        status.documents, key=lambda document: [each["instance"]["name"] for each in status.result["documents"]].index(
            document["instance"]["name"])
    )  # fmt: skip


def test_check_mode_reads_and_writes_nothing(healthy, tmp_path):
    status = read_status(healthy.kubeconfig, tmp_path, "--check", components=["scheduler"])
    assert [document["expected"] for document in status.result["documents"]] == [["ping", "version"]]
    assert not status.folder.exists()


# Faulty services


STATUSES = {
    403: "user_agent_refused",
    404: "no_endpoint",
    429: "queue_full",
    504: "process_timeout",
    500: "server_error",
    302: "redirected",
    400: "unexpected_status",
}
SAID = b'{"class":"SomeError","details":"as said"}'


@pytest.fixture(scope="module")
def refused(healthy: World, tmp_path_factory: pytest.TempPathFactory) -> Status:
    """Return one call for peers in a pod's network with these response statuses, each as a pod of its own cluster."""
    (pod, *_others) = healthy.pods(NAMESPACE, "app=host-image")
    (node,) = [node for node in healthy.nodes if node["name"] == pod["spec"]["nodeName"]]
    instance = {"component": "host-image", "name": pod["metadata"]["name"], "namespace": NAMESPACE}
    given = []
    with contextlib.ExitStack() as peers:
        for code in STATUSES:
            listener = socket_in(node["netns"], socket.AF_INET)
            listener.bind(("", 0))
            said = with_length(SAID, status=b"%d Some Words" % code)
            server = peers.enter_context(peer(said, listener=listener))
            # Requested without TLS, on the first port that its container declares.
            given.append({**instance, "cluster": f"c{code}", "ports": [server.port]})
        folder = tmp_path_factory.mktemp("refused")
        return read_status(healthy.kubeconfig, folder, instances=given, endpoints=["ping", "stats"])


@pytest.mark.parametrize("code", STATUSES)
def test_distinguishes_errors_of_services_from_those_of_the_api_server(refused, code):
    rows = [row for row in refused.rows if row["cluster"] == f"c{code}"]
    expected = [("status:ping", STATUSES[code]), ("status:stats", STATUSES[code])]
    assert [(row["capture"], row["reason"]) for row in rows] == expected
    for row in rows:
        assert row["details"]["http_status"] == code
        assert (refused.folder / row["path"]).read_bytes() == SAID
        assert str(code) in row["message"]
    (document,) = [each for each in refused.documents if each["instance"]["cluster"] == f"c{code}"]
    assert document["samples"][0]["taken"] == {}
    assert [missing["reason"] for missing in document["missing"]] == [STATUSES[code]] * 2


@dataclass(frozen=True)
class Trouble:
    """Fault of a region, and the expected reason of /stats and of each other endpoint.

    asked: the endpoints that get a request; the later ones get none.
    """

    behaviour: dict[str, Any]
    stats: str
    others: str = "recorded"
    asked: tuple[str, ...] = ENDPOINTS


ONLY_STATS = {"http_fault_path": "/stats"}
# If /ping and the next request get no response, the service hangs and gets no more requests.
TWICE = ("ping", "version")
TROUBLES = {
    "well": Trouble({}, "recorded"),
    "hang": Trouble({"http_fault": "hang"}, "no_answer", "no_answer", TWICE),
    "hang-stats": Trouble({"http_fault": "hang", **ONLY_STATS}, "no_answer"),
    "deaf": Trouble({"http": "deaf"}, "no_answer", "no_answer", TWICE),
    "off": Trouble({"http": "off"}, "connection_refused", "connection_refused"),
    "plain": Trouble({"http": "plain"}, "tls_failed", "tls_failed"),
    "drip": Trouble({"http_fault": "drip", **ONLY_STATS}, "body_cut"),
    "huge": Trouble({"http_fault": "huge", **ONLY_STATS}, "body_too_large"),
    "bad-json": Trouble({"http_fault": "bad-json", **ONLY_STATS}, "not_json"),
    "bad-utf8": Trouble({"http_fault": "bad-utf8", **ONLY_STATS}, "not_json"),
    "empty": Trouble({"http_fault": "empty", **ONLY_STATS}, "not_json"),
    "html": Trouble({"http_fault": "html", **ONLY_STATS}, "not_json"),
    "gzip": Trouble({"http_fault": "gzip", **ONLY_STATS}, "recorded"),
    "cut": Trouble({"http_fault": "cut", **ONLY_STATS}, "body_cut"),
    "short": Trouble({"http_fault": "short", **ONLY_STATS}, "body_cut"),
    "reset": Trouble({"http_fault": "reset", **ONLY_STATS}, "connection_broken"),
    "close": Trouble({"http_fault": "close", **ONLY_STATS}, "connection_broken"),
    "redirect": Trouble({"http_fault": "redirect", **ONLY_STATS}, "redirected"),
    "unavailable": Trouble({"http_fault": "unavailable", **ONLY_STATS}, "server_error"),
    "other-name": Trouble({"cert_name": "other.example"}, "recorded"),
}
LARGEST = 1 << 20
# The deadlines of an instance and of the run: a hung service uses the first, and would otherwise use the second.
TIMEOUT, DEADLINE = 20, 300


@pytest.fixture(scope="module")
def troubled(world: World, cluster: apply.Cluster) -> Iterator[World]:
    with apply.deployed(cluster, regions(TROUBLED, {name: trouble.behaviour for name, trouble in TROUBLES.items()})):
        yield world


def pods_by_fault(world: World, namespace: str) -> dict[str, str]:
    """Return the pod of each planted fault."""
    return {pod["metadata"]["labels"][FAULT_LABEL]: pod["metadata"]["name"] for pod in world.pods(namespace)}


@pytest.fixture(scope="module")
def faults(troubled: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Status, dict[str, str]]:
    """Read all of them in one call; return the result and the pod of each fault."""
    options = {"namespaces": [TROUBLED], "components": ["region"], "timeout": TIMEOUT, "max_bytes": LARGEST}
    options["deadline"] = DEADLINE
    status = read_status(troubled.kubeconfig, tmp_path_factory.mktemp("faults"), certificates=True, **options)
    return status, pods_by_fault(troubled, TROUBLED)


@pytest.mark.parametrize("fault", TROUBLES)
def test_each_fault_has_its_reason_and_affects_no_other_row(faults, fault):
    status, pods = faults
    trouble = TROUBLES[fault]
    reasons = {**dict.fromkeys(ENDPOINTS, trouble.others), "stats": trouble.stats}
    assert status.reasons(pods[fault]) == {
        (name, 1): reason if name in trouble.asked else "not_asked" for name, reason in reasons.items()
    }


def test_every_request_has_a_row_with_a_next_step(faults):
    status, pods = faults
    assert len(status.rows) == len(pods) * (len(ENDPOINTS) + 1)
    for row in status.rows:
        assert row["status"] == "complete" or "Next:" in row["message"]
        assert row["bytes"] <= LARGEST
        assert row["message"].isprintable()


def test_hung_services_use_only_their_share_of_time(faults):
    status, pods = faults
    spent = {
        fault: sum(row["duration"] for row in status.rows if row["instance"] == pod) for fault, pod in pods.items()
    }
    assert max(spent.values()) < DEADLINE / 2
    # A hung service gets no more requests than it takes to detect the hang.
    assert spent["hang"] < TIMEOUT / 2
    # One hung request leaves most of the time to the other requests of its instance.
    (row,) = [row for row in status.rows if row["instance"] == pods["hang-stats"] and row["reason"] == "no_answer"]
    assert row["duration"] < TIMEOUT / 2


def test_shows_a_certificate_for_another_name(faults):
    status, pods = faults
    (document,) = [each for each in status.documents if each["instance"]["name"] == pods["other-name"]]
    assert document["certificate"]["subject"] != "CN=default-region"


def test_table_names_the_faulty_service(faults):
    status, pods = faults
    (line,) = [line for line in status.result["table"] if line.startswith("region ")]
    assert line.split()[1] == str(len(pods))
    assert "no_answer" in line


def test_detects_deleted_pod_and_restarted_container_during_the_run(world, cluster, tmp_path):
    """Read one instance at a time, in the order given.

    The first sample of `gate` ends when that pod is deleted, and the second samples begin after it.
    """
    with apply.deployed(cluster, regions(HARMED, {"victim": {}, "restarting": {}, "gate": {"http_fault": "hang"}})):
        pods = pods_by_fault(world, HARMED)
        transport = KubernetesTransport(Api({"kubeconfig": world.kubeconfig}, 1), "c1", [HARMED])
        found = {each.name: each.as_dict() for each in transport.discover(select(), Deadline(60.0, "test")).instances}
        transport.close()
        with ThreadPoolExecutor(1) as pool:
            harmed = pool.submit(harm, world, cluster, pods, tmp_path / "part")
            given = [found[pods[name]] for name in ("victim", "restarting", "gate")]
            options = {"instances": given, "endpoints": ["ping", "db_stats"], "namespaces": [HARMED]}
            options.update(concurrency=1, samples=2, interval=0, timeout=patience(240), deadline=patience(480))
            status = read_status(world.kubeconfig, tmp_path, **options)
            harmed.result()
    assert status.reasons(pods["victim"]) == {
        ("ping", 1): "recorded", ("db_stats", 1): "recorded", ("ping", 2): "gone", ("db_stats", 2): "gone",
    }  # fmt: skip
    assert set(status.reasons(pods["restarting"]).values()) == {"recorded"}
    by_name = {document["instance"]["name"]: document for document in status.documents}
    assert by_name[pods["victim"]]["window"] is None
    restarted = by_name[pods["restarting"]]
    assert restarted["instance"]["restarts"] == 1
    assert (restarted["window"]["restarted"], restarted["window"]["reset"]) == (True, True)


def harm(world: World, cluster: apply.Cluster, pods: dict[str, str], part: Path) -> None:
    """After the first sample of both, delete one pod and restart the container of another."""

    def read_once() -> bool:
        return all(list(part.glob(f"*/region/{pods[name]}/db_stats-1.json")) for name in ("victim", "restarting"))

    def listens_again() -> bool:
        (pod,) = [pod for pod in world.pods(HARMED) if pod["metadata"]["name"] == pods["restarting"]]
        (container,) = pod["status"]["containerStatuses"]
        is_new = container["restartCount"] == 1 and "running" in container["state"]
        return is_new and "Start listen on" in cluster.log(pod)

    def delete(name: str) -> None:
        world.kubectl("-n", HARMED, "delete", "pod", pods[name], "--grace-period=0", "--force")

    wait_until("the first samples", read_once)
    delete("victim")
    # The shell may end with its container before it returns. The test only needs another container to start.
    world.kubectl("-n", HARMED, "exec", pods["restarting"], "--", "/bin/sh", "-c", "kill -TERM 1", check=False)
    wait_until("the new container to listen", listens_again)
    delete("gate")
