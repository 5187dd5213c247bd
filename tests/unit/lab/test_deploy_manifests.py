# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests of the stand-in cloud: like the operator's, pure, and consistent."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from deploy import faults, images, manifests, sets, states
from deploy.components import COMPONENTS, DAEMON_SET

BEHAVIOUR_SOURCE = Path(__file__).parents[2] / "lab/services/pkg/behaviour/behaviour.go"
BEHAVIOUR_KEYS = set(re.findall(r'^\t\t"([a-z0-9_]+)":', BEHAVIOUR_SOURCE.read_text(), re.MULTILINE))


def templates(wanted: sets.Set) -> list[dict[str, Any]]:
    """Return metadata and spec of all pods of a set."""
    found = []
    for each in wanted.manifests:
        if each["kind"] == "Pod":
            found.append(each)
        elif each["kind"] in {"Deployment", "DaemonSet"}:
            found.append(each["spec"]["template"])
    return found


def containers(wanted: sets.Set) -> list[dict[str, Any]]:
    return [
        container
        for template in templates(wanted)
        for container in (*template["spec"]["containers"], *template["spec"].get("initContainers", []))
    ]


def by_name(wanted: sets.Set, kind: str, name: str) -> dict[str, Any]:
    (found,) = (each for each in wanted.manifests if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def test_region_matches_the_operator() -> None:
    made = manifests.deployment("region", replicas=3, behaviour={"log_rate": 300, "log_hostile": True})
    labels = {
        "app": "region",
        "app.kubernetes.io/component": "region",
        "app.kubernetes.io/instance": "onecloud-cluster-default",
        "app.kubernetes.io/managed-by": "onecloud-operator",
        "app.kubernetes.io/name": "onecloud-cluster",
    }
    assert made["metadata"] == {"name": "default-region", "namespace": "onecloud", "labels": labels}
    assert made["spec"]["replicas"] == 3
    assert made["spec"]["selector"]["matchLabels"] == made["spec"]["template"]["metadata"]["labels"] == labels
    spec = made["spec"]["template"]["spec"]
    (service,), (init,) = spec["containers"], spec["initContainers"]
    assert (service["name"], init["name"]) == ("region", "init")
    assert service["command"] == ["/opt/yunion/bin/region", "--config", "/etc/yunion/region.conf"]
    assert init["command"] == [*service["command"], "--auto-sync-table", "--exit-after-db-init"]
    assert service["env"] == [{"name": "STANDIN", "value": "log_rate=300 log_hostile=true"}]
    assert service["ports"] == [{"containerPort": 30888, "protocol": "TCP"}]
    assert service["readinessProbe"]["httpGet"] == {"path": "/ping", "port": 30888, "scheme": "HTTPS"}
    assert not {"ports", "readinessProbe"} & set(init)
    assert "livenessProbe" not in service


def test_components_with_readiness_probes() -> None:
    probed = {name for name in COMPONENTS if "readinessProbe" in services_container(name)}
    assert probed == {"keystone", "region", "glance", "apigateway", "host"}


def test_pods_on_the_nodes_network_declare_no_ports() -> None:
    declaring = {name for name in COMPONENTS if "ports" in services_container(name)}
    assert not declaring & {name for name, made in COMPONENTS.items() if made.kind == DAEMON_SET}
    assert services_container("host")["startupProbe"]["httpGet"]["host"] == "localhost"
    assert [each["containerPort"] for each in services_container("keystone")["ports"]] == [30500, 30357]


def services_container(component: str) -> dict[str, Any]:
    found: dict[str, Any] = manifests.template(component, config="x")["spec"]["containers"][0]
    return found


@pytest.mark.parametrize("name", ["two-processes", "wrong-container", "carrier"])
def test_faults_that_share_a_port_do_not_listen(name: str) -> None:
    made = faults.fault_manifests(faults.BY_NAME[name], "ns")[-1]
    for container in made["spec"]["template"]["spec"]["containers"]:
        assert {"name": "STANDIN", "value": "http=off"} in container["env"]
        assert not {"ports", "readinessProbe", "startupProbe"} & set(container)


def test_slave_is_read_only_without_init_container() -> None:
    made = manifests.deployment("region", slave=True)
    template = made["spec"]["template"]
    assert made["metadata"]["name"] == "default-region-slave"
    assert template["metadata"]["labels"]["app.kubernetes.io/component"] == "region-slave"
    assert template["metadata"]["labels"]["read-only"] == "true"
    assert template["spec"]["containers"][0]["command"][-1] == "--is-slave-node"
    assert "initContainers" not in template["spec"]


@pytest.mark.parametrize("component", [name for name, made in COMPONENTS.items() if made.kind == DAEMON_SET])
def test_daemon_sets_share_the_node(component: str) -> None:
    spec = manifests.daemonset(component)["spec"]["template"]["spec"]
    assert spec["hostNetwork"]
    assert spec["hostPID"]
    assert spec["hostIPC"]
    assert spec["containers"][0]["securityContext"] == ({} if component == "region-dns" else {"privileged": True})


@pytest.mark.parametrize(
    ("component", "names"),
    [
        ("webconsole", ["web", "guacd"]),
        ("apigateway", ["api"]),
        ("ansibleserver", ["server"]),
        ("cloudnet", ["server"]),
        ("host-sdnagent", ["sdnagent"]),
    ],
)
def test_containers_with_names_other_than_their_component(component: str, names: list[str]) -> None:
    spec = manifests.template(component, config="x")["spec"]
    assert [each["name"] for each in spec["containers"]] == names


def test_guacd_runs_as_its_own_user() -> None:
    assert manifests.template("webconsole", config="x")["spec"]["containers"][1]["securityContext"] == {
        "runAsUser": 1000
    }


def test_host_components_have_their_own_command_lines() -> None:
    common = ["--common-config-file", "/etc/yunion/common/common.conf"]
    for component, rest in {
        "host": common,
        "host-health": common,
        "host-image": [*common, "--config", "/etc/yunion/host.conf"],
        "host-deployer": [*common, "--config", "/etc/yunion/host.conf"],
        "region-dns": ["-conf", "/etc/yunion/region-dns.conf"],
    }.items():
        command = manifests.template(component, config="x")["spec"]["containers"][0]["command"]
        assert command == [f"/opt/yunion/bin/{component}", *rest]


@pytest.mark.parametrize("component", COMPONENTS)
def test_mounts_configuration_files_of_commands(component: str) -> None:
    spec = manifests.template(component, config="x")["spec"]
    mounted = {f"/etc/yunion/{item['path']}" for item in spec["volumes"][0]["configMap"]["items"]}
    used = {word for word in spec["containers"][0]["command"] if word.startswith("/etc/")}
    assert used <= mounted


def test_etcd_is_a_single_pod_with_its_own_labels() -> None:
    pod = by_name(sets.healthy(), "Pod", sets.ETCD_POD)
    assert pod["metadata"]["labels"] == {"app": "etcd", "etcd_cluster": "default-etcd", "etcd_node": sets.ETCD_POD}
    assert pod["spec"]["shareProcessNamespace"]


@pytest.mark.parametrize("name", sets.SETS)
def test_sets_are_deterministic_and_serializable(name: str) -> None:
    first, second = sets.SETS[name](), sets.SETS[name]()
    assert json.loads(json.dumps(first.manifests)) == second.manifests
    changed = copy.deepcopy(second.manifests)
    for each in first.manifests:
        each.clear()
    assert sets.SETS[name]().manifests == changed


@pytest.mark.parametrize("name", sets.SETS)
def test_sets_are_consistent(name: str) -> None:
    wanted = sets.SETS[name]("elsewhere")
    namespaced = [each for each in wanted.manifests if each["kind"] != "Namespace"]
    assert {each["metadata"]["namespace"] for each in namespaced} == {"elsewhere"}
    keys = [(each["kind"], each["metadata"]["name"]) for each in wanted.manifests]
    assert len(set(keys)) == len(keys)
    assert {(each.kind, each.name) for each in wanted.expectations} == {
        key for key in keys if key[0] in {"Deployment", "DaemonSet", "Pod"}
    }
    maps = {key[1] for key in keys if key[0] == "ConfigMap"}
    assert {each["spec"]["volumes"][0]["configMap"]["name"] for each in templates(wanted)} <= maps


@pytest.mark.parametrize("name", sets.SETS)
def test_pods_request_no_resources_and_pull_no_images(name: str) -> None:
    built = {image.name for image in images.images({"services": Path("services")})}
    for container in containers(sets.SETS[name]()):
        assert not container.get("resources") or container["resources"]["requests"] == {"memory": "0"}
        assert container["image"] in built or container["image"] == faults.UNREACHABLE_IMAGE


@pytest.mark.parametrize("name", sets.SETS)
def test_stand_ins_know_all_behaviours(name: str) -> None:
    assert len(BEHAVIOUR_KEYS) > 25
    for container in containers(sets.SETS[name]()):
        for variable in container["env"]:
            assert {word.partition("=")[0] for word in variable["value"].split()} <= BEHAVIOUR_KEYS


def test_faults_have_unique_labels() -> None:
    both = [*templates(sets.trouble()), *templates(sets.waiting())]
    found = [template["metadata"]["labels"][faults.FAULT_LABEL] for template in both]
    assert sorted(found) == sorted(faults.BY_NAME)
    assert len(found) == len(faults.FAULTS)


def test_slow_faults_have_their_own_namespace() -> None:
    found = {template["metadata"]["labels"][faults.FAULT_LABEL] for template in templates(sets.waiting())}
    assert found == {"dies", "half-dump", "hung-shell", "starting"}
    assert sets.waiting().namespace != sets.trouble().namespace


def test_fault_pods_have_the_labels_of_their_component() -> None:
    for template in [*templates(sets.trouble()), *templates(sets.waiting())]:
        labels = template["metadata"]["labels"]
        fault = faults.BY_NAME[labels[faults.FAULT_LABEL]]
        assert labels["app.kubernetes.io/component"] == labels["app"] == fault.component


def test_wrong_container_has_another_name() -> None:
    made = by_name(sets.trouble(), "Deployment", "default-region-wrong-container")
    names = [each["name"] for each in made["spec"]["template"]["spec"]["containers"]]
    assert names == ["main", "sidecar"]


def test_carrier_runs_each_component_in_its_own_container() -> None:
    made = by_name(sets.trouble(), "Deployment", "default-host-carrier")
    spec = made["spec"]["template"]["spec"]
    assert spec["hostPID"]
    assert {each["name"]: each["command"][0] for each in spec["containers"]} == {
        name: f"/opt/yunion/bin/{name}" for name in ("host", "sdnagent", "host-health")
    }


def test_terminating_pods_are_deleted_and_expected_to_stay() -> None:
    wanted = sets.trouble()
    assert wanted.delete == ("default-region-terminating",)
    assert {each.state for each in wanted.expectations if each.name in wanted.delete} == {states.TERMINATING}


def test_bench_has_the_requested_replicas() -> None:
    wanted = sets.bench(replicas=7, behaviour={"log_rate": 0})
    assert by_name(wanted, "Deployment", "default-region")["spec"]["replicas"] == 7
    assert [each.count for each in wanted.expectations] == [7]


@pytest.mark.parametrize("value", ["", "two words", "line\nbreak"])
def test_refuses_a_behaviour_that_the_variable_cannot_carry(value: str) -> None:
    with pytest.raises(ValueError, match="is not one word"):
        manifests.behaviour_text({"stderr": value})
