# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of interruptions: end the modules of a run, and show where its captures are.

A worker of ansible-core runs one task. It is a child of the process that the user started and interrupts, here called
the main process. Only the main process can show text at the end. Workers therefore leave notes in the temporary folder
that they share (DEFAULT_LOCAL_TMP), and the main process reads them when it exits.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shlex
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible import constants
from ansible.utils.display import Display
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.resume import (
    wait_until_ended,
    wait_until_free,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.run_folder import (
    RunFolder,
    is_unsealed,
    location_line,
    mark_running,
    remove_empty,
    seal_command,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.module_runner import (
    PLACE_VARIABLE,
    SEAL,
    seal_options,
)

SIGNALS = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
LOOK_SECONDS = 0.5
RUN_NOTE, PLACE_NOTE = "cloudpods-run-", "cloudpods-place-"


@contextlib.contextmanager
def without_signals() -> Iterator[None]:
    """Start threads in this block that never get a signal, so that the main thread of the process gets them.

    Linux delivers a signal to any thread that does not block it. Python runs handlers in the main thread, which does
    not wake up from a system call when another thread got the signal. ansible-core 2.19 sends SIGINT and SIGTERM to its
    workers in quick succession. On a busy machine another thread may get both, and the worker would continue.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def ending_with_parent(look_seconds: float = LOOK_SECONDS) -> Iterator[None]:
    """End this worker, and what it runs, if the main process disappears during the block.

    Since release 2.19, workers of ansible-core have a session of their own, and survive when the main process is killed
    or loses its terminal. Workers of earlier releases survive when it is killed.
    """
    parent, ended = os.getppid(), threading.Event()

    def watch() -> None:
        while not ended.wait(look_seconds):
            if os.getppid() != parent:
                # Release 2.19 forwards the signal to the module. Otherwise the module notices its closed output.
                os.kill(os.getpid(), signal.SIGTERM)
                return

    with without_signals():
        threading.Thread(target=watch, name="parent", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def record_run(run: RunFolder, output: str, remote: bool, inventory: Sequence[str]) -> str:
    """Record the process that owns a run. Return the line that states where its captures go. For workers; OSError.

    remote: a host of the play is another machine. inventory: sources that the user gave.
    """
    mark_running(run, os.getppid())
    seal = seal_command(run.id, output, inventory if remote else ())
    note = {"folder": run.folder, "remote": remote, "seal": seal}
    with contextlib.suppress(OSError):
        # Without the note, nothing is shown at an interruption, but the line below names the place.
        Path(constants.DEFAULT_LOCAL_TMP, f"{RUN_NOTE}{run.id}").write_text(json.dumps(note), encoding="utf-8")
    return location_line(run.folder, run.id, output, remote, inventory)


@contextlib.contextmanager
def place_note() -> Iterator[None]:
    """Let a module on this machine record where its captures are while it runs.

    For modules without an option that tells them where.
    """
    path = Path(constants.DEFAULT_LOCAL_TMP, f"{PLACE_NOTE}{os.getpid()}")
    os.environ[PLACE_VARIABLE] = str(path)
    try:
        yield
    finally:
        os.environ.pop(PLACE_VARIABLE)
        path.unlink(missing_ok=True)


def _at_exit(main: int) -> None:
    """In the main process, show where the captures of unsealed runs are, and remove folders of empty runs."""
    if os.getpid() != main:
        return
    folder = Path(constants.DEFAULT_LOCAL_TMP)
    for note in sorted(folder.glob(f"{RUN_NOTE}*")):
        run = json.loads(note.read_text(encoding="utf-8"))
        if not is_unsealed(run["folder"]):
            continue
        # Interrupted modules end soon, and write their captures before.
        ended = wait_until_ended(run["folder"])
        if run["remote"]:
            _show(f"The run was not sealed. Its captures are in {run['folder']} and elsewhere. Next: {run['seal']}")
        elif not (ended and remove_empty(run["folder"])):
            _show(f"The run was not sealed. Its captures are in {run['folder']}. Next: {run['seal']}")
    for note in sorted(folder.glob(f"{PLACE_NOTE}*")):
        place = note.read_text(encoding="utf-8")
        if place:
            wait_until_free(place)
        if place and os.path.isdir(place):
            _show(f"The captures are in {place}. Next: {SEAL} {shlex.quote(json.dumps(seal_options(place)))}")


def _show(line: str) -> None:
    Display().display(line, stderr=True)


# The main process imports action plugins before it starts workers. Workers end without running atexit functions.
atexit.register(_at_exit, os.getpid())
