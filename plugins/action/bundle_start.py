# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action bundle_start: run the module of this name once for each run, and check what only the controller can check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible import context
from ansible.utils.display import Display
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.run_folder import RunFolder
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.failed_result import failed_result
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.interruption import record_run
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import ModuleAction
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.variables import LOCAL, connection_of, facts_refusal

# Variables that the role bundle registers: the folder of the run, and the shown result, which ends the run.
RUN = "bundle_run"
SHOWN = "bundle_shown"


class ActionModule(ModuleAction):
    """Create the folder of the run unless it exists, and check the variables of all hosts of the play."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of the module, or the earlier result if the run has already begun."""
        task_vars = task_vars or {}
        hostvars, hosts = task_vars["hostvars"], task_vars.get("ansible_play_hosts", ())
        refused = facts_refusal({host: hostvars[host].get("ansible_facts") or {} for host in hosts})
        if refused:
            return failed_result({"changed": False, "msg": refused})
        earlier = task_vars.get(RUN) or {}
        if earlier.get("id") and earlier["id"] != (task_vars.get(SHOWN) or {}).get("run"):
            return {"changed": False, **{key: earlier[key] for key in ("id", "folder", "parts")}}
        self._task.args = {**self._task.args, **self._without_prefix(task_vars)}
        result = super().run(tmp, task_vars)
        if result.get("failed"):
            return failed_result(result)
        if not self._task.check_mode and self._connection.transport in LOCAL:
            self._say_where(result, [hostvars[host].get("ansible_connection", "ssh") for host in hosts])
        return result

    def _say_where(self, result: Mapping[str, Any], connections: Iterable[str]) -> None:
        """Record the owner of the run, and show where its captures go.

        connections: connection plugins of the hosts of the play.
        """
        run = RunFolder(result["id"], result["folder"], result["parts"])
        remote = any(connection not in LOCAL for connection in connections)
        line = record_run(run, self._task.args["output"], remote, context.CLIARGS.get("inventory") or ())
        # A program may read standard output.
        Display().display(line, stderr=True)

    def _without_prefix(self, task_vars: dict[str, Any]) -> dict[str, list[str]]:
        """Return the options `deprecated` and `ignored` for all hosts of the play."""
        hostvars, hosts = task_vars["hostvars"], task_vars.get("ansible_play_hosts", ())
        # Variables of the play and of roles are not in hostvars.
        of_play = set(task_vars) - set(hostvars[task_vars["inventory_hostname"]])
        deprecated, ignored = [], []
        for host in hosts:
            found = connection_of(hostvars[host], of_play | set(hostvars[host]), hostvars)
            deprecated += [f"{name} of {host}" for name in found.deprecated]
            ignored += [f"{name} of {host}" for name in found.ignored]
        return {"deprecated": deprecated, "ignored": ignored}
