# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logging in at Keystone (the stand-in, and peers that do it wrong), its catalog, and what becomes of tokens."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import sys
import threading
import time
from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpTarget, SetupError
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.login import (
    LoginSettings,
    settings_of,
    through_gateway,
    urls_in,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.signing import (
    login_body,
    signature_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.transport import (
    KeystoneTransport,
)
from peers import closed_port, drip, never, peer, server_tls, with_length
from standins import Machine

from patience import patience, wait_until

USER, PASSWORD = "sysadmin", "standin-admin-password"
LISTENS = re.compile(rb"Start listen on https?://[^:]+:(\d+)")
PING = HttpTarget("https", 1, "/ping")


def deadline(seconds=60.0):
    return Deadline(seconds, "test")


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.stop()


@pytest.fixture
def keystone(machine):
    """Starts a Keystone: its settings, and the authority that verifies it."""

    def start(behaviour="", catalog=()):
        authority, entries = machine.folder / "ca.pem", machine.folder / "catalog.json"
        entries.write_text(json.dumps(list(catalog)))
        service = machine.start("keystone", f"cert_ca={authority} catalog={entries} {behaviour}", ("--port", "0"))
        port = int(LISTENS.search(service.log.read_bytes())[1])
        settings = LoginSettings(f"https://localhost:{port}/v3", USER, PASSWORD, project_name="system")
        return service, replace(settings, cacert=str(authority))

    return start


def entry(kind, url, interface="internal", region="region0"):
    return {"type": kind, "url": url, "interface": interface, "region": region}


def logins(service):
    """How many tokens were asked for, as the access log has it."""
    return service.log.read_bytes().count(b"POST /v3/auth/tokens")


def discover(settings, *components):
    transport = KeystoneTransport(settings)
    return transport, transport.discover(select(components=components or ["region"]), deadline())


def problem_of(settings):
    _transport, found = discover(settings)
    assert found.instances == []
    ((place, verdict),) = found.problems
    return place, verdict


# LoginSettings


FULL = {"OS_AUTH_URL": "https://k:30500/v3", "OS_USERNAME": "u", "OS_PASSWORD": "p"}


def test_the_variables_of_climc():
    settings = settings_of(
        {},
        {
            **FULL,
            "OS_PROJECT_NAME": "system",
            "OS_PROJECT_DOMAIN": "pd",
            "OS_DOMAIN_NAME": "ud",
            "OS_REGION_NAME": "region0",
            "OS_ENDPOINT_TYPE": "publicURL",
            "YUNION_INSECURE": "true",
        },
    )
    assert settings == LoginSettings(
        "https://k:30500/v3",
        "u",
        "p",
        project_name="system",
        project_domain="pd",
        user_domain="ud",
        region_name="region0",
        interface="public",
        insecure=True,
    )


def test_an_access_key_needs_no_user():
    keys = {"OS_AUTH_URL": FULL["OS_AUTH_URL"], "OS_ACCESS_KEY": "a", "OS_SECRET_KEY": "s"}
    settings = settings_of({}, keys)
    assert (settings.access_key, settings.secret_key, settings.secrets) == ("a", "s", ["s"])
    assert settings_of({"access_key": "mine", "secret_key": "hush"}, keys).secrets == ["hush"]


def test_the_gateway_is_where_the_auth_url_is():
    settings = settings_of({"endpoint_type": "apigateway", "auth_url": "https://gw:1/x/api/s/identity/v3/"}, FULL)
    assert (settings.auth_url, settings.gateway) == ("https://gw:1/x/api/s/identity/v3", "https://gw:1/x")
    assert settings.interface == "internal"


def test_options_come_before_variables():
    settings = settings_of({"username": "mine", "insecure": False, "region_name": None}, {**FULL, "OS_INSECURE": "1"})
    assert (settings.username, settings.password, settings.insecure, settings.verify) == ("mine", "p", False, True)
    assert settings_of({"cacert": "/ca"}, FULL).verify == "/ca"
    assert settings_of({"insecure": True, "cacert": "/ca"}, FULL).verify is False


@pytest.mark.parametrize("kind", ["internalURL", "internal", "publicURL", "adminURL"])
def test_endpoint_types(kind):
    assert settings_of({"endpoint_type": kind}, FULL).interface == kind.replace("URL", "")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "OS_AUTH_URL"),
        ({**FULL, "OS_AUTH_URL": "https://k:5000/v2.0/"}, "version 3"),
        ({**FULL, "OS_USERNAME": ""}, "username"),
        ({**FULL, "OS_USERNAME": "", "OS_ACCESS_KEY": "a"}, "access key and its secret"),
        ({**FULL, "OS_ENDPOINT_TYPE": "odd"}, "endpoint type odd is none of"),
        ({**FULL, "OS_ENDPOINT_TYPE": "apigateway"}, "api/s/identity/v3"),
    ],
)
def test_settings_that_do_not_do(environment, words):
    with pytest.raises(SetupError, match=words):
        settings_of({}, environment)


