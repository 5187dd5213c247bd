# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP, certificates, logs and workloads through a real API server.

For behaviour that no healthy service shows, peers of the test listen in the network namespace of a pod or node.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import (
    COMPONENTS,
    component_of,
    endpoint_path,
    select,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpTarget
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.sockets import socket_in
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.api import Api
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.transport import (
    KubernetesTransport,
)
from peers import OK, after, drip, flood, never, peer, pem, reset, server_tls, with_length
from world import World, kubeconfig_of, published

from patience import patience, wait_until

NAMESPACE = "onecloud"
LIMIT = 1 << 20
# Without its deadline of one second, a request would hang for minutes.
HANGS_SECONDS = 600.0
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
STATUS_LIKE = json.dumps({"class": "ForbiddenError", "code": 403, "details": "not you"}).encode()


def deadline(seconds: float = 60.0) -> Deadline:
    return Deadline(seconds, "test")


def transport_for(kubeconfig: str, *namespaces: str) -> KubernetesTransport:
    return KubernetesTransport(Api({"kubeconfig": kubeconfig}, 40), "c1", namespaces or [NAMESPACE])


@pytest.fixture(scope="module")
def transport(healthy: World) -> Iterator[KubernetesTransport]:
    made = transport_for(healthy.kubeconfig)
    yield made
    made.close()


def instances(transport: KubernetesTransport, component: str) -> list[Instance]:
    return transport.discover(select(components=[component]), deadline()).instances


@pytest.fixture(scope="module")
def on_node(healthy: World, transport: KubernetesTransport) -> tuple[Instance, str]:
    """Return a pod on its node's network, and that network's namespace."""
    instance = instances(transport, "host")[0]
    (node,) = [node for node in healthy.nodes if node["name"] == instance.node]
    return instance, node["netns"]


@pytest.fixture(scope="module")
def in_pod(transport: KubernetesTransport) -> tuple[Instance, str]:
    """Return a pod with a network of its own, and its namespace."""
    instance = instances(transport, "region")[0]
    container = instance.container_id.rsplit("/", 1)[-1]
    for cgroup in Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if container in cgroup.read_text():
                return instance, str(cgroup.parent / "ns" / "net")
    raise LookupError(container)


def listener(namespace: str) -> socket.socket:
    """Return a socket on a free port of all addresses in the namespace."""
    made = socket_in(namespace, socket.AF_INET)
    made.bind(("", 0))
    return made


def ask(transport, instance, server, seconds=60.0, path="/stats", limit=LIMIT):
    target = HttpTarget("https" if server.tls else "http", server.port, path)
    return transport.http_get(instance, target, deadline(seconds), limit)


def reason_of(act) -> Reason:
    with pytest.raises(CaptureError) as failed:
        act()
    assert failed.value.verdict.message.isprintable()
    return failed.value.verdict.reason


# Responses of peers


@pytest.fixture(params=["node, plain", "node, tls", "pod, plain", "pod, tls"])
def place(request, on_node, in_pod):
    instance, namespace = on_node if request.param.startswith("node") else in_pod
    return instance, namespace, server_tls() if request.param.endswith("tls") else None


def test_returns_the_response_unchanged(transport, place):
    instance, namespace, tls = place
    with peer(with_length(b'{"a": 1}', b"X-Odd: one"), tls, listener=listener(namespace)) as server:
        answer = ask(transport, instance, server)
    assert (answer.status, answer.body, answer.is_complete) == (200, b'{"a": 1}', True)
    assert answer.headers["x-odd"] == "one"
    (head,) = server.heads
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "get /stats http/1.1"
    (agent,) = [line for line in lines if line.startswith("user-agent:")]
    assert "yunioncloud-go/201708" in agent
    assert "accept-encoding: identity" in lines
    # The user's credentials are for the API server only.
    assert not any(line.startswith("authorization:") for line in lines)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503, 504])
