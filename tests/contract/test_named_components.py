# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""If a named component does not exist, the play fails after the others were captured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import collection
from workspace import ROOT

sys.path.insert(0, str(ROOT / "tests" / "lab"))

from deploy import processes
from deploy.processes import Process

# Each test runs ansible-playbook.
pytestmark = pytest.mark.slow

PLAYBOOKS = ("capture_stacks", "watch_logs", "audit_health", "capture_profiles")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("services")
    processes.start(folder, [Process("region", port=0)])
    yield folder
    processes.stop(folder)


def play(home: Path, services: Path, playbook: str, components: list[str], **more: Any) -> tuple[int, str]:
    """Return the exit code and the output of a playbook."""
    variables = {
        "cloudpods_binary_dir": str(services / "opt/yunion/bin"),
        "cloudpods_components": components,
        "cloudpods_fail_on_severity": "none",
        "cloudpods_fail_on_verdict": "none",
        "cloudpods_interval": 0,
        "cloudpods_log_seconds": 0,
        "cloudpods_output": "out",
        "cloudpods_run_id": "run",
        "cloudpods_transport": "host",
        "cloudpods_watch_duration": 1,
        **more,
    }
    command = ["ansible-playbook", f"cloudpods.diagnostics.{playbook}", "-e", json.dumps(variables)]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collection.link()), "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def rows(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "out" / "run" / "ledger.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_misspelled_component_fails_the_play_after_other_captures(
    tmp_path: Path, services: Path, playbook: str
) -> None:
    code, shown = play(tmp_path, services, playbook, ["region", "regoin"])
    assert code == 2, shown
    assert "there is no component 'regoin'; did you mean region" in shown
    (missing,) = [entry for entry in rows(tmp_path) if entry["component"] == "regoin"]
    assert (missing["status"], missing["reason"]) == ("failed", "not_found")
    assert [entry for entry in rows(tmp_path) if entry["component"] == "region"]


@pytest.mark.parametrize(("fail_on", "code"), [("failed", 2), ("none", 0)])
def test_absent_component_fails_the_play_unless_allowed(
    tmp_path: Path, services: Path, fail_on: str, code: int
) -> None:
    found, shown = play(tmp_path, services, "capture_stacks", ["region", "glance"], cloudpods_fail_on=fail_on)
    assert found == code, shown
    assert ("Not all named components were found: glance" in shown) is bool(code)
    assert ("glance", "failed", "not_found") in [
        (entry["component"], entry["status"], entry["reason"]) for entry in rows(tmp_path)
    ]


def test_absent_component_of_a_scenario_is_accepted(tmp_path: Path, services: Path) -> None:
    code, shown = play(tmp_path, services, "capture_stacks", [], cloudpods_scenario="kvm_server")
    assert code == 0, shown
    assert {entry["reason"] for entry in rows(tmp_path) if entry["capture"] == "discovery"} == {"not_deployed"}


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_failed_setup_leaves_nothing(tmp_path: Path, services: Path, playbook: str) -> None:
    code, shown = play(tmp_path, services, playbook, ["regoin"])
    assert code == 2, shown
    assert "did you mean region" in shown
    assert list((tmp_path / "out").iterdir()) == []
