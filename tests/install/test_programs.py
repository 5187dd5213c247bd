# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that run playbooks for their users get the exit code and the structured result."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from offline_user import PLAYBOOK, User, dumps_of

SEAL = "cloudpods.diagnostics.bundle_seal"


@pytest.fixture(scope="module")
def installed(tmp_path_factory, closed, tarball):
    """Return a user with ansible-navigator and ansible-runner who has installed the tarball."""
    home = tmp_path_factory.mktemp("home")
    user = User(home, Path(sys.executable).parent, closed, home)
    user.install(tarball)
    return user


@pytest.fixture
def user(installed, tmp_path):
    """Return the same user in an empty folder."""
    return dataclasses.replace(installed, folder=tmp_path)


def navigate(user: User, variables: Mapping[str, Any]) -> tuple[int, str, dict[str, Any]]:
    """Run the playbook by ansible-navigator; return the exit code, the output, and the artifact."""
    artifact = user.folder / "artifact.json"
    options = ("--execution-environment", "false", "--mode", "stdout", "--playbook-artifact-save-as", str(artifact))
    done = user.run("ansible-navigator", "run", PLAYBOOK, *options, "-e", json.dumps(variables))
    assert artifact.exists(), done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr, json.loads(artifact.read_text())


def run(user: User, variables: Mapping[str, Any]) -> tuple[int, str, list[dict[str, Any]]]:
    """Run the playbook by ansible-runner; return the exit code, the status, and the events in their order."""
    folder = user.folder / "private"
    (folder / "env").mkdir(parents=True)
    (folder / "env" / "extravars").write_text(json.dumps(variables))
    done = user.run("ansible-runner", "run", str(folder), "--playbook", PLAYBOOK, "--ident", "one")
    artifacts = folder / "artifacts" / "one"
    assert artifacts.exists(), done.stdout + done.stderr
    files = [path for path in (artifacts / "job_events").iterdir() if re.fullmatch(r"\d+-.*\.json", path.name)]
    events = [json.loads(path.read_text()) for path in files]
    return done.returncode, (artifacts / "status").read_text(), sorted(events, key=lambda event: event["counter"])


def result_of(action: str, tasks: Iterable[Mapping[str, Any]]) -> Any:
    """Return the result of the only task with this action."""
    (found,) = [task["res"] for task in tasks if task.get("resolved_action") == action and "res" in task]
    return found


def assert_whole(sealed: Mapping[str, Any], user: User, services: Any) -> None:
    """Check that the structured result matches the bundle."""
    rows = user.ledger()
    assert dumps_of(rows) == services.dumps
    counts = Counter(row["status"] for row in rows)
    assert {status: count for status, count in sealed["counts"].items() if count} == counts
    assert sealed["archive"] == str(user.bundle())


def test_ansible_navigator_runs_the_playbook(user, services):
    code, shown, artifact = navigate(user, services.variables)
    assert (code, artifact["status"]) == (0, "successful"), shown
    tasks = [task for play in artifact["plays"] for task in play["tasks"]]
    assert_whole(result_of(SEAL, tasks), user, services)


def test_ansible_runner_runs_the_playbook(user, services):
    code, status, events = run(user, services.variables)
    assert (code, status) == (0, "successful")
    tasks = [event["event_data"] for event in events if event["event"] == "runner_on_ok"]
    assert_whole(result_of(SEAL, tasks), user, services)
    (statistics,) = [event["event_data"] for event in events if event["event"] == "playbook_on_stats"]
    assert statistics["artifact_data"]["cloudpods_bundle"] == str(user.bundle())


# An unknown component ends the play.
MISSPELT = {"cloudpods_transport": "host", "cloudpods_components": ["regoin"]}


def test_ansible_navigator_reports_a_failure(user):
    code, shown, artifact = navigate(user, MISSPELT)
    assert (code, artifact["status"]) == (2, "failed"), shown
    assert "did you mean region" in shown


def test_ansible_runner_reports_a_failure(user):
    code, status, events = run(user, MISSPELT)
    assert (code, status) == (2, "failed")
    assert any("did you mean region" in json.dumps(event) for event in events if event["event"] == "runner_on_failed")
