# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action show_result: show the result of a run as plain text, and say whether the run counts as failed."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import as_result
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.result_text import (
    Outcome,
    Policy,
    blocks,
    outcome,
    planned,
    without_bundle,
)
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.shown import (
    result_is_dumped,
    show,
    text_is_shown,
)

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
    """Show one text where people read standard output. Programs get the same as the task's result."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result; its msg says why the run counts as failed, and is empty where it does not."""
        super().run(tmp, task_vars)
        return as_result(self._show)

    def _show(self) -> dict[str, Any]:
        _checked, arguments = self.validate_argument_spec(ARGUMENTS)
        sealed, entries = arguments["sealed"], arguments["captured"]
        entries = [each for each in entries if each.get("run") == arguments["run"]]
        archive = str(sealed.get("archive") or "")
        if self._task.check_mode:
            ended = planned(entries, Policy(arguments["fail_on"] != "none", arguments["failures"]))
        else:
            failure = str(sealed.get("failure") or "")
            policy = Policy(bool(failure), [failure, *arguments["failures"]])
            ended = outcome(entries, [without_bundle(table) for table in arguments["tables"]], policy)
        lines = blocks([ended.lines, [f"bundle: {archive}"] if archive else []])
        show(lines)
        result = {"changed": False, "run": arguments["run"], "msg": _message(ended)}
        if ended.failure and not result_is_dumped():
            # A callback for people shows the whole result of a failed task.
            return result
        counts, verdict = dict(sealed.get("counts") or {}), arguments["verdict"]
        return {**result, "table": lines, "errors": ended.errors, "archive": archive, "counts": counts,
                "verdict": verdict}  # fmt: skip


def _message(ended: Outcome) -> str:
    """Return why the run counts as failed. Where no text is shown, several errors stand in it."""
    if not ended.failure or text_is_shown() or len(ended.errors) < 2:
        return ended.failure
    return " ".join([ended.failure, *(each["error"] for each in ended.errors)])
