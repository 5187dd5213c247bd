# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball installs without a network and works with every supported release of ansible-core and nothing else."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest
import yaml
from offline_user import OFFLINE, PLAYBOOK, User, dumps_of

import make_venv
from cores import CORES
from workspace import ROOT

RUNTIME = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
MODULES = sorted(f"cloudpods.diagnostics.{path.stem}" for path in (ROOT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(f"cloudpods.diagnostics.{path.parent.parent.name}" for path in ROOT.glob("roles/*/meta/main.yml"))


@pytest.fixture(scope="module", params=CORES)
def user(request, tmp_path_factory, closed, tarball):
    """Return a user with one release of ansible-core who has installed the tarball."""
    try:
        venv = make_venv.ensure(request.param)
    except make_venv.Unfit as unfit:
        pytest.skip(str(unfit))
    home = tmp_path_factory.mktemp("home")
    user = User(home, venv / "bin", closed, home)
    said = user.run("ansible", "--version").stdout
    assert said.startswith(f"ansible [core {CORES[request.param].version}]")
    user.install(tarball)
    return user


def test_captures_with_ansible_core_alone(user, services):
    done = user.run("ansible-playbook", PLAYBOOK, "-e", json.dumps(services.variables))
    assert done.returncode == 0, done.stdout + done.stderr
    assert dumps_of(user.ledger()) == services.dumps


def test_documents_every_module(user):
    done = user.run("ansible-doc", "--json", "--type", "module", *MODULES)
    assert done.returncode == 0, done.stderr
    documented = json.loads(done.stdout)
    assert sorted(documented) == MODULES
    for name in RUNTIME["action_groups"]["cloudpods"]:
        assert "K8S_AUTH_KUBECONFIG" in str(documented[f"cloudpods.diagnostics.{name}"]["doc"]["options"]["kubeconfig"])


def test_no_other_collection_is_installed(user):
    listed = json.loads(user.run("ansible-galaxy", "collection", "list", "--format", "json").stdout)
    found = {name for place in listed.values() for name in place}
    assert {name for name in found if not name.startswith("ansible.")} == {"cloudpods.diagnostics"}


@pytest.mark.skipif(not OFFLINE, reason="a network of its own takes root and unshare")
def test_user_without_network_reaches_no_server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        reached = [
            subprocess.run([*prefix, sys.executable, "-c", script], capture_output=True, check=False).returncode == 0
            for prefix in ((), OFFLINE)
        ]
    assert reached == [True, False]


def test_supported_releases_match_the_claims():
    first, *_others = CORES.values()
    assert RUNTIME["requires_ansible"] == f">={first.release}.0"
    minors = [int(core.release.split(".")[1]) for core in CORES.values()]
    assert minors == list(range(minors[0], minors[0] + len(minors)))
