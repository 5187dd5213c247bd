# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action bundle_capture: run a capturing module for a run, and fetch its captures."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import (
    DIRECTORY_MODE,
    archive_of,
    safe_name,
)
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.capture_entry import (
    MissedCapture,
    capture_entry,
    error_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import (
    action_of,
    as_result,
    documented_keys,
    with_module_defaults,
)
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.text_output import show_text
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.variables import connection_of

OURS = "cloudpods.diagnostics."
MODULES = ["log_watch", "profile_dump", "stack_dump", "status_info"]
ARGUMENTS = {
    "run": {"type": "dict", "required": True},
    "module": {"type": "str", "choices": MODULES, "required": True},
    "options": {"type": "dict", "default": {}},
    "cluster": {"type": "str", "default": ""},
    "before": {"type": "list", "elements": "dict", "default": []},
    "enabled": {"type": "bool", "default": True},
    "plan": {"type": "bool", "default": False},
    "show_table": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # of a library without types
    """Run the action of a capturing module.

    The host is untrusted: its result is reduced to documented keys, and no path on the controller comes from it. A
    failed module does not fail the task: the result describes the failure for the action show_result.
    """

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of the module; `captured` has its captures, or the reason why there are none."""
        super().run(tmp, task_vars)
        return as_result(lambda: self._capture(task_vars or {}))

    def _capture(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        _checked, arguments = self.validate_argument_spec(ARGUMENTS)
        run, module, check_mode = arguments["run"], arguments["module"], self._task.check_mode
        before = [each for each in arguments["before"] if each.get("run") == run["id"]]
        if not arguments["enabled"]:
            return {"changed": False, "captured": before}
        host = task_vars["inventory_hostname"]
        is_remote = self._connection.transport != "local"
        only = arguments["cluster"] or ("hosts" if arguments["options"].get("transport") == "host" else "")
        place = "" if check_mode else _claim(Path(run["parts"]), host, is_remote)
        options = self._options(arguments["options"], run["id"], place, is_remote, task_vars)
        if arguments["plan"] and not check_mode:
            planned = self._run_module(module, options, task_vars, check_mode=True)
            several = len(task_vars.get("ansible_play_hosts", ())) > 1
            show_text([*([f"{host}:"] if several else []), *(planned.get("plan") or [])])
        result = self._run_module(module, options, task_vars, check_mode)
        brought, missed = "", error_of(result)
        if not missed and is_remote and not check_mode:
            brought, missed = self._fetch(result, run["parts"], place, only, task_vars)
        elif place and not is_remote:
            # A failed or interrupted module may have captured something before.
            brought = place if os.listdir(place) else ""
            if not brought:
                os.rmdir(place)
        about = {"run": run["id"], "host": host, "cluster": arguments["cluster"] or host}
        shows_table = arguments["show_table"] or check_mode
        entry = capture_entry(about, brought, missed, result, shows_table)
        return {**_kept(result, module), "error": missed.error if missed else "", "captured": [*before, entry]}

    def _options(
        self, given: Mapping[str, Any], run_id: str, place: str, is_remote: bool, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the options of the module: the given ones, the connection, and the place of the captures."""
        found = connection_of(task_vars, task_vars, task_vars["hostvars"])
        connection = {option: self._templar.template(task_vars[name]) for option, name in found.taken.items()}
        options = {**{name: value for name, value in connection.items() if value not in (None, "")}, **given}
        options["run"] = run_id
        if is_remote:
            options["archive"] = True
        elif place:
            options["output"] = place
        return options

    def _run_module(
        self, module: str, options: Mapping[str, Any], task_vars: dict[str, Any], check_mode: bool
    ) -> dict[str, Any]:
        """Return the result of a module of this collection, also if the host is unreachable."""
        task = self._task.copy()
        task.action, task.check_mode = OURS + module, check_mode
        task.args = with_module_defaults(task.action, dict(options), self._task, self._templar)
        return self._run_action(task, task_vars)

    def _fetch(
        self, result: Mapping[str, Any], folder: str, name: str, only: str, task_vars: dict[str, Any]
    ) -> tuple[str, MissedCapture | None]:
        """Fetch the archive that the module left on the host. Return its path, or the error."""
        task = self._task.copy()
        task.action = f"{OURS}bundle_fetch"
        task.args = {"path": str(result.get("archive") or ""), "folder": folder, "name": name, "cluster": only}
        fetched = self._run_action(task, task_vars)
        return str(fetched.get("part") or ""), error_of(fetched)

    def _run_action(self, task: Any, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the result of the action of a task, also if it raises an exception."""
        try:
            result: dict[str, Any] = action_of(self, task.action, task).run(task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            return {"unreachable": True, "changed": False, "msg": error.message}
        except AnsibleError as error:
            return {"failed": True, "changed": False, "msg": error.message}
        return result


def _claim(parts: Path, host: str, is_remote: bool) -> str:
    """Create the folder of a new part and return it. OSError: it cannot be created.

    For a part from another machine only return a free name, which bundle_fetch claims.
    """
    number = 1
    while True:
        folder = parts / f"{safe_name(host)}-{number}"
        number += 1
        if os.path.lexists(folder) or os.path.lexists(archive_of(str(folder))):
            continue
        if is_remote:
            return folder.name
        # A host with a similar name may have created it meanwhile.
        with contextlib.suppress(FileExistsError):
            folder.mkdir(DIRECTORY_MODE)
            return str(folder)


def _kept(result: Mapping[str, Any], module: str) -> dict[str, Any]:
    """Return the part of a module result that is kept. `error` describes a failure instead of its keys."""
    keys = documented_keys(module) | {"changed", "warnings", "deprecations", "invocation", "ansible_facts"}
    return {"changed": False, **{key: value for key, value in result.items() if key in keys}}
