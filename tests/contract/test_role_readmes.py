# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README of each role has an example with known variables that Ansible accepts."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any

import pytest
import yaml
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.variables import VARIABLES

import collection
from workspace import ROOT

# The other roles are not called by users.
ROLES = sorted(path.parent.parent.name for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
OURS = "cloudpods.diagnostics."


def readme(role: str) -> str:
    return (ROOT / "roles" / role / "README.md").read_text()


def example(role: str) -> str:
    """Return the only example of a README."""
    (found,) = re.findall(r"^```yaml\n(.*?)^```$", readme(role), re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_readme_names_role_files_and_documentation(role):
    text = readme(role)
    assert text.startswith(f"# {OURS}{role}\n\n")
    assert f"`ansible-doc -t role {OURS}{role}`" in text
    assert all((ROOT / name).is_file() for name in re.findall(r"`(docs/\S+)`", text))


@pytest.mark.parametrize("role", ROLES)
def test_example_uses_the_role_and_known_variables(role):
    plays = yaml.safe_load(example(role))
    assert f"{OURS}{role}" in [name for name, _variables in calls(example(role))]
    used = {name for play in plays for name in play.get("vars", {})}
    assert used <= set(VARIABLES)
    assert set(re.findall(r"`(cloudpods_\w+)`", readme(role))) <= set(VARIABLES)


@pytest.mark.parametrize("role", [role for role in ROLES if (ROOT / "playbooks" / f"{role}.yml").exists()])
def test_example_has_the_roles_of_the_playbook(role):
    assert calls(example(role)) == calls((ROOT / "playbooks" / f"{role}.yml").read_text())


def calls(playbook: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the roles that the only play of a playbook calls, each with its variables."""
    (play,) = yaml.safe_load(playbook)
    roles = [(each["role"], each.get("vars", {})) for each in play.get("roles", [])]
    tasks = [(each["ansible.builtin.import_role"]["name"], each.get("vars", {})) for each in play.get("tasks", [])]
    return roles + tasks


@pytest.mark.slow
def test_ansible_accepts_the_examples(tmp_path):
    books = []
    for role in ROLES:
        books.append(str(tmp_path / f"{role}.yml"))
        (tmp_path / f"{role}.yml").write_text(example(role))
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collection.link()), "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(
        ["ansible-playbook", "--syntax-check", *books], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
