# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action show_result: show the result of a run as plain text, and decide whether the run failed."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.failed_result import failed_result
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.result_text import (
    FailurePolicy,
    blocks,
    check_mode_outcome,
    run_outcome,
    without_bundle,
)
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.text_output import result_is_dumped, show_text

ARGUMENTS = {
    "run": {"type": "str", "required": True},
    "captured": {"type": "list", "elements": "dict", "default": []},
    "sealed": {"type": "dict", "default": {}},
    "tables": {"type": "list", "elements": "list", "default": []},
    "failures": {"type": "list", "elements": "str", "default": []},
    "verdict": {"type": "str", "default": ""},
    "fail_on": {"type": "str", "choices": ["none", "failed", "partial", "any"], "default": "failed"},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # of a library without types
    """Show one text if people read standard output. Programs get the same text in the result of the task."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result, or fail with one message if the run failed."""
        super().run(tmp, task_vars)
        return self._show()

    def _show(self) -> dict[str, Any]:
        _checked, arguments = self.validate_argument_spec(ARGUMENTS)
        sealed, entries = arguments["sealed"], arguments["captured"]
        entries = [each for each in entries if each.get("run") == arguments["run"]]
        archive = str(sealed.get("archive") or "")
        if self._task.check_mode:
            ended = check_mode_outcome(entries, FailurePolicy(arguments["fail_on"] != "none", arguments["failures"]))
        else:
            failure = str(sealed.get("failure") or "")
            failures, tables = [*arguments["failures"], failure], arguments["tables"]
            if not archive:
                # Nothing was captured, so there is no verdict. The table states the reasons.
                failures, tables = [failure, *arguments["failures"]], [list(sealed.get("table") or ())]
                entries = [{**each, "table": []} for each in entries]
            ended = run_outcome(
                entries, [without_bundle(table) for table in tables], FailurePolicy(bool(failure), failures)
            )
        lines = blocks([ended.lines, [f"bundle: {archive}"] if archive else []])
        show_text(lines)
        result = {
            "changed": False,
            "run": arguments["run"],
            "msg": ended.failure,
            "table": lines,
            "errors": ended.errors,
            "archive": archive,
            "counts": dict(sealed.get("counts") or {}),
            "verdict": arguments["verdict"],
        }
        if not ended.failure:
            return result
        if not result_is_dumped():
            # Callbacks for people show the whole result of a failed task.
            result = {"changed": False, "run": arguments["run"], "msg": ended.short}
        return failed_result(result)
