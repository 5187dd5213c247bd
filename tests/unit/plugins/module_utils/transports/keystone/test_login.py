# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings, logins at Keystone (the stand-in and faulty peers), and its catalog."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import SetupError
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.login import (
    LoginSettings,
    settings_of,
    through_gateway,
    urls_in,
)
from keystones import (
    FULL,
    GOOD_TOKEN,
    PASSWORD,
    USER,
    deadline,
    discover,
    entry,
    logins,
    problem_of,
    token_said,
)
from peers import closed_port, peer, server_tls, with_length


def test_reads_climc_variables():
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


def test_access_key_needs_no_user():
    keys = {"OS_AUTH_URL": FULL["OS_AUTH_URL"], "OS_ACCESS_KEY": "a", "OS_SECRET_KEY": "s"}
    settings = settings_of({}, keys)
    assert (settings.access_key, settings.secret_key, settings.secrets) == ("a", "s", ["s"])
    assert settings_of({"access_key": "mine", "secret_key": "hush"}, keys).secrets == ["hush"]


def test_finds_gateway_in_auth_url():
    settings = settings_of({"endpoint_type": "apigateway", "auth_url": "https://gw:1/x/api/s/identity/v3/"}, FULL)
    assert (settings.auth_url, settings.gateway) == ("https://gw:1/x/api/s/identity/v3", "https://gw:1/x")
    assert settings.interface == "internal"


def test_options_precede_variables():
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
def test_rejects_incomplete_settings(environment, words):
    with pytest.raises(SetupError, match=words):
        settings_of({}, environment)


@pytest.mark.parametrize("url", ["https://k:30500", "https://k:30500/", "https://k:30500/v3", "https://k:30500/v3/"])
def test_adds_missing_version_to_auth_url(url):
    assert settings_of({"auth_url": url}, FULL).auth_url == "https://k:30500/v3"


def test_hides_secrets_in_repr():
    settings = LoginSettings("https://k/v3", "u", password="hush", token="hush", secret_key="hush")  # noqa: S106
    assert "hush" not in repr(settings)


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
def test_selects_urls_by_type_region_and_interface(region, interface, urls):
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
def test_builds_gateway_urls(region, url, there):
    assert through_gateway("https://gw", "compute_v2", region, url) == f"https://gw{there}"


@pytest.mark.parametrize("catalog", [[], None, {}, "text", [{"type": "image"}], CATALOG])
def test_ignores_malformed_catalog(catalog):
    assert urls_in(catalog, "image", "", "internal") == []


# Logging in


def test_logs_in_with_token(keystone):
    _service, settings = keystone(catalog=[entry("compute_v2", "https://a:30888")])
    transport, _found = discover(settings)
    token = transport._login.token(deadline())
    _transport, found = discover(replace(settings, username="", password="", token=token))
    assert [one.name for one in found.instances] == ["region-a"]


KEYS = {"access_key": "standin-access-key", "secret_key": "standin-secret-key"}


def test_logs_in_with_access_key(keystone):
    service, settings = keystone(catalog=[entry("compute_v2", "https://a:30888")])
    _transport, found = discover(replace(settings, username="", password="", **KEYS))
    assert [one.name for one in found.instances] == ["region-a"]
    # As climc has it.
    _transport, found = discover(replace(settings, password="wrong", **KEYS))  # noqa: S106
    assert [one.name for one in found.instances] == ["region-a"]
    assert logins(service) == 2


def test_wrong_secret_fails_without_showing_it(keystone):
    _service, settings = keystone()
    _place, verdict = problem_of(replace(settings, **{**KEYS, "secret_key": "hush-hush"}))
    assert verdict.reason is Reason.AUTH_FAILED
    assert "hush" not in verdict.message


def test_wrong_password_fails_without_showing_it(keystone):
    _service, settings = keystone()
    place, verdict = problem_of(replace(settings, password="hush-hush"))  # noqa: S106
    assert (place, verdict.reason) == ("localhost", Reason.AUTH_FAILED)
    assert "hush" not in verdict.message
    assert verdict.message.isprintable()


def test_sends_no_password_to_unverified_keystone():
    seen = []
    with peer(lambda server, _connection: seen.append(server.heads[-1]), server_tls("localhost")) as server:
        settings = LoginSettings(f"https://localhost:{server.port}/v3", USER, PASSWORD)
        assert problem_of(settings)[1].reason is Reason.TLS_FAILED
    assert seen == []


def test_keystone_unreachable():
    settings = LoginSettings(f"http://127.0.0.1:{closed_port()}/v3", USER, PASSWORD)
    assert problem_of(settings)[1].reason is Reason.UNREACHABLE


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
def test_unexpected_answers_of_keystone(said, reason):
    with peer(said) as server:
        verdict = problem_of(LoginSettings(f"http://127.0.0.1:{server.port}/v3", USER, PASSWORD))[1]
    assert verdict.reason is reason, verdict.message
    assert verdict.message.isprintable()
    assert len(server.heads) == 1


@pytest.mark.parametrize("status", [b"302 Found", b"307 Temporary Redirect"])
def test_does_not_follow_redirect_of_keystone(status):
    with peer(token_said(GOOD_TOKEN)) as other:
        location = b"Location: http://127.0.0.1:%d/v3/auth/tokens" % other.port
        with peer(with_length(b"", location, status=status)) as server:
            verdict = problem_of(LoginSettings(f"http://127.0.0.1:{server.port}/v3", USER, PASSWORD))[1]
    assert verdict.reason is Reason.UNREACHABLE
    assert (len(server.heads), other.heads) == (1, [])