@pytest.mark.parametrize("url", ["https://k:30500", "https://k:30500/", "https://k:30500/v3", "https://k:30500/v3/"])
def test_the_version_is_added_where_it_is_missing(url):
    assert settings_of({"auth_url": url}, FULL).auth_url == "https://k:30500/v3"


def test_secrets_do_not_show():
    settings = LoginSettings("https://k/v3", "u", password="hush", token="hush", secret_key="hush")  # noqa: S106
    assert "hush" not in repr(settings)


def test_authorities_that_cannot_be_read(tmp_path):
    for content in (None, "no certificate"):
        path = tmp_path / "ca.pem"
        if content:
            path.write_text(content)
        with pytest.raises(SetupError, match=r"ca\.pem"):
            KeystoneTransport(LoginSettings("https://k/v3", "u", "p", cacert=str(path)))


# The catalog


CATALOG = [
    {
        "type": "compute_v2",
        "endpoints": [
            {"interface": "internal", "region": "region0", "url": "https://a:30888"},
            {"interface": "internal", "region_id": "region1", "url": "https://b:30888"},
            {"interface": "public", "region": "region0", "url": "https://c:30888"},
            {"interface": "internal", "region": "region0", "url": "https://a:30888"},
            {"interface": "internal", "region": "region0", "url": None},
            "nonsense",
        ],
    },
    {"type": "image", "endpoints": None},
    None,
]


@pytest.mark.parametrize(
    ("region", "interface", "urls"),
    [
        ("region0", "internal", [("region0", "https://a:30888")]),
        ("", "internal", [("region0", "https://a:30888"), ("region1", "https://b:30888")]),
        ("region0", "public", [("region0", "https://c:30888")]),
        ("region2", "internal", []),
    ],
)
def test_urls_by_type_region_and_interface(region, interface, urls):
    assert urls_in(CATALOG, "compute_v2", region, interface) == urls


@pytest.mark.parametrize(
    ("region", "url", "there"),
    [
        ("region0", "https://a:30888", "/api/s/compute_v2/r/region0"),
        ("", "https://a:30888/", "/api/s/compute_v2"),
        ("region0", "https://a:30292/v1", "/api/s/compute_v2/r/region0/v1"),
        ("region0", "https://[", "/api/s/compute_v2/r/region0"),
        ("region0", "nonsense", "/api/s/compute_v2/r/region0"),
    ],
)
def test_where_the_gateway_has_a_service(region, url, there):
    assert through_gateway("https://gw", "compute_v2", region, url) == f"https://gw{there}"


@pytest.mark.parametrize("catalog", [[], None, {}, "text", [{"type": "image"}], CATALOG])
def test_what_is_not_in_a_catalog(catalog):
    assert urls_in(catalog, "image", "", "internal") == []


def test_instances_are_the_urls_of_the_catalog(keystone):
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


def test_a_url_that_is_none_is_a_problem_and_not_the_end(keystone):
    _service, settings = keystone(catalog=[entry("compute_v2", "gopher://x"), entry("compute_v2", "https://a:1")])
    _transport, found = discover(settings)
    assert [one.name for one in found.instances] == ["region-a"]
    assert [verdict.reason for _place, verdict in found.problems] == [Reason.NO_CATALOG_ENTRY]


def test_the_catalog_that_the_operator_registers(machine):
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


# Logging in


def test_a_token_does_as_well_as_a_password(keystone):
    _service, settings = keystone(catalog=[entry("compute_v2", "https://a:30888")])
    transport, _found = discover(settings)
    token = transport._login.token(deadline())
    _transport, found = discover(replace(settings, username="", password="", token=token))
    assert [one.name for one in found.instances] == ["region-a"]


