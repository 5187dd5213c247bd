# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Permissions: requests within the published Role, no changes in check mode, no secret in the output."""

from __future__ import annotations

import base64
import copy
import os
import sys
from pathlib import Path

import pytest
import yaml
from world import Run, World, kubeconfig_of, play, published

NAMESPACE = "onecloud"


def requests(world: World, user: str) -> list[tuple[str, str]]:
    """Return (verb, resource/subresource) of all requests of this user."""
    found = []
    for event in world.audit():
        if event["user"].get("username") == user:
            resource = event.get("objectRef", {})
            name = "/".join(part for part in (resource.get("resource"), resource.get("subresource")) if part)
            found.append((event["verb"], name))
    return found


def role_without(verbs: dict[str, list[str]]) -> dict:
    """Return the published Role without these verbs of these resources."""
    role = published("rbac")
    for rule in role["rules"]:
        for resource in rule["resources"]:
            rule["verbs"] = [verb for verb in rule["verbs"] if verb not in verbs.get(resource, [])]
    role["rules"] = [rule for rule in role["rules"] if rule["verbs"]]
    return role


def test_published_role_is_sufficient_and_minimal(healthy, tmp_path):
    user = f"role-whole-{os.getpid()}"  # Runs share the lab's audit log.
    kubeconfig = kubeconfig_of(healthy, user, role_without({}))
    run = play(tmp_path, {"cloudpods_kubeconfig": kubeconfig, "cloudpods_scenario": "slow_system"})
    assert run.code == 0, run.shown
    assert {row["status"] for row in run.rows} == {"complete"}
    granted = {("list", "pods"), ("get", "pods/log"), ("get", "pods/exec"), ("create", "pods/exec")}
    asked = requests(healthy, user)
    assert set(asked) <= granted | {("get", "pods/proxy")}
    # A run requests the goroutines by /debug/pprof once, to see if profiling is on.
    assert asked.count(("get", "pods/proxy")) <= 3  # the stages of one request


# Host -> the verbs that its user lacks, the capture that fails without them, and the text of its row.
LACKING = {
    "role-list": ({"pods": ["list"]}, "discovery", 'cannot list resource "pods"'),
    "role-log": ({"pods/log": ["get"]}, "stack", 'cannot get resource "pods/log"'),
    "role-exec": ({"pods/exec": ["get", "create"]}, "stack", 'resource "pods/exec"'),
}


@pytest.fixture(scope="module")
def lacking(healthy: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run once, with an access point for each user."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {
        user: {**local, "cloudpods_kubeconfig": kubeconfig_of(healthy, user, role_without(verbs))}
        for user, (verbs, _capture, _said) in LACKING.items()
    }
    variables = {"cloudpods_scenario": "kvm_image"}
    return play(tmp_path_factory.mktemp("lacking"), variables, inventory={"cloudpods": {"hosts": hosts}})


@pytest.mark.parametrize("user", LACKING)
def test_row_names_the_missing_verb(lacking, user):
    _verbs, capture, said = LACKING[user]
    assert lacking.code == 2, lacking.shown
    (row,) = [row for row in lacking.of(capture) if f'User "{user}"' in row["message"]]
    assert (row["status"], row["reason"]) == ("failed", "forbidden")
    assert said in row["message"]
    assert not [one for one in lacking.rows if "signal_sent" in one["details"]]


def test_check_mode_lists_the_plan_and_only_lists_pods(healthy, tmp_path):
    kubeconfig = kubeconfig_of(healthy, "role-check", role_without({}))
    before = healthy.containers(NAMESPACE)
    run = play(tmp_path, {"cloudpods_kubeconfig": kubeconfig, "cloudpods_scenario": "kvm_server"}, "--check")
    assert run.code == 0, run.shown
    assert "changed=0" in run.shown
    assert not run.output.exists()
    assert set(requests(healthy, "role-check")) == {("list", "pods")}
    for pod in healthy.pods(NAMESPACE, "app in (region,host,host-deployer,region-slave)"):
        assert f"{pod['metadata']['name']}: Check mode" in run.shown
    assert healthy.containers(NAMESPACE) == before


def secrets_of(kubeconfig: str) -> list[str]:
    """Return the credentials in a kubeconfig, as written and decoded."""
    user = yaml.safe_load(Path(kubeconfig).read_text())["users"][0]["user"]
    files = [Path(user[key]).read_text() for key in ("client-key", "client-certificate") if key in user]
    data = [user[key] for key in ("client-key-data", "client-certificate-data", "token") if key in user]
    decoded = [base64.b64decode(text).decode() for text in data if not text.startswith("ey")]
    return [line for text in data + decoded + files for line in text.split() if len(line) > 40]


@pytest.mark.parametrize("shape", ["path", "data", "token"])
def test_shows_and_stores_no_secret(healthy, tmp_path, shape):
    variables = {"cloudpods_scenario": "kvm_image"}
    secrets = secrets_of(healthy.kubeconfig)
    config = yaml.safe_load(Path(healthy.kubeconfig).read_text())
    if shape == "path":
        variables["cloudpods_kubeconfig"] = healthy.kubeconfig
    elif shape == "data":
        variables["cloudpods_kubeconfig"] = inlined(config)
        secrets += secrets_in(variables["cloudpods_kubeconfig"])
    else:
        healthy.kubectl("-n", "default", "create", "clusterrolebinding", "token-test", "--clusterrole=cluster-admin",
                        "--serviceaccount=default:default", check=False)  # fmt: skip
        token = healthy.kubectl("-n", "default", "create", "token", "default").strip()
        cluster = inlined(config)["clusters"][0]["cluster"]
        authority = tmp_path / "ca.crt"
        authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        variables |= {
            "cloudpods_host": cluster["server"],
            "cloudpods_api_key": token,
            "cloudpods_ca_cert": str(authority),
        }
        secrets.append(token)
    assert secrets
    run = play(tmp_path, variables, "-vvv")
    assert run.code == 0, run.shown
    kept = "".join(path.read_text(errors="replace") for path in run.bundle.rglob("*") if path.is_file())
    for secret in secrets:
        assert secret not in run.shown
        assert secret not in kept


def inlined(config: dict) -> dict:
    """Return a kubeconfig with the content of its files in it."""
    config = copy.deepcopy(config)
    for holder in (config["clusters"][0]["cluster"], config["users"][0]["user"]):
        for key in ("certificate-authority", "client-certificate", "client-key"):
            if key in holder:
                holder[f"{key}-data"] = base64.b64encode(Path(holder.pop(key)).read_bytes()).decode()
    return config


def secrets_in(config: dict) -> list[str]:
    user = config["users"][0]["user"]
    return [user["client-key-data"], user["client-certificate-data"]]
