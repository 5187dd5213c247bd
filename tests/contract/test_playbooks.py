# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for all playbooks, wherever they are installed."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

import collection

NOTHING = {"cloudpods_transport": "host", "cloudpods_components": ["region"], "cloudpods_fail_on": "none"}


@pytest.mark.slow
@pytest.mark.parametrize("output", ["", "here", "../there", "~/home"])
def test_relative_output_starts_in_the_users_folder(tmp_path, output):
    """Check the default, because Ansible runs modules in the folder of the playbook, where no bundle belongs."""
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


def play(playbook, folder, variables, *more):
    """Return the exit code and the output of a playbook."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collection.link()), "ANSIBLE_FORCE_COLOR": "0"}
    command = ["ansible-playbook", f"cloudpods.diagnostics.{playbook}", "-e", json.dumps(variables), *more]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("playbook", ["capture_stacks", "watch_logs", "audit_health", "capture_profiles"])
def test_identity_redaction_removes_names_and_keeps_map_outside(tmp_path, playbook):
    (tmp_path / "bin").mkdir()
    variables = {
        **NOTHING,
        "cloudpods_binary_dir": str(tmp_path / "bin"),
        "cloudpods_cluster": "initrode-cloud-9",
        "cloudpods_output": "out",
        "cloudpods_redact": "identity",
        "cloudpods_run_id": "run",
        "cloudpods_watch_duration": 1,
        "cloudpods_fail_on_verdict": "none",
        "cloudpods_fail_on_severity": "none",
    }
    code, shown = play(playbook, tmp_path, variables)
    assert code == 0, shown
    found = {}
    with tarfile.open(tmp_path / "out/run.tar.gz") as bundle:
        for member in bundle:
            assert "initrode" not in member.name
            found[member.name] = bundle.extractfile(member).read()
            assert b"initrode" not in found[member.name]
    assert json.loads(found["run/manifest.json"])["redaction"]["level"] == "identity"
    tokens = tmp_path / "out/identities.json"
    if playbook != "capture_stacks":  # whose only row names no cluster
        assert b"cluster-0001" in found["run/ledger.jsonl"]
        assert json.loads(tokens.read_bytes())["tokens"]["initrode-cloud-9"] == "cluster-0001"
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600


@pytest.mark.slow
@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
@pytest.mark.parametrize("playbook", ["capture_stacks", "watch_logs", "audit_health", "capture_profiles"])
def test_output_has_no_empty_lists_or_incomplete_sentences(tmp_path, playbook, check):
    """Run on a machine without services, by a scenario, so that no component counts as missing."""
    variables = {
        "cloudpods_transport": "host",
        "cloudpods_binary_dir": str(tmp_path),
        "cloudpods_output": "out",
        "cloudpods_watch_duration": 1,
    }
    _code, shown = play(playbook, tmp_path, variables, *(["--check"] if check else []))
    text = shown.rpartition("Show the result]")[2].partition("PLAY RECAP")[0].splitlines()[1:]
    told = [line for line in text if line and not line.startswith("ok: ")]
    assert told
    assert not [line for line in told if re.search(r"\[\]|\"\"|\(-\)|no rows|: *$|: [.;]", line)]


@pytest.mark.slow
@pytest.mark.parametrize("playbook", ["capture_stacks", "watch_logs", "audit_health", "capture_profiles"])
def test_unknown_component_is_answered_with_the_nearest_name(tmp_path, playbook):
    variables = {**NOTHING, "cloudpods_binary_dir": str(tmp_path), "cloudpods_components": ["identiy"]}
    variables.update(cloudpods_fail_on="failed", cloudpods_output="out", cloudpods_watch_duration=1)
    code, shown = play(playbook, tmp_path, variables)
    assert code == 2, shown
    assert "did you mean identity (keystone)?" in shown


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["link", "readable"])
def test_bad_identity_map_ends_the_run_before_captures(tmp_path, kind):
    tokens = tmp_path / "map"
    if kind == "link":
        tokens.symlink_to(tmp_path / "elsewhere")
    else:
        tokens.write_text("{}")
        tokens.chmod(0o644)
    variables = {**NOTHING, "cloudpods_redact": "identity", "cloudpods_identity_map": "map", "cloudpods_output": "out"}
    code, shown = play("capture_stacks", tmp_path, variables)
    assert code == 2, shown
    assert str(tokens) in shown
    assert "capture_stacks : Capture the goroutine dumps" not in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("playbook", ["capture_stacks", "capture_profiles"])
@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"cloudpods_transport": "host"}, "Nothing would be captured"),
        ({"cloudpods_kubeconfig": "/nonexistent"}, "/nonexistent"),
    ],
)
def test_check_mode_fails_if_nothing_would_be_captured(tmp_path, playbook, options, word):
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
