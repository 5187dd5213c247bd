# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of pods/proxy: the pod's, the API server's, or a proxy's. The API server's texts are real ones."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpAnswer, HttpTarget
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.http_proxy import (
    error_of,
    proxy_path,
)

POD = "10.67.101.7:30888"


def status(code, message):
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return HttpAnswer(code, {"content-type": "application/json"}, json.dumps(document).encode())


def unreached(text):
    return status(503, f"error trying to reach service: {text}")


def page(title):
    """Return a page of nginx."""
    return f"<html>\r\n<head><title>{title}</title></head><body><center>nginx</center></body></html>".encode()


@pytest.mark.parametrize(
    ("scheme", "path"),
    [
        ("https", "/api/v1/namespaces/onecloud/pods/https:default-region-1:30888/proxy/stats"),
        ("http", "/api/v1/namespaces/onecloud/pods/default-region-1:30888/proxy/stats"),
    ],
)
def test_path_of_pods_port(scheme, path):
    instance = Instance("c1", "region", "default-region-1", "onecloud")
    assert proxy_path(instance, HttpTarget(scheme, 30888, "/stats")) == path


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (
            status(403, 'pods "x:1" is forbidden: User "u" cannot get resource "pods/proxy"'),
            Reason.FORBIDDEN,
            "pods/proxy",
        ),
        (status(401, "Unauthorized"), Reason.FORBIDDEN, "Unauthorized"),
        (status(404, 'pods "default-region-1" not found'), Reason.GONE, "default-region-1"),
        (unreached(f"dial tcp {POD}: connect: connection refused"), Reason.CONNECTION_REFUSED, "refused"),
        (unreached(f"dial tcp {POD}: connect: no route to host"), Reason.UNREACHABLE, "no route"),
        (unreached(f"dial tcp {POD}: i/o timeout"), Reason.UNREACHABLE, "timeout"),
        (unreached("net/http: TLS handshake timeout"), Reason.NO_ANSWER, "handshake"),
        (unreached("tls: first record does not look like a TLS handshake"), Reason.TLS_FAILED, "first record"),
        (unreached("http: server gave HTTP response to HTTPS client"), Reason.TLS_FAILED, "HTTP response"),
        (unreached("EOF"), Reason.CONNECTION_BROKEN, "EOF"),
        (unreached(f"read tcp 10.67.0.1:1->{POD}: read: connection reset by peer"), Reason.CONNECTION_BROKEN, "reset"),
        (
            unreached('net/http: HTTP/1.x transport connection broken: malformed HTTP response "x"'),
            Reason.NOT_HTTP,
            "malf",
        ),
        (
            status(503, f"Error: 'dial tcp {POD}: connect: connection refused'\nTrying to reach: 'http://{POD}/stats'"),
            Reason.CONNECTION_REFUSED,
            "refused",
        ),
        (
            status(500, "failed calling webhook: dial tcp 10.0.0.1:443: connect: connection refused"),
            Reason.UNREACHABLE,
            "webhook",
        ),
        (status(500, 'Internal error occurred: pod "typeof-1"'), Reason.UNREACHABLE, "typeof-1"),
        (HttpAnswer(502, {}, page("502 Bad Gateway")), Reason.UNREACHABLE, "502 Bad Gateway"),
        (HttpAnswer(503, {}, b"\n" + page("503 Service Unavailable")), Reason.UNREACHABLE, "HTTP status 503"),
        (HttpAnswer(504, {}, page("504 Gateway Time-out")), Reason.UNREACHABLE, "504 Gateway Time-out"),
        (HttpAnswer(404, {}, page("404 Not Found")), Reason.BAD_ANSWER, "404 Not Found"),
        (HttpAnswer(403, {}, page("403 Forbidden")), Reason.BAD_ANSWER, "403 Forbidden"),
        (status(400, "address not allowed"), Reason.UNREACHABLE, "not allowed"),
        (status(500, "something new"), Reason.UNREACHABLE, "something new"),
        (HttpAnswer(429, {}, b"Too many requests, please try again later.\n"), Reason.UNREACHABLE, "too many"),
        (unreached("\x1b[31m" + "x" * 5000), Reason.UNREACHABLE, "xxx"),
    ],
)
def test_recognizes_errors_of_api_server_and_proxies(answer, reason, words):
    problem = error_of(answer)
    assert problem.verdict.reason is reason
    assert words in problem.verdict.message
    assert problem.verdict.message.isprintable()
    assert len(problem.verdict.message) < 500


@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(200, {}, b"pong"),
        HttpAnswer(200, {}, status(403, "a service that says so").body),
        HttpAnswer(403, {}, b'{"class":"ForbiddenError","code":403,"details":"Forbidden"}'),
        HttpAnswer(429, {}, b'{"class":"TooManyRequests","code":429,"details":"Request queue is full"}'),
        HttpAnswer(504, {}, b'{"class":"TimeoutError","code":504,"details":"request process timeout"}'),
        HttpAnswer(503, {}, b"error trying to reach service: connection refused"),
        HttpAnswer(404, {}, b"\xff\xfe"),
        HttpAnswer(404, {}, b"404 page not found\n"),
        HttpAnswer(200, {}, b"<html>the index of pprof</html>"),
        HttpAnswer(502, {}, b"[]"),
        HttpAnswer(500, {}, b""),
        HttpAnswer(500, {}, b"[" * 100_000),
    ],
)
def test_passes_on_errors_of_service(answer):
    assert error_of(answer) is None
