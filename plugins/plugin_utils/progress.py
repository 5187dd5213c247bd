# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugins that show a progress line on the terminal every ten seconds while their module runs.

    cluster-a  log_watch  40 s of at most 600 s: 12 streams, 18,234 lines, 3 hits

The module runs exactly as it would without the line. The line goes to standard error, and only to a terminal whose
output no program reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import FILE_VARIABLE
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.interruption import (
    ending_with_parent,
    place_note,
    without_signals,
)
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import ModuleAction

EVERY_SECONDS = 10.0
# Variable for another interval; 0 shows no lines.
EVERY_VARIABLE = "cloudpods_progress_seconds"
# Maximum number of hosts that show a line in the same interval. More hosts take turns.
HOSTS_AT_ONCE = 10
MAX_FILE_BYTES = 4096
MAX_COUNTS = 12
NAME = re.compile(r"[a-z][a-z ]{0,29}\Z")
# Callbacks whose standard output people read. The output of others may be read by a program.
FOR_PEOPLE = frozenset(
    ("default", "ansible.builtin.default", "minimal", "ansible.builtin.minimal", "yaml", "community.general.yaml",
     "debug", "ansible.posix.debug", "unixy", "community.general.unixy")
)  # fmt: skip


def terminal_of(descriptor: int) -> int | None:
    """Return the device number of the terminal of a descriptor, or None."""
    try:
        return os.fstat(descriptor).st_rdev if os.isatty(descriptor) else None
    except OSError:
        return None


def _show(text: str) -> None:
    Display().display(text, stderr=True, screen_only=True)


@dataclass(frozen=True)
class Screen:
    """Terminals of the main process, and the clock by which lines are shown.

    stdout, stderr: device numbers, or None.
    """

    stdout: int | None
    stderr: int | None
    monotonic: Callable[[], float] = time.monotonic
    event: Callable[[], threading.Event] = threading.Event
    show: Callable[[str], None] = _show


# Made at import, because the strategy imports this before it forks, and workers of ansible-core have no terminal. If a
# worker imports it, it finds no terminal, and nothing is shown.
SCREEN = Screen(terminal_of(1), terminal_of(2))


def may_show(stdout: int | None, stderr: int | None, callback: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether lines on standard error reach a person, and no program.

    stdout, stderr: their terminals. A runner (AWX, ansible-navigator, ansible-rulebook) gives Ansible a terminal of its
    own, and reads events from it with a callback of its own. No other text may come between these events.
    """
    if stderr is None:
        return False
    return stdout != stderr or (callback in FOR_PEOPLE and not arguments.get("one_line"))


def line_schedule(host: str, hosts: list[str], forks: int, every: float) -> tuple[float, float]:
    """Return the seconds before the first line of a host, and between its lines."""
    rounds = -(-min(len(hosts), forks) // HOSTS_AT_ONCE) or 1
    mine = hosts.index(host) % rounds if host in hosts else 0
    return every * (1 + mine), every * rounds


def progress_line(host: str, module: str, elapsed: float, document: Mapping[str, Any]) -> str:
    """Return the progress line. document: result of read_document()."""
    text = f"{host}  {module}  {elapsed:.0f} s"
    if "seconds" in document:
        text += f" of at most {document['seconds']:.0f} s"
    counts = ", ".join(f"{_number(count)} {name}" for name, count in document.get("counts", {}).items())
    return f"{text}: {counts}" if counts else text


def read_document(path: Path) -> dict[str, Any]:
    """Return the progress file, or {} if there is none or it does not have the expected form."""
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if _is_progress(document) else {}


def _is_progress(document: Any) -> bool:
    if not isinstance(document, dict) or not isinstance(document.get("counts"), dict):
        return False
    counts = document["counts"]
    return (
        isinstance(document.get("seconds"), (int, float))
        and 0 <= document["seconds"] < 1e9
        and len(counts) <= MAX_COUNTS
        and all(NAME.match(name) and _is_count(count) for name, count in counts.items())
    )


def _is_count(count: Any) -> bool:
    numbers = count if isinstance(count, list) and len(count) == 2 else [count]
    return all(isinstance(number, int) and 0 <= number < 10**15 for number in numbers)


def _number(count: int | list[int]) -> str:
    return f"{count:,}" if isinstance(count, int) else f"{count[0]:,} of {count[1]:,}"


@contextlib.contextmanager
def file_for_module() -> Iterator[Path]:
    """Provide the path of a file for the progress of the module, in a private folder that the block removes.

    A worker of ansible-core runs one task, and a module on this machine inherits the environment that is set here. On
    other machines, and as another user, it does not, and the line shows only the time: reading over a connection in use
    is not safe. If no folder can be created, the module runs without progress.
    """
    with contextlib.ExitStack() as stack:
        path = Path(os.devnull, "none")
        with contextlib.suppress(OSError):
            folder = tempfile.TemporaryDirectory(dir=constants.DEFAULT_LOCAL_TMP, ignore_cleanup_errors=True)
            path = Path(stack.enter_context(folder), "progress.json")
        before = os.environ.get(FILE_VARIABLE)
        os.environ[FILE_VARIABLE] = str(path)
        try:
            yield path
        finally:
            os.environ.pop(FILE_VARIABLE)
            if before is not None:
                os.environ[FILE_VARIABLE] = before


class ProgressAction(ModuleAction):
    """Run a module and show its progress."""

    screen = SCREEN

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result unchanged."""
        task_vars = task_vars or {}
        every = self._interval(task_vars)
        callback = constants.DEFAULT_STDOUT_CALLBACK
        seen = may_show(self.screen.stdout, self.screen.stderr, callback, context.CLIARGS)
        if not every or not seen or self._task.async_val:
            return self._run_module(tmp, task_vars)
        ended = self.screen.event()
        with file_for_module() as path:
            thread = threading.Thread(target=self._show, args=(path, task_vars, every, ended), daemon=True)
            with without_signals():
                thread.start()
            try:
                return self._run_module(tmp, task_vars)
            finally:
                ended.set()
                # Show no line after the end of the module.
                thread.join()

    def _run_module(self, tmp: Any, task_vars: dict[str, Any]) -> dict[str, Any]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(ending_with_parent())
            if not self._task.args.get("output") and not self._task.args.get("run"):
                stack.enter_context(place_note())
            result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    def _interval(self, task_vars: Mapping[str, Any]) -> float:
        given = self._templar.template(task_vars.get(EVERY_VARIABLE))
        if given is None or given == "":
            return EVERY_SECONDS  # an empty variable is one that is not set
        try:
            every = float(given)
        except (TypeError, ValueError):
            every = -1.0
        if not 0 <= every < float("inf"):
            raise AnsibleActionFail(f"{EVERY_VARIABLE} has to be a number of seconds, or 0, not {given!r}")
        return every

    def _show(self, path: Path, task_vars: Mapping[str, Any], every: float, ended: threading.Event) -> None:
        host = str(task_vars.get("inventory_hostname", ""))
        module = self._task.action.rpartition(".")[2]
        hosts = list(task_vars.get("ansible_play_batch", []))
        wait, every = line_schedule(host, hosts, context.CLIARGS.get("forks") or constants.DEFAULT_FORKS, every)
        begun = self.screen.monotonic()
        while not ended.wait(wait):
            self.screen.show(progress_line(host, module, self.screen.monotonic() - begun, read_document(path)))
            wait = every
