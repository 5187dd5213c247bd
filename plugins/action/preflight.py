# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action preflight: check the variables of all hosts on the controller, and the libraries where modules run.

The first host of a batch checks the variables of all hosts, so that a shared mistake is reported once.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import libraries
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.libraries import Interpreter
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight import required_libraries
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.validation import (
    HostVariables,
    UnreadableValue,
    find_mistakes,
    template_error,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.variables import (
    CAPTURING,
    EVERYWHERE,
    PREFIX,
    VARIABLES,
    options_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.failed_result import failed_once
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import (
    TRUSTS_EXCEPTIONS,
    ModuleAction,
)
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.variables import LOCAL

# Option of a role -> its default. A different value was set by the user.
DEFAULTS = {name: variable.expression(role) for role in EVERYWHERE for name, variable in options_of(role).items()}
ON_CONTROLLER = "on the controller"
INTERPRETER = "ansible_python_interpreter"
# Program for another Python on this machine: print the libraries that it lacks. Arguments: libraries.py, library names.
ASK = (
    "import json, runpy, sys; found = runpy.run_path(sys.argv[1]); "
    "print(json.dumps([found['missing_libraries'](sys.argv[2:]), found['this_interpreter']().managed]))"
)
ASK_SECONDS = 20.0


class ActionModule(ModuleAction):
    """Check variables and libraries, and fail with one sentence for each problem."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with the sentences, each once."""
        task_vars = task_vars or {}
        role = str(self._task.args.get("role"))
        if role not in CAPTURING:
            # The module rejects it and lists the roles.
            return super().run(tmp, task_vars)
        host = str(task_vars["inventory_hostname"])
        batch = [str(each) for each in task_vars.get("ansible_play_batch") or [host]]
        own = self._values_of_this_host(host, task_vars)
        problems: list[str] = []
        on_controller: tuple[str, ...] = ()
        if host == batch[0]:
            every = {name: own if name == host else _values_of(name, task_vars["hostvars"]) for name in batch}
            problems += find_mistakes(every, role)
            if required_libraries.needs_collection(every.values(), role) and not _has_collection():
                problems.append(libraries.missing_collection_message())
            on_controller = required_libraries.ON_CONTROLLER.get(role, ())
        problems += self._lacking(host, required_libraries.at_access_point(own, role), on_controller, task_vars)
        if problems:
            return failed_once(problems)
        result: dict[str, Any] = {"changed": False, "msg": []}
        if self._discovered_interpreter_key:
            result["ansible_facts"] = {self._discovered_interpreter_key: self._discovered_interpreter}
        return result

    def _values_of_this_host(self, host: str, task_vars: dict[str, Any]) -> HostVariables:
        """Return the variables of this host, including those of the play and role parameters."""
        of_host = task_vars["hostvars"][host]
        names = [
            name for name, raw in task_vars.items()
            if name.startswith(PREFIX) or (name in DEFAULTS and (name in of_host or raw != DEFAULTS[name]))
        ]  # fmt: skip
        return {name: _value(name, lambda name: self._templar.template(task_vars[name])) for name in names}

    def _lacking(
        self, host: str, here: tuple[str, ...], on_controller: tuple[str, ...], task_vars: dict[str, Any]
    ) -> list[str]:
        """Return the sentences about libraries that are missing at this host and on the controller."""
        is_local = str(task_vars.get("ansible_connection", "ssh")) in LOCAL
        ours: dict[Interpreter, list[str]] = {}
        if host == "localhost" and here:
            # Modules on the controller run with the same Python.
            here, on_controller = (*here, *on_controller), ()
        if on_controller:
            _add(ours, _lacking_on_controller(on_controller, task_vars["hostvars"]))
        if here:
            _add(ours, self._lacking_at(host, here, ON_CONTROLLER if is_local else f"on {host}", task_vars))
        return [libraries.missing_libraries_message(names, interpreter) for interpreter, names in ours.items()]

    def _lacking_at(
        self, host: str, names: tuple[str, ...], place: str, task_vars: dict[str, Any]
    ) -> tuple[Interpreter, list[str]] | None:
        """Return the libraries that the module finds missing at this host.

        Return None if the module cannot run there: the capture fails for the same reason, and reports it.
        """
        self._task.args = {**self._task.args, "libraries": list(names)}
        try:
            found = super().run(None, task_vars)
        except AnsibleConnectionFailure as error:
            found = {"unreachable": True, "msg": str(error)}
        if found.get("unreachable") or found.get("failed"):
            Display().vv(f"preflight could not look for libraries at {host}: {found.get('msg')}")
            return None
        # The other machine is not trusted.
        missing = found.get("missing")
        lacking = [name for name in names if isinstance(missing, list) and name in missing]
        return Interpreter(
            required_libraries.path_text(found.get("python")), place, found.get("managed") is True
        ), lacking


def _add(ours: dict[Interpreter, list[str]], found: tuple[Interpreter, list[str]] | None) -> None:
    if found and found[1]:
        known = ours.setdefault(found[0], [])
        known += [name for name in found[1] if name not in known]


def _has_collection() -> bool:
    try:
        return importlib.util.find_spec(f"ansible_collections.{libraries.COLLECTION}") is not None
    except ImportError:
        return False


def _lacking_on_controller(names: tuple[str, ...], hostvars: Mapping[str, Any]) -> tuple[Interpreter, list[str]] | None:
    """Return the Python that runs modules on the controller, and the libraries that it lacks.

    Return None if Ansible has not chosen that Python yet.
    """
    localhost = hostvars["localhost"]
    path = str(_value(INTERPRETER, localhost.__getitem__)) if INTERPRETER in localhost else ""
    if path == sys.executable:
        return libraries.this_interpreter(ON_CONTROLLER), libraries.missing_libraries(names)
    try:
        command = [path, "-c", ASK, str(Path(libraries.__file__)), *names]
        done = subprocess.run(command, capture_output=True, check=True, timeout=ASK_SECONDS)
        lacking, managed = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Interpreter(path, ON_CONTROLLER, managed), lacking


def _values_of(host: str, hostvars: Mapping[str, Any]) -> HostVariables:
    """Return the variables of another host."""
    of_host = hostvars[host]
    names = [name for name in of_host if name.startswith(PREFIX) or name in DEFAULTS]
    return {name: _value(name, of_host.__getitem__) for name in names}


def _value(name: str, get: Callable[[str], Any]) -> Any:
    """Return the evaluated value of a variable; None for unknown variables, whose values are not needed."""
    if name.startswith(PREFIX) and name not in VARIABLES:
        return None
    try:
        value = get(name)
    except AnsibleError as error:
        return UnreadableValue(template_error(str(error)))
    # Before release 2.19, variables of another host that cannot be evaluated are returned as templates.
    if TRUSTS_EXCEPTIONS and isinstance(value, str) and "{{" in value and not hasattr(value, "__UNSAFE__"):
        return UnreadableValue(template_error(""))
    return value