def test_returns_error_responses_of_a_service(transport, on_node, status):
    body = json.dumps({"class": "SomeError", "code": status, "details": "Request queue is full"}).encode()
    said = with_length(body, b"Content-Type: application/json", status=b"%d Some Words" % status)
    with peer(said, listener=listener(on_node[1])) as server:
        answer = ask(transport, on_node[0], server)
    assert (answer.status, answer.body) == (status, body)
    assert len(server.heads) == 1


def test_does_not_follow_redirects(transport, on_node):
    location = b"Location: /switch"
    with peer(with_length(b"", location, status=b"302 Found"), listener=listener(on_node[1])) as server:
        assert ask(transport, on_node[0], server).status == 302
    assert len(server.heads) == 1


CUT = {
    "a length": (OK + b"Content-Length: 1000000\r\n\r\n", b""),
    "in a chunk": (CHUNKED + b"f4240\r\n", b""),
    "between chunks": (CHUNKED + b"4e20\r\n", b"\r\n"),
}


@pytest.mark.parametrize("how", CUT)
def test_keeps_and_marks_a_truncated_body(transport, place, how):
    instance, namespace, tls = place
    before, behind = CUT[how]
    with peer(before + b"x" * 20_000 + behind, tls, listener=listener(namespace)) as server:
        answer = ask(transport, instance, server)
    assert (answer.status, answer.is_complete, answer.truncated_by) == (200, False, "end")
    assert 10_000 < len(answer.body) <= 20_000


def test_api_server_drops_a_short_truncated_body(transport, place):
    instance, namespace, tls = place
    with peer(OK + b"Content-Length: 10\r\n\r\n12345", tls, listener=listener(namespace)) as server:
        assert reason_of(lambda: ask(transport, instance, server)) is Reason.CONNECTION_BROKEN


def test_reads_a_large_body_up_to_the_limit(transport, place):
    instance, namespace, tls = place
    sent = [0]
    head = OK + b"Content-Length: 104857600\r\n\r\n"
    with peer(flood(head, b"x" * 65536, sent), tls, listener=listener(namespace)) as server:
        answer = ask(transport, instance, server)
        assert (len(answer.body), answer.is_complete, answer.truncated_by) == (LIMIT, False, "size")
    # The API server closes the connection to the pod when the client does.
    assert sent[0] < 60 << 20


def test_stops_decompression_at_the_limit(transport, on_node):
    bomb = with_length(gzip.compress(b"\0" * (64 << 20)), b"Content-Encoding: gzip")
    with peer(bomb, listener=listener(on_node[1])) as server:
        answer = ask(transport, on_node[0], server)
    assert (len(answer.body), answer.is_complete, answer.truncated_by) == (LIMIT, False, "size")