def test_a_signature_that_cloudpods_accepted():
    """A login of climc, from the documentation of Cloudpods (development/apisdk)."""
    text = """AWS4-HMAC-SHA256
20220220T172931Z
20220220/cn-beijing/s3/aws4_request
5ff6dad4605ea24e0f0be6c6885eddbbe1a5619c89f682b21d719aa50dcb9264"""
    secret = "OGVmTXNKQWpBWHpUejZTWDNKcndSdXlHQUNFeXhLVWI="  # noqa: S105
    found = signature_of(text, secret, ("20220220", "cn-beijing", "s3", "aws4_request"))
    assert found == "4c92b91266168fc650fec9303a9dc3309f12d0fe66c5b0a605082e0260c70ce2"


def test_what_a_login_with_an_access_key_says():
    now = datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
    body = login_body("key", "hush", "https://k:30500/v3/auth/tokens", now)
    assert "hush" not in json.dumps(body)
    assert body["auth"]["identity"]["methods"] == ["aksk"]
    proof = json.loads(body["auth"]["identity"]["access_key_secret"])
    assert proof["request"].splitlines()[:3] == [
        "AWS4-HMAC-SHA256",
        "20260203T040506Z",
        "20260203/cn-beijing/s3/aws4_request",
    ]
    assert (proof["access_key"], proof["sign_date"]) == ("key", "2026-02-03T04:05:06.000000Z")


KEYS = {"access_key": "standin-access-key", "secret_key": "standin-secret-key"}


def test_an_access_key_does_as_well_as_a_password(keystone):
    service, settings = keystone(catalog=[entry("compute_v2", "https://a:30888")])
    _transport, found = discover(replace(settings, username="", password="", **KEYS))
    assert [one.name for one in found.instances] == ["region-a"]
    # As climc has it.
    _transport, found = discover(replace(settings, password="wrong", **KEYS))  # noqa: S106
    assert [one.name for one in found.instances] == ["region-a"]
    assert logins(service) == 2


def test_a_wrong_secret_is_said_to_be_and_not_shown(keystone):
    _service, settings = keystone()
    _place, verdict = problem_of(replace(settings, **{**KEYS, "secret_key": "hush-hush"}))
    assert verdict.reason is Reason.AUTH_FAILED
    assert "hush" not in verdict.message


def test_a_wrong_password_is_said_to_be_and_not_shown(keystone):
    _service, settings = keystone()
    place, verdict = problem_of(replace(settings, password="hush-hush"))  # noqa: S106
    assert (place, verdict.reason) == ("localhost", Reason.AUTH_FAILED)
    assert "hush" not in verdict.message
    assert verdict.message.isprintable()


def test_a_keystone_of_another_authority_gets_no_password():
    seen = []
    with peer(lambda server, _connection: seen.append(server.heads[-1]), server_tls("localhost")) as server:
        settings = LoginSettings(f"https://localhost:{server.port}/v3", USER, PASSWORD)
        assert problem_of(settings)[1].reason is Reason.TLS_FAILED
    assert seen == []


def test_a_keystone_that_is_not_there():
    settings = LoginSettings(f"http://127.0.0.1:{closed_port()}/v3", USER, PASSWORD)
    assert problem_of(settings)[1].reason is Reason.UNREACHABLE


GOOD_TOKEN = {"token": {"expires_at": "2099-01-01T00:00:00Z", "catalog": []}}


def token_said(body):
    return with_length(
        json.dumps(body).encode(), b"X-Subject-Token: t0ken", b"Content-Type: application/json", status=b"201 Created"
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            with_length(b'{"error": {"message": "down \x1b[31m"}}', status=b"503 Service Unavailable"),
            Reason.UNREACHABLE,
        ),
        (with_length(b"{}", status=b"404 Not Found"), Reason.UNREACHABLE),
        (with_length(b"<html>\r\n<title>403 Forbidden</title>", status=b"403 Forbidden"), Reason.UNREACHABLE),
        (with_length(b"<html>\r\n<title>401</title>", status=b"401 Unauthorized"), Reason.UNREACHABLE),
        (with_length(b'{"error": {"message": "no"}}', status=b"403 Forbidden"), Reason.AUTH_FAILED),
        (with_length(b"not JSON at all"), Reason.UNREACHABLE),
        (with_length(b"[]", b"Content-Type: application/json"), Reason.UNREACHABLE),
        (token_said({"token": []}), Reason.NOT_JSON),
        (token_said({"token": {"expires_at": "never", "catalog": []}}), Reason.NOT_JSON),
        (
            with_length(json.dumps(GOOD_TOKEN).encode(), b"Content-Type: application/json"),
            Reason.NOT_JSON,
        ),
        (b"", Reason.UNREACHABLE),
        (with_length(b"[" * 100_000, b"Content-Type: application/json"), Reason.NOT_JSON),
    ],
    ids=[
        "503",
        "404",
        "a page 403",
        "a page 401",
        "403",
        "text",
        "a list",
        "no object",
        "no time",
        "no token",
        "closed",
        "a deep one",
    ],
)
def test_a_keystone_that_says_something_else(said, reason):
    with peer(said) as server:
        verdict = problem_of(LoginSettings(f"http://127.0.0.1:{server.port}/v3", USER, PASSWORD))[1]
    assert verdict.reason is reason, verdict.message
    assert verdict.message.isprintable()
    assert len(server.heads) == 1


