# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of the options that modules share."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import arguments
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, Process
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import SetupError
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host import HostTransport

BASE = {"transport": "host", "cluster": "", "namespaces": ["onecloud"], "binary_dirs": ["/opt/yunion/bin"]}
INSTANCE = Instance("c", "region", "pod", namespace="onecloud", process=Process(7, 70), ports=(30888,))


def test_groups_are_merged_with_the_options_of_kubernetes_core():
    spec = arguments.argument_spec(arguments.SELECTION, arguments.FANOUT)
    assert {"scenario", "components", "timeout", "kubeconfig", "api_key", "context"} <= set(spec)
    assert "transport" not in spec
    assert spec["api_key"]["no_log"] is True
    spec["new"] = {}
    assert "new" not in arguments.argument_spec(arguments.SELECTION)


def test_the_selection_is_of_the_scenario_or_the_components():
    assert arguments.selection_of({"scenario": None, "components": []}).named is False
    assert arguments.selection_of({"scenario": "kvm_image", "components": []}).names == ("glance",)
    assert arguments.selection_of({"scenario": "kvm_image", "components": ["host"]}).names == ("host",)
    with pytest.raises(ValueError, match="unknown scenario 'x'; the known ones are: deadlock"):
        arguments.selection_of({"scenario": "x", "components": []})


@pytest.mark.parametrize(("given", "cluster"), [("", "hosts"), ("cloud-a", "cloud-a")])
def test_the_host_transport_needs_no_options_of_kubernetes(given, cluster):
    transport = arguments.transport_of({**BASE, "cluster": given}, 1)
    assert isinstance(transport, HostTransport)
    assert transport.cluster == cluster


def test_without_kubernetes_core_its_transport_cannot_begin(monkeypatch):
    monkeypatch.setattr(arguments, "AUTH_ARG_SPEC", {})
    with pytest.raises(SetupError, match=r"kubernetes\.core is missing"):
        arguments.transport_of({**BASE, "transport": "kubernetes"}, 1)


def test_without_a_usable_configuration_there_is_an_error_that_says_so(tmp_path):
    params = {**dict.fromkeys(arguments.AUTH_ARG_SPEC), **BASE, "transport": "kubernetes"}
    with pytest.raises(SetupError, match=r"No usable configuration.*absent"):
        arguments.transport_of({**params, "kubeconfig": str(tmp_path / "absent")}, 1)


def test_instances_come_back_as_service_info_gave_them():
    assert arguments.instances_of({"instances": [INSTANCE.as_dict()]}) == [INSTANCE]


def test_an_instance_that_is_given_twice_is_one():
    other = {**INSTANCE.as_dict(), "name": "other"}
    found = arguments.instances_of({"instances": [INSTANCE.as_dict(), other, INSTANCE.as_dict()]})
    assert [instance.name for instance in found] == ["pod", "other"]


KUBECONFIG = {
    "clusters": [{"cluster": {"server": "https://192.0.2.1"}}],
    "users": [
        {"user": {"token": "one", "client-key-data": "two", "client-certificate-data": "three"}},
        {"user": {"password": "four", "username": "someone", "auth-provider": {"config": {"id-token": "five"}}}},
        {"user": {"exec": {"command": "get-token", "env": [{"name": "A", "value": "b"}]}}},
    ],
}


@pytest.mark.parametrize(
    ("given", "secrets"),
    [(None, set()), ("/root/.kube/config", set()), (KUBECONFIG, {"one", "two", "three", "four", "five"}), ([], set())],
)
def test_the_secrets_of_a_kubeconfig_given_as_data_are_found(given, secrets):
    assert set(arguments.secret_values({"kubeconfig": given})) == secrets
