# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for playbooks wherever they are installed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import collection

NOTHING = {"cloudpods_transport": "host", "cloudpods_components": ["region"], "cloudpods_fail_on": "none"}


@pytest.mark.slow
@pytest.mark.parametrize("output", ["", "here", "../there", "~/home"])
def test_a_bundle_is_where_its_user_is(tmp_path, output):
    """Ansible runs modules in the folder of the playbook, which is nobody's place for a bundle."""
    start = tmp_path / "start"
    (start / "empty").mkdir(parents=True)
    variables = {**NOTHING, "cloudpods_binary_dir": str(start / "empty"), "cloudpods_run_id": "run"}
    if output:
        variables["cloudpods_output"] = output
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(collection.link()),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_FORCE_COLOR": "0",
        "HOME": str(tmp_path),
    }
    command = ["ansible-playbook", "cloudpods.diagnostics.capture_stacks", "-e", json.dumps(variables)]
    done = subprocess.run(command, cwd=start, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = (output or "cloudpods-diagnostics").replace("~", str(tmp_path))
    bundle = Path(start, folder, "run.tar.gz").resolve()
    assert bundle.is_file()
    assert f"bundle: {bundle}" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("playbook", ["capture_stacks", "capture_profiles"])
@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"cloudpods_transport": "host"}, "Nothing would be captured"),
        ({"cloudpods_kubeconfig": "/nonexistent"}, "/nonexistent"),
    ],
)
def test_check_mode_fails_where_a_run_captures_nothing(tmp_path, playbook, options, word):
    variables = {"cloudpods_components": ["region"], "cloudpods_binary_dir": str(tmp_path), **options}
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collection.link()), "ANSIBLE_FORCE_COLOR": "0"}

    def play(*more):
        command = ["ansible-playbook", "--check", f"cloudpods.diagnostics.{playbook}", *more]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    code, shown = play("-e", json.dumps(variables))
    assert code == 2, shown
    assert word in shown
    code, shown = play("-e", json.dumps({**variables, "cloudpods_fail_on": "none"}))
    assert code == 0, shown
