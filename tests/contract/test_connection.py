# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection to the API server: only prefixed variables, and deprecated ones of a site."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import collection

PLAYBOOKS = ["audit_health", "capture_profiles", "capture_stacks", "watch_logs"]
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
# Variables that a site may have for all its hosts, for other purposes. Each of them would break a run.
OF_A_SITE = {
    "kubeconfig": "/nonexistent-of-the-site",
    "context": "production",
    "host": "https://127.0.0.1:1/of-the-site",
    "api_key": "of the site",
    "ca_cert": "/nonexistent-of-the-site",
    "client_cert": "/nonexistent-of-the-site",
    "client_key": "/nonexistent-of-the-site",
    "validate_certs": "neither",
    "proxy": "http://127.0.0.1:2",
}
OURS = "/nonexistent-of-ours"


def inventory(hosts: dict[str, Any], others: dict[str, Any] | None = None, **groups: Any) -> dict[str, Any]:
    """Return an inventory: hosts of the group cloudpods, variables of all, and further groups."""
    return {"all": {"vars": others or {}, "children": {"cloudpods": {"hosts": hosts}, **groups}}}


def play(folder: Path, hosts: dict[str, Any], *arguments: str, playbook: str = "capture_stacks") -> str:
    """Return what a run of the playbook shows, which cannot reach an API server."""
    (folder / "inventory.yml").write_text(json.dumps(hosts))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("K8S_AUTH_")}
    environment |= {
        "ANSIBLE_COLLECTIONS_PATH": str(collection.link()),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_HOME": str(folder / "ansible"),
        "HOME": str(folder),
        "COLUMNS": "2000",
    }
    variables = json.dumps({"cloudpods_components": ["region"], "cloudpods_run_id": "run"})
    name = playbook if "/" in playbook else f"cloudpods.diagnostics.{playbook}"
    command = ["ansible-playbook", name, "-i", "inventory.yml", "-e", variables]
    done = subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_ignores_variables_without_the_prefix(tmp_path, playbook):
    shown = play(
        tmp_path, inventory({"cloud-a": {**LOCAL, "cloudpods_kubeconfig": OURS}}, OF_A_SITE), playbook=playbook
    )
    assert f"There is no kubeconfig {OURS}" in shown
    assert not [word for word in ("of-the-site", "production", "neither") if word in shown]
    assert "[WARNING]: context of cloud-a: not taken" in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hosts", "arguments"),
    [
        (inventory({"cloud-a": LOCAL}, {"kubeconfig": "/of-all"}), ()),
        (inventory({"cloud-a": LOCAL}, site={"hosts": {"cloud-a": {}}, "vars": {"kubeconfig": "/of-group"}}), ()),
        (inventory({"cloud-a": LOCAL}), ("-e", "kubeconfig=/of-run")),
    ],
    ids=["all", "another group", "of the run"],
)
def test_warns_about_ignored_connection_variables(tmp_path, hosts, arguments):
    shown = play(tmp_path, hosts, *arguments)
    assert "[WARNING]: kubeconfig of cloud-a: not taken" in shown
    assert "/of-" not in shown


@pytest.mark.slow
@pytest.mark.parametrize("prefixed", [True, False])
def test_accepts_deprecated_names_with_a_warning(tmp_path, prefixed):
    """Check the names in the inventory of an older README, where a host of the group has them."""
    host = {**LOCAL, "kubeconfig": "/old-name", **({"cloudpods_kubeconfig": OURS} if prefixed else {})}
    shown = play(tmp_path, inventory({"cloud-a": host, "cloud-b": {**LOCAL, "cloudpods_kubeconfig": OURS}}))
    assert ("no kubeconfig /old-name" in shown) is not prefixed
    assert ("[DEPRECATION WARNING]: kubeconfig of cloud-a: name it cloudpods_kubeconfig" in shown) is not prefixed
    assert "of cloud-b:" not in shown


@pytest.mark.slow
def test_ignores_facts_for_the_connection(tmp_path):
    """Set facts, which come from the machine that they describe."""
    book = tmp_path / "book.yml"
    gathered = {"ansible.builtin.set_fact": {"kubeconfig": "/of-facts", "cacheable": True}}
    roles = [
        {"ansible.builtin.include_role": {"name": f"cloudpods.diagnostics.{role}"}}
        for role in ("capture_stacks", "bundle")
    ]
    book.write_text(json.dumps([{"hosts": "cloudpods", "gather_facts": False, "tasks": [gathered, *roles]}]))
    shown = play(tmp_path, inventory({"cloud-a": LOCAL}), playbook=str(book))
    assert "[WARNING]: kubeconfig of cloud-a: not taken" in shown
    assert "/of-facts" not in shown
