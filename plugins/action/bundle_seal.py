# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action bundle_seal: run the module of this name, and add the bundle to the statistics of the run."""

from __future__ import annotations

from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.failed_result import failed_result
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import ModuleAction


class ActionModule(ModuleAction):
    """Seal the bundle, and name it in the statistics."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of the module, with the bundle as a statistic, as ansible.builtin.set_stats adds it."""
        result = super().run(tmp, task_vars)
        if result.get("failed"):
            return failed_result(result)
        if result.get("archive"):
            about = self._task.args.get("run") or {}
            data = {"cloudpods_bundle": result["archive"], "cloudpods_counts": result.get("counts", {})}
            if about.get("verdict"):
                data["cloudpods_verdict"] = about["verdict"]
            result["ansible_stats"] = {"data": data, "per_host": False, "aggregate": False}
        return result
