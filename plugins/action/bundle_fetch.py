# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action bundle_fetch: fetch the archive of a capture from another machine, and remove it there."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.part_origin import check_origin
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import FILE_MODE, safe_name
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import action_of, as_result

ARGUMENTS = {
    "path": {"type": "str", "required": True},
    "folder": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "max_bytes": {"type": "int", "default": 4 << 30},
    "cluster": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # of a library without types
    """Fetch one file with the action ansible.builtin.fetch.

    The modules of that action run on a machine that may be hostile. Only two facts of their results are used: failure
    and message.
    """

    _supports_check_mode = False
    _requires_connection = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the path of the part on the controller, or the reason why it is missing."""
        super().run(tmp, task_vars)
        return as_result(lambda: self._bring(task_vars))

    def _bring(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        _checked, arguments = self.validate_argument_spec(ARGUMENTS)
        source = arguments["path"]
        _check_arguments(source, arguments["max_bytes"])
        part = _claim(Path(arguments["folder"]), arguments["name"])
        try:
            with _limited_file_size(arguments["max_bytes"]):
                self._fetch(source, part, task_vars)
            _check(part, arguments["max_bytes"])
            if arguments["cluster"]:
                check_origin(str(part), arguments["cluster"])
        except (AnsibleError, OSError, ValueError) as error:
            part.unlink(missing_ok=True)
            return {"failed": True, "changed": False, "msg": f"{error}. The captures stay on that machine, in {source}"}
        removed = self._execute_module(
            module_name="ansible.builtin.file", module_args={"path": source, "state": "absent"}, task_vars=task_vars
        )
        self._remove_tmp_path(self._connection._shell.tmpdir)
        warnings = [f"{source} is fetched, but could not be removed: {removed.get('msg')}"] if _failed(removed) else []
        return {"changed": True, "part": str(part), "warnings": warnings}

    def _fetch(self, source: str, part: Path, task_vars: dict[str, Any] | None) -> None:
        """Run ansible.builtin.fetch. ValueError with its message if it fails."""
        task = self._task.copy()
        task.args = {"src": source, "dest": str(part), "flat": True}
        fetch = action_of(self, "ansible.builtin.fetch", task)
        result = fetch.run(task_vars=task_vars)
        if _failed(result):
            raise ValueError(f"The captures could not be fetched: {result.get('msg')}")


def _check_arguments(source: str, max_bytes: int) -> None:
    """Raise AnsibleActionFail unless source is an absolute path in one line.

    The other machine chose the path. The connection plugin writes it into a line of commands for sftp, which can run
    programs on the controller.
    """
    if not source.startswith("/") or not source.isprintable():
        raise AnsibleActionFail(f"The machine returned no valid path of an archive: {source!r}")
    if max_bytes <= 0:
        raise AnsibleActionFail(f"max_bytes has to be more than 0, not {max_bytes}")


def _failed(result: dict[str, Any]) -> bool:
    return bool(result.get("failed"))


def _claim(folder: Path, name: str) -> Path:
    """Create an empty private file for the part under a free name. AnsibleActionFail."""
    name = safe_name(name)
    for number in range(1, 1000):
        part = folder / (f"{name}.tar.gz" if number == 1 else f"{name}-{number}.tar.gz")
        try:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE))
        except FileExistsError:
            continue
        except OSError as error:
            raise AnsibleActionFail(f"Cannot create a file in {folder}: {error.strerror}") from error
        return part
    raise AnsibleActionFail(f"{folder} already contains a thousand parts of {name}")


@contextlib.contextmanager
def _limited_file_size(limit: int) -> Iterator[None]:
    """Let the kernel refuse larger files to this process and its children (sftp, scp).

    A worker of ansible-core runs one task at a time, so nothing else is limited.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _check(part: Path, limit: int) -> None:
    """Raise ValueError unless the part is smaller than the limit."""
    size = part.lstat().st_size
    if size >= limit:
        raise ValueError(f"The captures are larger than {limit} bytes")
    part.chmod(FILE_MODE)
