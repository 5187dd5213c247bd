# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import catalog
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import profile_path
from hypothesis import given
from hypothesis import strategies as st

DOCUMENTED = {
    "kvm_server": {"region", "host", "host-deployer"},
    "kvm_image": {"glance"},
    "vmware_server": {"region", "esxi-agent", "host-deployer"},
    "other_server": {"region"},
    "slow_system": {"region", "keystone"},
}


@pytest.mark.parametrize(("scenario", "components"), DOCUMENTED.items())
def test_scenarios_are_those_of_the_documentation(scenario, components):
    assert set(catalog.select(scenario).names) == components


def test_default_scenario_is_every_component_that_dumps():
    names = set(catalog.select().names)
    assert names == {name for name, component in catalog.COMPONENTS.items() if component.usr1 == catalog.DUMPS}
    assert not names & {"scheduler", "monitor", "lbagent", "mcp-server", "region-dns", "web", "etcd", "climc"}
    assert {"region", "keystone", "host", "webconsole"} <= names


def test_unknown_scenario_lists_the_known_ones():
    with pytest.raises(ValueError, match="deadlock, kvm_image, kvm_server, other_server, slow_system, vmware_server"):
        catalog.select("slow")


def test_named_components_override_the_scenario():
    selection = catalog.select("kvm_server", ["region", " newone ", "region", ""])
    assert selection.names == ("region", "newone")
    assert selection.components[1].usr1 == catalog.UNKNOWN


# Facts: the names that climc, Keystone's catalog and the alarms show.
ALIASES = {
    "identity": "keystone", "compute": "region", "compute_v2": "region", "image": "glance", "log": "logger",
    "ansible": "ansibleserver", "k8s": "kubeserver", "yunionapi": "apigateway", "baremetal": "baremetal-agent",
}  # fmt: skip


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_resolves_aliases(alias, name):
    selection = catalog.select(components=[alias, name])
    assert selection.names == (name,)
    assert catalog.unknown(selection) == []


def test_no_alias_is_a_component_name():
    assert not set(catalog.ALIASES) & set(catalog.COMPONENTS)
    assert set(catalog.ALIASES.values()) <= set(catalog.COMPONENTS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("identiy", "did you mean identity (keystone)?"),
        ("Regoin", "did you mean region"),
        ("host-deploy", "did you mean host-deployer"),
        ("xyzzy", "the known ones are: aiproxy, "),
    ],
)
def test_suggests_components_for_an_unknown_name(name, words):
    assert catalog.unknown(catalog.select(components=[name, "region"])) == [name]
    assert catalog.no_component(name).startswith(f"there is no component '{name}'; {words}")


@pytest.mark.parametrize(
    ("ask", "near"),
    [
        (lambda: catalog.select("slow"), "; did you mean slow_system"),
        (lambda: catalog.select("xyzzy"), "unknown scenario 'xyzzy'. The known ones"),
        (lambda: catalog.endpoint_path("worker_stat"), "; did you mean worker_stats?"),
        (lambda: profile_path("goroutines"), "; did you mean goroutine"),
    ],
)
def test_suggests_choices_for_an_unknown_one(ask, near):
    with pytest.raises(ValueError, match=re.escape(near)) as failed:
        ask()
    assert "The known ones are: " in str(failed.value)


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


# What components answer over HTTP

APPSRV = {"ping", "version", "stats", "worker_stats", "process_stats"}
WITH_DATABASE = APPSRV | {"db_stats"}
OFFERED = {
    "keystone": (30500, WITH_DATABASE),
    "region": (30888, WITH_DATABASE),
    "glance": (30292, WITH_DATABASE),
    "scheduler": (30887, {"ping", "version"}),
    "webconsole": (30899, {"ping", "version", "stats", "worker_stats"}),
    "monitor": (30093, {"ping", "version", "stats", "worker_stats", "db_stats"}),
    "mcp-server": (30876, {"ping", "version", "worker_stats", "process_stats"}),
    "apigateway": (30300, APPSRV),
    "cloudmon": (30931, APPSRV),
    "vpcagent": (30932, APPSRV),
    "s3gateway": (30884, APPSRV),
    "host": (8885, APPSRV),
    "host-image": (48885, APPSRV),
    "esxi-agent": (30883, APPSRV),
    "baremetal-agent": (8879, APPSRV),
}
SILENT = {"host-deployer", "host-health", "lbagent", "region-dns", "host-sdnagent", "climc", "web", "etcd", "itsm"}


