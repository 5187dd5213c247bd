# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module health_check as Ansible runs it: a process that gets arguments and prints its result."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml
from ansible_collections.cloudpods.diagnostics.plugins.modules import health_check

import collection

RULE = {
    "id": "restarted",
    "title": "T",
    "scope": "instance",
    "expression": "[instance][?restarts > `0`].{value: restarts}",
    "severity": "critical",
    "scenario": "deadlock",
    "message": "{value} restarts",
    "advice": "A",
    "reference": "R",
}
STATUS = {
    "format": "cloudpods.diagnostics/status",
    "version": 1,
    "instance": {"cluster": "c", "component": "region", "name": "region-1", "state": "running", "restarts": 3},
    "expected": [],
    "samples": [],
    "missing": [],
}


def run(*, has_jmespath=True, check_mode=False, **arguments):
    """Run the module; return its exit code and result."""
    given = json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check_mode}})
    code = "import runpy, sys\n" + ("" if has_jmespath else "sys.modules['jmespath'] = None\n")
    code += f"runpy.run_module({health_check.__name__!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(collection.link())},
    )
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def arguments(tmp_path):
    folder = tmp_path / "part" / "c" / "region" / "region-1"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps(STATUS))
    rules = {"format": "cloudpods.diagnostics/rules", "version": 1, "rules": [RULE]}
    (tmp_path / "own.yml").write_text(json.dumps(rules))
    return {
        "paths": [str(tmp_path / "part")],
        "rules": [str(tmp_path / "own.yml")],
        "output": str(tmp_path / "out"),
    }


def test_writes_the_verdict_and_changes_nothing(arguments, tmp_path):
    code, result = run(**arguments)
    assert code == 0
    assert (result["changed"], result["verdict"]) == (False, "critical")
    assert result["affected"] == [{"cluster": "c", "components": ["region"]}]
    assert result["findings"][0]["message"] == "3 restarts"
    assert result["failure"].startswith("The verdict is critical: 1 critical")
    assert result["output"] == str(tmp_path / "out")
    assert sorted(os.path.basename(path) for path in result["files"]) == sorted(os.listdir(tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "health.json").read_text())["verdict"] == "critical"


def test_check_mode_writes_nothing(arguments, tmp_path):
    code, result = run(check_mode=True, **arguments)
    assert (code, result["verdict"], result["files"], result["output"]) == (0, "critical", [], "")
    assert not (tmp_path / "out").exists()


def test_limits_the_returned_findings(arguments):
    _code, result = run(**arguments, max_listed=0, fail_on="none")
    assert (result["findings"], result["findings_left_out"], result["failure"]) == ([], 1, "")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"thresholds": {"x": 1}}, "there is no threshold 'x'"),
        ({"rules": ["/nowhere.yml"]}, "/nowhere.yml: cannot be read"),
        ({"baseline": "/nowhere.json"}, "the baseline /nowhere.json cannot be used"),
        ({"output": "/proc/nowhere"}, "The audit cannot be made"),
    ],
)
def test_fails_and_names_the_unusable_input(arguments, more, message):
    code, result = run(**{**arguments, **more})
    assert code != 0
    assert message in result["msg"]


def test_names_missing_jmespath(arguments):
    code, result = run(has_jmespath=False, **arguments)
    assert code != 0
    assert "jmespath" in result["msg"]
    assert sys.executable in result["msg"]


def test_returns_what_is_documented(arguments):
    _code, result = run(**arguments)
    documented = yaml.safe_load(health_check.RETURN)
    assert set(result) - {"changed", "invocation"} == set(documented)
    assert set(result["findings"][0]) == set(documented["findings"]["contains"])


def test_options_are_those_documented():
    documented = yaml.safe_load(health_check.DOCUMENTATION)["options"]
    assert set(documented) == set(health_check.ARGUMENTS)
    for name, option in health_check.ARGUMENTS.items():
        for key in ("type", "default", "choices", "required", "elements"):
            assert documented[name].get(key) == option.get(key), (name, key)