@pytest.mark.parametrize("status", [b"302 Found", b"307 Temporary Redirect"])
def test_a_keystone_that_points_elsewhere_is_not_followed(status):
    with peer(token_said(GOOD_TOKEN)) as other:
        location = b"Location: http://127.0.0.1:%d/v3/auth/tokens" % other.port
        with peer(with_length(b"", location, status=status)) as server:
            verdict = problem_of(LoginSettings(f"http://127.0.0.1:{server.port}/v3", USER, PASSWORD))[1]
    assert verdict.reason is Reason.UNREACHABLE
    assert (len(server.heads), other.heads) == (1, [])


@pytest.mark.parametrize("act", [never, drip(with_length(b"{}"), 0.2)], ids=["silence", "a byte a moment"])
def test_a_keystone_that_hangs_costs_the_deadline_and_no_more(act):
    with peer(act) as server:
        transport = KeystoneTransport(LoginSettings(f"http://127.0.0.1:{server.port}/v3", USER, PASSWORD))
        begun = time.monotonic()
        with contextlib.suppress(DeadlineExceeded):
            found = transport.discover(select(components=["region"]), deadline(1.0))
            assert [verdict.reason for _place, verdict in found.problems] == [Reason.UNREACHABLE]
        # It would be silent for a minute and more.
        assert time.monotonic() - begun < patience(30)


# Tokens at work


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


def test_the_token_goes_along_and_one_login_is_enough(keystone):
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


def test_all_goes_through_the_gateway_where_that_is_wanted():
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


def test_a_token_that_ends_in_mid_run_is_renewed_once(keystone):
    guarded = Guarded()
    guarded.refuses = lambda token: token == guarded.tokens[0] and len(guarded.tokens) > 1
    with asked(keystone, guarded) as (service, ask):
        statuses = [ask().status for _number in range(3)]
    assert statuses == [200, 200, 200]
    first, second, third, fourth = guarded.tokens
    assert first == second != third == fourth
    assert logins(service) == 2


def test_a_token_is_renewed_before_it_ends(keystone):
    # Keystone says that it is good for 31 s, and the library renews 30 s before the end.
    guarded = Guarded()
    with asked(keystone, guarded, "token_says=31s") as (service, ask):
        ask()
        wait_until("another token", lambda: ask() and len(set(guarded.tokens)) > 1)
    assert logins(service) == 2


def test_clocks_that_differ_do_not_cost_a_login_a_question(keystone):
    guarded = Guarded()
    with asked(keystone, guarded, "token_says=1s token_life=24h") as (service, ask):
        for _number in range(5):
            assert ask().status == 200
    assert logins(service) == 1


def test_a_service_that_wants_no_token_at_all_costs_one_more_login(keystone):
    guarded = Guarded(lambda _token: True)
    with asked(keystone, guarded) as (service, ask):
        assert [ask().status for _number in range(5)] == [401] * 5
    assert len(guarded.tokens) == 6
    assert logins(service) == 2


def test_a_service_of_another_authority_gets_no_token(keystone):
    with peer(Guarded(), server_tls("localhost")) as server:
        _service, settings = keystone(catalog=[entry("compute_v2", f"https://localhost:{server.port}")])
        transport, found = discover(settings)
        with pytest.raises(CaptureError) as failed:
            transport.http_get(found.instances[0], PING, deadline(), 100)
    assert failed.value.verdict.reason is Reason.TLS_FAILED
    assert server.heads == []


def test_without_its_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "keystoneauth1.session", None)
    with pytest.raises(SetupError, match="pip install 'keystoneauth1"):
        KeystoneTransport(LoginSettings("https://k/v3", USER, PASSWORD))
