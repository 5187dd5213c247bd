# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EXAMPLES of modules, run as plays. Shared by the tests here and on the test cluster."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from workspace import ROOT

MODULES = ROOT / "plugins" / "modules"
GROUP = "group/cloudpods.diagnostics.cloudpods"
OURS = "cloudpods.diagnostics."
# Seconds, of what an example would wait for longer.
SHORT = {"interval": 0.5, "duration": 2.0}

# Where an example can be run.
CLUSTER, HOST, KEYSTONE, NOWHERE = "kubernetes", "host", "keystone", "controller"

Task = dict[str, Any]


def modules() -> list[str]:
    return sorted(path.stem for path in MODULES.glob("*.py"))


def examples(module: str) -> list[Task]:
    """Return the tasks of a module's EXAMPLES."""
    for node in ast.parse((MODULES / f"{module}.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLES":
            return list(yaml.safe_load(ast.literal_eval(node.value)))
    raise ValueError(f"{module} has no EXAMPLES")


def at(place: str, tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks that run at a place. A task of another collection runs where the task before it runs."""
    found, here = [], NOWHERE
    for task in tasks:
        for name in task:
            if name.startswith(OURS):
                here = place_of(name, task[name])
        if here == place:
            found.append(task)
    return found


def place_of(name: str, options: Mapping[str, Any]) -> str:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    if name[len(OURS) :] not in runtime["action_groups"]["cloudpods"]:
        return NOWHERE
    return str(options.get("transport", CLUSTER))


def adapted(task: Task, folder: Path) -> Task:
    """Return the example adapted to a test's folder, without another user, and without long waits."""
    task = json.loads(re.sub(r"(/var)?/tmp/|/etc/cloudpods/", lambda _found: f"{folder}/", json.dumps(task)))
    task.pop("become", None)
    for name in task:
        if name.startswith(OURS):
            options = task[name]
            options.update({option: seconds for option, seconds in SHORT.items() if option in options})
            if name == f"{OURS}log_watch":
                # By default, it looks at healthy services for a minute.
                options.setdefault("duration", SHORT["duration"])
    return task


def run(
    tasks: Iterable[Task],
    folder: Path,
    defaults: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
    **environment: str,
) -> list[dict[str, Any]]:
    """Run examples as one play on this machine; return the results. Raises AssertionError with the output if it fails.

    defaults: of the options of all modules that reach a cluster.
    """
    made = [adapted(task, folder) for task in tasks]
    names = [task.setdefault("register", f"result_{number}") for number, task in enumerate(made)]
    results = folder / "results.json"
    keep = {"content": "{{ [" + ", ".join(names) + "] | to_json }}", "dest": str(results), "mode": "0600"}
    play = {
        "name": "Examples",
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable, **(variables or {})},
        "module_defaults": {GROUP: dict(defaults or {})},
        "tasks": [*made, {"name": "Keep what they returned", "ansible.builtin.copy": keep}],
    }
    (folder / "examples.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {"TMPDIR": str(temporary), "ANSIBLE_HOME": str(folder / "ansible"), **environment}
    command = ["ansible-playbook", "-i", "localhost,", str(folder / "examples.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return list(json.loads(results.read_text()))
