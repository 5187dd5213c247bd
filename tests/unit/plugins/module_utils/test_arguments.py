# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to transports."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import arguments
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import SetupError
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.keystone.login import VARIABLES

from patience import patience

OPTIONS = {"cluster": "", "binary_dirs": ["/opt/yunion/bin"], "keystone": None, "urls": {}}


def transport(**options):
    return arguments.transport_of({**OPTIONS, **options}, 4)


def test_only_status_options_have_urls():
    assert arguments.TRANSPORT["transport"]["choices"] == ["kubernetes", "host"]
    assert arguments.STATUS_TRANSPORT["transport"]["choices"] == ["kubernetes", "host", "keystone", "url"]
    assert arguments.TRANSPORT.keys() == arguments.STATUS_TRANSPORT.keys()


def test_keystone_settings_are_options():
    options = arguments.KEYSTONE["keystone"]["options"]
    assert options.keys() == VARIABLES.keys()
    assert {name for name, option in options.items() if option.get("no_log")} == {"password", "token", "secret_key"}


def test_makes_keystone_transport(monkeypatch):
    for variable in itertools.chain(*VARIABLES.values()):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OS_AUTH_URL", "https://keystone.example:30500/v3")
    monkeypatch.setenv("OS_PASSWORD", "hush")
    made = transport(transport="keystone", keystone={"username": "sysadmin"})
    assert (made.name, made.cluster) == ("keystone", "keystone.example")
    assert transport(transport="keystone", keystone={"username": "sysadmin"}, cluster="c1").cluster == "c1"
    with pytest.raises(SetupError, match="username"):
        transport(transport="keystone")


def test_accepts_one_or_several_urls():
    made = transport(transport="url", urls={"region": "https://a:1", "glance": ["https://b:1", "https://c:1"]})
    found = made.discover(select(components=["region", "glance"]), Deadline(patience(), "test")).instances
    assert [one.name for one in found] == ["glance-b", "glance-c", "region-a"]


def test_accepts_other_names_of_components_in_urls():
    made = transport(transport="url", urls={"identity": "https://a:1", "keystone": "https://b:1"})
    found = made.discover(select(components=["identity"]), Deadline(patience(), "test")).instances
    assert [(one.component, one.name) for one in found] == [("keystone", "keystone-a"), ("keystone", "keystone-b")]


def test_refuses_url_of_unknown_component_unless_selected():
    with pytest.raises(SetupError, match=r"urls: there is no component 'regoin'; did you mean region"):
        transport(transport="url", urls={"regoin": "https://a:1"})
    made = transport(transport="url", urls={"newone": "https://a:1"}, components=["newone"])
    (found,) = made.discover(select(components=["newone"]), Deadline(patience(), "test")).instances
    assert found.component == "newone"


@pytest.mark.parametrize("urls", [{}, {"region": 5}, {"region": ["https://a:1", 5]}, {"region": {"a": "b"}}])
def test_refuses_other_values_as_urls(urls):
    with pytest.raises(SetupError, match="urls"):
        transport(transport="url", urls=urls)


def test_makes_host_transport():
    assert transport(transport="host").machine
