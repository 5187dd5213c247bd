# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import catalog

DOCUMENTED = {
    "kvm_server": {"region", "host", "host-deployer"},
    "kvm_image": {"glance"},
    "vmware_server": {"region", "esxi-agent", "host-deployer"},
    "other_server": {"region"},
    "slow_system": {"region", "keystone"},
}


@pytest.mark.parametrize(("scenario", "components"), DOCUMENTED.items())
def test_scenarios_are_those_of_the_document(scenario, components):
    assert set(catalog.select(scenario).names) == components


def test_deadlock_is_every_component_that_dumps_and_the_default():
    names = set(catalog.select().names)
    assert names == {name for name, component in catalog.COMPONENTS.items() if component.usr1 == catalog.DUMPS}
    assert not names & {"scheduler", "monitor", "lbagent", "mcp-server", "region-dns", "web", "etcd", "climc"}
    assert {"region", "keystone", "host", "webconsole"} <= names


def test_an_unknown_scenario_lists_the_known():
    with pytest.raises(ValueError, match="deadlock, kvm_image, kvm_server, other_server, slow_system, vmware_server"):
        catalog.select("slow")


def test_named_components_win_also_unknown_ones():
    selection = catalog.select("kvm_server", ["region", " newone ", "region", ""])
    assert selection.names == ("region", "newone")
    assert selection.components[1].usr1 == catalog.UNKNOWN


def test_labels_cover_read_only_replicas_and_older_operators():
    values = catalog.label_values(catalog.select(components=["host-health"]))
    assert values == ["host-health", "host-health-slave", "host", "host-slave"]


def test_binary_paths_are_exact():
    component = catalog.component_of("apigateway")
    assert catalog.binary_paths(component, ["/a/", "/b"]) == [
        "/a/apigateway",
        "/a/yunionapi",
        "/b/apigateway",
        "/b/yunionapi",
    ]