SILENT = {
    "silence": never,
    "a byte a moment": drip(with_length(b"pong"), 0.2),
    "only Continue": after(b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("how", SILENT)
def test_missing_response_ends_by_the_deadline(transport, place, how):
    instance, namespace, tls = place
    with peer(SILENT[how], tls, listener=listener(namespace)) as server:
        begun = time.monotonic()
        assert reason_of(lambda: ask(transport, instance, server, seconds=1.0)) is Reason.NO_ANSWER
        assert time.monotonic() - begun < HANGS_SECONDS / 10


def test_slow_body_ends_by_the_deadline(transport, place):
    instance, namespace, tls = place
    said = drip(b"x" * 10_000, 0.05, first=OK + b"Content-Length: 1000000\r\n\r\n" + b"y" * 5000)
    with peer(said, tls, listener=listener(namespace)) as server:
        begun = time.monotonic()
        answer = ask(transport, instance, server, seconds=1.0)
        assert time.monotonic() - begun < HANGS_SECONDS / 10
    assert (answer.status, answer.is_complete, answer.truncated_by) == (200, False, "time")
    assert answer.body.startswith(b"y" * 4000)


BROKEN = {
    "closed": (b"", Reason.CONNECTION_BROKEN),
    "reset": (reset(), Reason.CONNECTION_BROKEN),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", Reason.NOT_HTTP),
}


@pytest.mark.parametrize("how", BROKEN)
def test_invalid_response_has_its_own_reason(transport, place, how):
    instance, namespace, tls = place
    act, reason = BROKEN[how]
    with peer(act, tls, listener=listener(namespace)) as server:
        assert reason_of(lambda: ask(transport, instance, server)) is reason


def test_reports_a_closed_port(transport, place):
    instance, namespace, tls = place
    with listener(namespace) as unused:
        target = HttpTarget("https" if tls else "http", unused.getsockname()[1], "/stats")
        assert reason_of(lambda: transport.http_get(instance, target, deadline(), LIMIT)) is Reason.CONNECTION_REFUSED


def test_reports_a_port_without_tls(transport, place):
    instance, namespace, _tls = place
    with peer(b"SSH-2.0-OpenSSH_9.2\r\n", listens=False, listener=listener(namespace)) as server:
        target = HttpTarget("https", server.port, "/stats")
        assert reason_of(lambda: transport.http_get(instance, target, deadline(), LIMIT)) is Reason.TLS_FAILED


# Responses of the stand-ins


def test_components_serve_the_endpoints_of_the_catalog(transport):
    asked = 0
    for instance in transport.discover(select(components=sorted(COMPONENTS)), deadline()).instances:
        offered = component_of(instance.component).http
        for endpoint in offered.endpoints if offered else ():
            target = HttpTarget(offered.scheme, offered.port, endpoint_path(endpoint))
            answer = transport.http_get(instance, target, deadline(), 8 << 20)
            assert (answer.status, answer.is_complete) == (200, True), (instance.component, endpoint)
            asked += 1
    assert asked > 60


@pytest.mark.parametrize(
    ("component", "path", "status"),
    [("host", "/db_stats", 404), ("monitor", "/process_stats", 404), ("scheduler", "/stats", 401)],
)
def test_missing_endpoint_returns_the_services_own_error(transport, component, path, status):
    offered = component_of(component).http
    instance = instances(transport, component)[0]
    target = HttpTarget(offered.scheme, offered.port, path)
    assert transport.http_get(instance, target, deadline(), LIMIT).status == status


# Responses of the API server itself


def test_deleted_pod_is_reported_as_gone(transport, on_node):
    gone = dataclasses.replace(on_node[0], name="default-host-00000")
    target = HttpTarget("http", 8885, "/ping")
    assert reason_of(lambda: transport.http_get(gone, target, deadline(), LIMIT)) is Reason.GONE
    assert reason_of(lambda: transport.read_log(gone, 60, deadline(), LIMIT)) is Reason.GONE


def test_pod_deleted_during_a_request_is_gone_or_broken(healthy, transport):
    victim = instances(transport, "notify")[0]
    healthy.kubectl("-n", NAMESPACE, "delete", "pod", victim.name, "--grace-period=0", "--force")
    target = HttpTarget("https", 30777, "/ping")
    assert reason_of(lambda: transport.http_get(victim, target, deadline(), LIMIT)) is Reason.GONE
    healthy.deploy("healthy")


@pytest.fixture(scope="module")
def least(healthy: World) -> Iterator[KubernetesTransport]:
    """Yield the transport of a user with the Role for stack captures only."""
    yield from user_with(healthy, "http-least", "rbac")


@pytest.fixture(scope="module")
def auditor(healthy: World) -> Iterator[KubernetesTransport]:
    """Yield the transport of a user with the Role for audits only."""
    yield from user_with(healthy, "http-auditor", "rbac-audit")


def user_with(world: World, user: str, role: str) -> Iterator[KubernetesTransport]:
    made = transport_for(kubeconfig_of(world, user, published(role)))
    yield made
    made.close()


def test_names_the_missing_permission(least, on_node):
    target = HttpTarget("http", 8885, "/ping")
    with pytest.raises(CaptureError) as failed:
        least.http_get(on_node[0], target, deadline(), LIMIT)
    assert failed.value.verdict.reason is Reason.FORBIDDEN
    assert "pods/proxy" in failed.value.verdict.message
    with pytest.raises(CaptureError) as failed:
        least.workloads(select(), deadline())
    assert failed.value.verdict.reason is Reason.FORBIDDEN
    assert "deployments" in failed.value.verdict.message


def test_role_for_audits_is_sufficient(auditor, on_node):
    assert instances(auditor, "host")
    with peer(with_length(b"pong"), listener=listener(on_node[1])) as server:
        assert ask(auditor, on_node[0], server, path="/ping").body == b"pong"
    assert auditor.read_log(on_node[0], 3600, deadline(), LIMIT)
    assert auditor.workloads(select(), deadline())


# Certificates, logs, workloads


def test_reads_the_certificate_if_the_pod_is_reachable(transport, on_node):
    tls = server_tls()
    with peer(with_length(b"pong"), tls, listener=listener(on_node[1])) as server:
        target = HttpTarget("https", server.port, "/ping")
        assert transport.certificate(on_node[0], target, deadline()) == ssl.PEM_cert_to_DER_cert(pem(tls))
        unreachable = dataclasses.replace(on_node[0], address="192.0.2.1")
        enough = deadline(HANGS_SECONDS)
        assert transport.certificate(unreachable, target, enough) is None
        assert enough.remaining() > HANGS_SECONDS / 2  # The peer ended the connection by itself.


def test_reads_the_end_of_a_log(healthy, transport, in_pod):
    instance = in_pod[0]
    whole = healthy.kubectl("-n", NAMESPACE, "logs", instance.name, "-c", instance.container).encode()
    text = transport.read_log(instance, 86400, deadline(), 64 << 20)
    assert text.startswith(whole)
    little = transport.read_log(instance, 86400, deadline(), 300)
    assert 0 < len(little) <= 300
    assert whole.count(little) <= 1
    assert all(line.startswith(b"[") for line in little.splitlines())


def test_reads_the_end_of_a_log_with_long_lines(healthy, transport):
    name = "default-longlines-0"
    script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); printf '%05d %02000d\\n' $i 0; done; exec sleep 600"
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "longlines"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "longlines",
                    "image": "cloudpods.invalid/busybox:lab",
                    "imagePullPolicy": "Never",
                    "command": ["/bin/sh", "-c", script],
                }
            ],
        },
    }
    path = Path(healthy.state["state_file"]).with_name("longlines.json")
    path.write_text(json.dumps(manifest))
    healthy.kubectl("apply", "-f", str(path))
    try:
        healthy.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", f"pod/{name}", f"--timeout={patience():g}s")
        instance = Instance("c1", "longlines", name, NAMESPACE, container="longlines")
        wait_until("the last line", lambda: b"00300 " in transport.read_log(instance, 600, deadline(), 1 << 20))
        # 300 lines of 2 kB: at an estimate of 80 bytes a line all of them would be requested, and the limit would cut
        # off the newest.
        text = transport.read_log(instance, 600, deadline(), 50_000)
    finally:
        healthy.kubectl("-n", NAMESPACE, "delete", "pod", name, "--wait=true")
        path.unlink()
    numbers = [int(line[:5]) for line in text.splitlines()]
    assert numbers == list(range(numbers[0], 301))
    assert 20 <= len(numbers) <= 25


def test_workloads_have_desired_and_ready_replicas(healthy, transport):
    found = transport.workloads(select(components=["region", "host", "web"]), deadline())
    seen = {(one.kind, one.name): (one.component, one.desired, one.ready, one.read_only) for one in found}
    nodes = len(healthy.nodes)
    assert seen == {
        ("DaemonSet", "default-host"): ("host", nodes, nodes, False),
        ("Deployment", "default-region"): ("region", 3, 3, False),
        ("Deployment", "default-region-slave"): ("region", 1, 1, True),
        ("Deployment", "default-web"): ("web", 1, 1, False),
    }


def test_lists_workloads_in_pages(healthy):
    transport = KubernetesTransport(Api({"kubeconfig": healthy.kubeconfig}, 40, page_size=2), "c1", [NAMESPACE])
    try:
        everything = transport.workloads(select(components=sorted(COMPONENTS)), deadline())
    finally:
        transport.close()
    assert len(everything) > 10
    assert len({(one.kind, one.name) for one in everything}) == len(everything)
    assert {"region", "host"} <= {one.component for one in everything}
