# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base class of the action plugins: run the module of the same name, and reduce its result to documented keys.

A module runs on a machine that may be hostile, and Ansible trusts its result more than expected: the key
`ansible_facts` of any result sets variables of the host (_process_pending_results in
ansible/plugins/strategy/__init__.py), which override the defaults of roles.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.executor import module_common
from ansible.plugins.action import ActionBase
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.release import __version__

TRUSTS_EXCEPTIONS = tuple(int(number) for number in __version__.split(".")[:2]) < (2, 19)
MODULES = Path(__file__).resolve().parents[1] / "modules"
# Keys that Ansible itself adds to results, whether a module succeeds, fails, is skipped or runs in the background.
COMMON_KEYS = frozenset(
    ("changed", "failed", "msg", "skipped", "unreachable", "warnings", "deprecations", "exception", "invocation",
     "rc", "stdout", "stderr", "module_stdout", "module_stderr", "ansible_job_id", "started", "finished",
     "results_file")
)  # fmt: skip


@functools.cache
def documented_keys(module: str) -> frozenset[str]:
    """Return the keys that the RETURN of a module of this collection documents.

    module: its name without the collection.
    """
    tree = ast.parse((MODULES / f"{module}.py").read_text(encoding="utf-8"))
    texts = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "RETURN"
    ]
    return frozenset(yaml.safe_load(ast.literal_eval(texts[0])) or {})


def reduced(result: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """Return a result with only these keys, the common ones, and Ansible's own (`_ansible_*`)."""
    return {key: value for key, value in result.items() if key in keys | COMMON_KEYS or key.startswith("_ansible_")}


def as_result(run: Callable[[], dict[str, Any]], trusts_exceptions: bool = TRUSTS_EXCEPTIONS) -> dict[str, Any]:
    """Return the result of run, or the result that describes the exception of Ansible that ended it.

    Before release 2.19, ansible-core marks the texts of a returned result as data, but not the text of such an
    exception (TaskExecutor._execute in ansible/executor/task_executor.py). If that text came from a hostile machine,
    for example its SSH server, a task that shows it would evaluate it as a template. Later releases only trust texts of
    playbooks.
    """
    try:
        return run()
    except AnsibleConnectionFailure as error:
        if not trusts_exceptions:
            raise
        return {"unreachable": True, "changed": False, "msg": str(error)}
    except AnsibleActionFail as error:
        if not trusts_exceptions:
            raise
        return {"failed": True, "changed": False, "msg": str(error)}


def action_of(action: ActionBase, name: str, task: Any) -> ActionBase:
    """Return the action of this name for the task, on the connection of another action."""
    return action._shared_loader_obj.action_loader.get(
        name,
        task=task,
        connection=action._connection,
        play_context=action._play_context,
        loader=action._loader,
        templar=action._templar,
        shared_loader_obj=action._shared_loader_obj,
    )


def with_module_defaults(name: str, options: dict[str, Any], task: Any, templar: Any) -> dict[str, Any]:
    """Return the options of a module, completed by module_defaults of the play.

    Ansible applies them only to the module that a task names. Actions that choose a module apply them themselves, as
    ansible.builtin.package does.
    """
    if hasattr(module_common, "_apply_action_arg_defaults"):  # since ansible-core 2.19
        found: dict[str, Any] = module_common._apply_action_arg_defaults(name, task, options, templar)
    else:
        groups = task._parent._play._action_groups
        found = module_common.get_action_args_with_defaults(
            name, options, task.module_defaults, templar, action_groups=groups
        )
    return found


class ModuleAction(NormalAction):  # type: ignore[misc]  # of a library without types
    """Run the module of the action's name and reduce its result."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result without facts and undocumented keys."""
        result = as_result(lambda: super(ModuleAction, self).run(tmp, task_vars))
        kept = reduced(result, documented_keys(self._task.action.rpartition(".")[2]))
        # Set by the controller only: modules may not set it (remove_internal_keys in ansible/vars/clean.py). Without
        # it, each task would search for a Python again.
        if self._discovered_interpreter_key:
            kept["ansible_facts"] = {self._discovered_interpreter_key: self._discovered_interpreter}
        return kept
