# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transports that know URLs only: the HTTP part of the conformance suite, and what is their own."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import component_of, select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpTarget, SetupError
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.login import LoginSettings
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.transport import (
    KeystoneTransport,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.url import ServicePlace, UrlTransport
from conformance import World
from conformance_http import *  # noqa: F403  # pylint: disable=wildcard-import,unused-wildcard-import
from peers import closed_port, peer, with_length
from standins import Machine

from patience import patience

# What `insecure` asks for.
pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
LISTENS = re.compile(rb"Start listen on (https?)://[^:]+:(\d+)")


class UrlWorld(World):
    """Stand-in services of this machine, and their URLs."""

    gone = (Reason.CONNECTION_REFUSED,)

    def __init__(self, folder) -> None:
        self.machine = Machine(folder)
        self.urls: dict[str, list[str]] = {}
        self.transport = UrlTransport(self.urls)

    def start(self, component, behaviour=""):
        service = self.machine.start(component, behaviour, ("--port", "0"))
        match = LISTENS.search(service.log.read_bytes())
        # What says "http=plain" is still registered as the catalog has it.
        scheme = component_of(component).http.scheme
        port = int(match[2]) if match else closed_port()
        service.url = f"{scheme}://127.0.0.1:{port}"
        self.urls.setdefault(component, []).append(service.url)
        return service

    def end(self, service):
        service.stop()

    def is_alive(self, service):
        return service.alive

    def is_it(self, service, instance):
        return f"//{instance.address}:{instance.ports[0]}" in service.url

    def close(self):
        self.transport.close()
        self.machine.stop()


class KeystoneWorld(UrlWorld):
    """The same, with a Keystone that has them in its catalog."""

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.catalog = folder / "catalog.json"
        self.catalog.write_text("[]")
        keystone = self.machine.start("keystone", f"catalog={self.catalog}", ("--port", "0"))
        port = int(LISTENS.search(keystone.log.read_bytes())[2])
        url = f"https://127.0.0.1:{port}/v3"
        self.transport = KeystoneTransport(
            LoginSettings(url, "sysadmin", "standin-admin-password", project_name="system", insecure=True)
        )

    def start(self, component, behaviour=""):
        service = super().start(component, behaviour)
        # The token that is held has the catalog of its own time.
        self.transport.close()
        offered = {name: component_of(name).http for name in self.urls}
        self.catalog.write_text(
            json.dumps(
                [
                    {"type": offered[name].service_type or name, "interface": "internal", "url": url + "/v3.1"}
                    for name, urls in self.urls.items()
                    for url in urls
                ]
            )
        )
        return service


@pytest.fixture(params=[pytest.param(UrlWorld, id="url"), pytest.param(KeystoneWorld, id="keystone")])
def world(request, tmp_path):
    world = request.param(tmp_path)
    yield world
    world.close()


def deadline():
    return Deadline(patience(), "test")


@pytest.mark.parametrize(
    ("url", "suffix", "place"),
    [
        ("https://default-region:30888", "", ServicePlace("https", "default-region", 30888)),
        ("https://cloud.example/", "", ServicePlace("https", "cloud.example", 443)),
        ("http://[fd00::1]:30876", "", ServicePlace("http", "fd00::1", 30876)),
        ("https://k:30500/v3", "/v3", ServicePlace("https", "k", 30500)),
        ("https://k:30292/v1", "", ServicePlace("https", "k", 30292)),
        ("https://k:30292/v2.0/", "", ServicePlace("https", "k", 30292)),
        ("https://k:30442/api", "/api", ServicePlace("https", "k", 30442)),
        ("https://gw/api/s/compute/r/region0/v2", "", ServicePlace("https", "gw", 443, "/api/s/compute/r/region0")),
        ("https://k:1/x?switch=1#y", "", ServicePlace("https", "k", 1, "/x")),
    ],
)
def test_parses_urls(url, suffix, place):
    assert ServicePlace.of(url, suffix) == place


@pytest.mark.parametrize(
    "url",
    [
        "ftp://k/",
        "k:30888",
        "https://",
        "https://k:99999",
        "https://k:x",
        "https://u:secret@k",
        "https://k/a b",
        "https://k/%2e",
    ],
)
def test_rejects_unusable_urls(url):
    transport = UrlTransport({"region": [url]})
    with pytest.raises(SetupError, match="urls of region") as failed:
        transport.discover(select(components=["region"]), deadline())
    assert "secret" not in str(failed.value)


def test_instances_are_named_by_component_and_host():
    urls = {"region": ["https://a:1", "https://a:2", "https://b:1"], "odd": ["http://[fd00::1]:5"]}
    transport = UrlTransport(urls, "c1")
    for _again in range(2):
        found = transport.discover(select(components=["region", "odd", "glance"]), deadline()).instances
        assert [(one.cluster, one.name, one.address, one.ports) for one in found] == [
            ("c1", "odd-fd00-1", "fd00::1", (5,)),
            ("c1", "region-a", "a", (1,)),
            ("c1", "region-a-2", "a", (2,)),
            ("c1", "region-b", "b", (1,)),
        ]


def test_prefixes_paths_with_the_path_of_the_url():
    with peer(with_length(b"pong")) as server:
        transport = UrlTransport({"region": [f"http://127.0.0.1:{server.port}/api/s/compute/v2"]})
        (instance,) = transport.discover(select(components=["region"]), deadline()).instances
        assert transport.http_get(instance, HttpTarget("https", 1, "/ping"), deadline(), 100).body == b"pong"
    assert server.heads[0].startswith(b"GET /api/s/compute/ping HTTP/1.1\r\n")
    assert b"Host: 127.0.0.1:%d\r\n" % server.port in server.heads[0]


def test_refuses_everything_but_http():
    transport = UrlTransport({"region": ["https://a:1"]})
    (instance,) = transport.discover(select(components=["region"]), deadline()).instances
    for act in (
        lambda: transport.open_log(instance, deadline()),
        lambda: transport.reopen_log(instance, None, deadline()),
        lambda: transport.open_process(instance, deadline()),
        lambda: transport.read_log(instance, 60, deadline(), 100),
    ):
        with pytest.raises(CaptureError) as failed:
            act()
        assert failed.value.verdict.reason is Reason.HTTP_ONLY
    assert transport.workloads(select(components=["region"]), deadline()) == []


def test_unknown_instance_is_gone():
    with pytest.raises(CaptureError) as failed:
        UrlTransport({}).http_get(Instance("c", "region", "x"), HttpTarget("https", 1, "/ping"), deadline(), 100)
    assert failed.value.verdict.reason is Reason.GONE
