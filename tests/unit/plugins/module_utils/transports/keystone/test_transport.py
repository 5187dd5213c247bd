# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Discovery from Keystone's catalog, and tokens in requests."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import SetupError
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.login import (
    LoginSettings,
    settings_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.transport import (
    KeystoneTransport,
)
from keystones import (
    FULL,
    GOOD_TOKEN,
    LISTENS,
    PASSWORD,
    PING,
    USER,
    deadline,
    discover,
    entry,
    logins,
    token_said,
)
from peers import drip, never, peer, server_tls, with_length

from patience import patience, wait_until


def test_rejects_unreadable_ca_file(tmp_path):
    for content in (None, "no certificate"):
        path = tmp_path / "ca.pem"
        if content:
            path.write_text(content)
        with pytest.raises(SetupError, match=r"ca\.pem"):
            KeystoneTransport(LoginSettings("https://k/v3", "u", "p", cacert=str(path)))


def test_discovers_instances_from_catalog(keystone):
    _service, settings = keystone(
        catalog=[
            entry("compute_v2", "https://a:30888"),
            entry("compute_v2", "https://b:30888", region="region1"),
            entry("compute_v2", "https://public:30888", "public"),
            entry("identity", "https://k:30500/v3"),
            entry("odd", "https://odd:1"),
        ]
    )
    _transport, found = discover(settings, "region", "keystone", "odd", "glance", "host")
    assert [(one.component, one.name, one.namespace) for one in found.instances] == [
        ("keystone", "keystone-k", "region0"),
        ("odd", "odd-odd", "region0"),
        ("region", "region-a", "region0"),
        ("region", "region-b", "region1"),
    ]
    assert [verdict.reason for _place, verdict in found.problems] == [Reason.NO_CATALOG_ENTRY] * 2
    assert [verdict.message.split(": ")[1].split(".")[0] for _place, verdict in found.problems] == ["glance", "host"]
    _transport, found = discover(replace(settings, region_name="region1"))
    assert [one.name for one in found.instances] == ["region-b"]
    _transport, found = discover(replace(settings, interface="public"))
    assert [one.name for one in found.instances] == ["region-public"]


def test_bad_url_in_catalog_is_a_problem(keystone):
    _service, settings = keystone(catalog=[entry("compute_v2", "gopher://x"), entry("compute_v2", "https://a:1")])
    _transport, found = discover(settings)
    assert [one.name for one in found.instances] == ["region-a"]
    assert [verdict.reason for _place, verdict in found.problems] == [Reason.NO_CATALOG_ENTRY]


def test_finds_services_that_the_operator_registers(machine):
    authority = machine.folder / "ca.pem"
    service = machine.start("keystone", f"cert_ca={authority}", ("--port", "0"))
    port = int(LISTENS.search(service.log.read_bytes())[1])
    settings = LoginSettings(f"https://localhost:{port}/v3", USER, PASSWORD, cacert=str(authority))
    _transport, found = discover(settings, "region", "keystone", "glance", "logger", "ansibleserver", "mcp-server")
    assert found.problems == []
    assert [(one.component, one.ports) for one in found.instances] == [
        ("ansibleserver", (30890,)),
        ("glance", (30292,)),
        ("keystone", (30500,)),
        ("logger", (30999,)),
        ("mcp-server", (30876,)),
        ("region", (30888,)),
    ]


class Guarded:
    """A service that wants a token, and not each one."""

    def __init__(self, refuses=lambda _token: False):
        self.tokens = []
        self.refuses = refuses

    def __call__(self, server, connection):
        token = re.search(rb"\r\nX-Auth-Token: (\S+)\r\n", server.heads[-1])
        self.tokens.append(token[1].decode() if token else "")
        status = b"401 Unauthorized" if self.refuses(self.tokens[-1]) else b"200 OK"
        connection.sendall(with_length(b"pong", status=status))


@contextlib.contextmanager
def asked(keystone, guarded, behaviour=""):
    """A Keystone, its transport, and the instance that is guarded."""
    with peer(guarded) as server:
        service, settings = keystone(behaviour, [entry("compute_v2", f"http://127.0.0.1:{server.port}")])
        transport, found = discover(settings)
        (instance,) = found.instances
        yield service, lambda: transport.http_get(instance, PING, deadline(), 100)


def test_sends_token_with_one_login(keystone):
    guarded = Guarded()
    with asked(keystone, guarded) as (service, ask):
        threads = [threading.Thread(target=ask) for _number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(patience())
    assert len(guarded.tokens) == 10
    assert len(set(guarded.tokens)) == 1
    assert len(guarded.tokens[0]) == 64
    assert logins(service) == 1


def test_uses_gateway_for_all_requests():
    endpoints = [{"interface": "internal", "region": "region0", "url": f"https://{host}:30888"} for host in "ab"]
    token = {"token": {**GOOD_TOKEN["token"], "catalog": [{"type": "compute_v2", "endpoints": endpoints}]}}

    def gateway(server, connection):
        is_login = server.heads[-1].startswith(b"POST")
        connection.sendall(token_said(token) if is_login else with_length(b"pong"))

    with peer(gateway) as server:
        environment = {**FULL, "OS_AUTH_URL": f"http://127.0.0.1:{server.port}/api/s/identity/v3"}
        transport, found = discover(settings_of({"endpoint_type": "apigateway"}, environment))
        (instance,) = found.instances
        answer = transport.http_get(instance, PING, deadline(), 100)
    assert (instance.name, instance.namespace, answer.body) == ("region-127.0.0.1", "region0", b"pong")
    assert [head.split(b"\r\n")[0] for head in server.heads] == [
        b"POST /api/s/identity/v3/auth/tokens HTTP/1.1",
        b"GET /api/s/compute_v2/r/region0/ping HTTP/1.1",
    ]
    assert b"\r\nX-Auth-Token: t0ken\r\n" in server.heads[1]


def test_renews_revoked_token_once(keystone):
    guarded = Guarded()
    guarded.refuses = lambda token: token == guarded.tokens[0] and len(guarded.tokens) > 1
    with asked(keystone, guarded) as (service, ask):
        statuses = [ask().status for _number in range(3)]
    assert statuses == [200, 200, 200]
    first, second, third, fourth = guarded.tokens
    assert first == second != third == fourth
    assert logins(service) == 2


def test_renews_token_before_expiry(keystone):
    # Keystone says that it is good for 31 s, and the library renews 30 s before the end.
    guarded = Guarded()
    with asked(keystone, guarded, "token_says=31s") as (service, ask):
        ask()
        wait_until("another token", lambda: ask() and len(set(guarded.tokens)) > 1)
    assert logins(service) == 2


def test_clock_difference_causes_no_login_per_request(keystone):
    guarded = Guarded()
    with asked(keystone, guarded, "token_says=1s token_life=24h") as (service, ask):
        for _number in range(5):
            assert ask().status == 200
    assert logins(service) == 1


def test_service_that_refuses_tokens_causes_one_more_login(keystone):
    guarded = Guarded(lambda _token: True)
    with asked(keystone, guarded) as (service, ask):
        assert [ask().status for _number in range(5)] == [401] * 5
    assert len(guarded.tokens) == 6
    assert logins(service) == 2


def test_sends_no_token_to_unverified_service(keystone):
    with peer(Guarded(), server_tls("localhost")) as server:
        _service, settings = keystone(catalog=[entry("compute_v2", f"https://localhost:{server.port}")])
        transport, found = discover(settings)
        with pytest.raises(CaptureError) as failed:
            transport.http_get(found.instances[0], PING, deadline(), 100)
    assert failed.value.verdict.reason is Reason.TLS_FAILED
    assert server.heads == []


def test_missing_library_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "keystoneauth1.session", None)
    with pytest.raises(SetupError, match="pip install 'keystoneauth1"):
        KeystoneTransport(LoginSettings("https://k/v3", USER, PASSWORD))


@pytest.mark.parametrize("act", [never, drip(with_length(b"{}"), 0.2)], ids=["silence", "a byte a moment"])
def test_hanging_keystone_ends_with_deadline(act):
    with peer(act) as server:
        transport = KeystoneTransport(LoginSettings(f"http://127.0.0.1:{server.port}/v3", USER, PASSWORD))
        begun = time.monotonic()
        with contextlib.suppress(DeadlineExceeded):
            found = transport.discover(select(components=["region"]), deadline(1.0))
            assert [verdict.reason for _place, verdict in found.problems] == [Reason.UNREACHABLE]
        # It would be silent for a minute and more.
        assert time.monotonic() - begun < patience(30)
