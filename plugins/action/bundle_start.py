# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action bundle_start: the module of the same name, and a line that says where the captures go."""

from __future__ import annotations

from typing import Any

from ansible import context
from ansible.utils.display import Display
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.run_folder import RunFolder
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.interruption import begun
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import ModuleAction

LOCAL = ("local", "ansible.builtin.local")


class ActionModule(ModuleAction):
    """See plugin_utils/module_action.py."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result. On this machine, say also where the captures go, and note who owns the run."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        made = not result.get("failed") and not self._task.check_mode
        if made and self._connection.transport in LOCAL:
            variables = task_vars or {}
            connections = [
                variables["hostvars"][host].get("ansible_connection", "ssh")
                for host in variables.get("ansible_play_hosts_all", ())
            ]
            run = RunFolder(result["id"], result["folder"], result["parts"])
            remote = any(connection not in LOCAL for connection in connections)
            line = begun(run, self._task.args["output"], remote, context.CLIARGS.get("inventory") or ())
            # Standard output may be read by a program.
            Display().display(line, stderr=True)
        return result