@pytest.mark.parametrize("name", OFFERED)
def test_component_has_its_endpoints(name):
    offered = catalog.COMPONENTS[name].http
    assert (offered.port, set(offered.endpoints)) == OFFERED[name]
    assert offered.scheme == ("http" if name in ("mcp-server", "host-image") else "https")


@pytest.mark.parametrize("name", sorted(SILENT))
def test_component_without_endpoints(name):
    assert catalog.http_of(catalog.component_of(name), [80]) is None


def test_endpoints_and_ports_are_well_formed():
    offered = [component.http for component in catalog.COMPONENTS.values() if component.http]
    assert len({one.port for one in offered}) == len(offered)
    named = [one.service_type for one in offered if one.service_type]
    assert len(set(named)) == len(named)
    for one in offered:
        # In the order of the table, each once.
        assert [name for name in catalog.ENDPOINTS if name in one.endpoints] == list(one.endpoints)


def test_service_types_are_those_of_the_keystone_catalog():
    types = {component.http.service_type: name for name, component in catalog.COMPONENTS.items() if component.http}
    documented = {"identity": "keystone", "compute_v2": "region", "image": "glance", "log": "logger"}
    documented.update({"ansible": "ansibleserver", "k8s": "kubeserver", "scheduler": "scheduler", "meter": "meter"})
    assert documented.items() <= types.items()
    for name in ("host", "host-image", "esxi-agent", "baremetal-agent"):
        assert catalog.COMPONENTS[name].http.service_type == ""


def test_unknown_component_uses_its_declared_port():
    unknown = catalog.component_of("newone")
    assert catalog.http_of(unknown, [31234, 31235]) == catalog.Http(
        31234, tuple(sorted(APPSRV, key=list(catalog.PATHS).index)), pprof=catalog.PPROF_UNKNOWN
    )
    assert catalog.http_of(unknown) is None
    # What the catalog says of a known one is not overruled by a pod.
    assert catalog.http_of(catalog.component_of("region"), [1]).port == 30888


def test_makes_only_listed_paths():
    made = [catalog.endpoint_path(name) for name in catalog.ENDPOINTS]
    made += [catalog.endpoint_path("db_stats", name) for name in ("click", "click_house-1", "A" * 64)]
    assert made[0] == "/ping"
    assert made[-3] == "/db_stats/click"
    assert all(catalog.is_safe_path(path) for path in made)


@pytest.mark.parametrize("name", ["switch", "", "/ping", "app-options", "debug/pprof/goroutine", "PING", "ping "])
def test_rejects_other_endpoints(name):
    with pytest.raises(ValueError, match="db_stats"):
        catalog.endpoint_path(name)


@pytest.mark.parametrize(
    "database", ["../switch", "a/b", "..", ".", "a b", "a?b", "a#b", "a%2fb", "a\n", "é", "A" * 65]
)
def test_rejects_database_names_with_other_characters(database):
    with pytest.raises(ValueError, match="has no database"):
        catalog.endpoint_path("db_stats", database)
    assert not catalog.is_safe_path("/db_stats/" + database)


def test_only_db_stats_has_databases():
    with pytest.raises(ValueError, match="has no database"):
        catalog.endpoint_path("stats", "db")


@given(st.text(alphabet="/abdst_.-%?#\n\r 0", max_size=20) | st.text(max_size=30))
def test_safe_paths_are_those_that_can_be_made(path):
    made = {catalog.endpoint_path(name) for name in catalog.ENDPOINTS}
    by_name = path.startswith("/db_stats/") and re.fullmatch("[A-Za-z0-9_-]{1,64}", path[len("/db_stats/") :])
    assert catalog.is_safe_path(path) == (path in made or bool(by_name))
