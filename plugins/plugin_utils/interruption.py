# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller does for a run that may be interrupted: end its modules, and say where the captures are.

A worker of ansible-core runs one task. It is a child of the process that the user started and interrupts, here called
the main process. Only that can show something in the end: so workers leave notes in the temporary folder that all of
them share (DEFAULT_LOCAL_TMP), and it reads them when it exits.
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
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.running import PLACE_VARIABLE, SEAL, seal_options

SIGNALS = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
LOOK_SECONDS = 0.5
RUN_NOTE, PLACE_NOTE = "cloudpods-run-", "cloudpods-place-"


@contextlib.contextmanager
def without_signals() -> Iterator[None]:
    """Threads that are started in the block are never given a signal: the main thread of the process is.

    Linux gives a signal to any thread that does not block it. Python runs handlers in the main thread, which does not
    wake up from a system call when another thread was given the signal. ansible-core 2.19 sends SIGINT and SIGTERM to
    its workers in quick succession; on a busy machine another thread is given both, and the worker goes on.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def ending_with_parent() -> Iterator[None]:
    """Within the block, end this worker, and what it runs, when the main process has gone.

    Workers of ansible-core have a session of their own since release 2.19, and go on when the main process is killed or
    loses its terminal; those of earlier releases go on when it is killed.
    """
    parent, ended = os.getppid(), threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_SECONDS):
            if os.getppid() != parent:
                # Release 2.19 hands it on to what the worker runs. Else the module notices that nobody reads it.
                os.kill(os.getpid(), signal.SIGTERM)
                return

    with without_signals():
        threading.Thread(target=watch, name="parent", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def begun(run: RunFolder, output: str, remote: bool, inventory: Sequence[str]) -> str:
    """Note which process owns a run. Return the line that says where its captures go. For a worker; OSError.

    remote: whether a host of the play is another machine. inventory: the sources that the user gave.
    """
    mark_running(run, os.getppid())
    seal = seal_command(run.id, output, inventory if remote else ())
    note = {"folder": run.folder, "remote": remote, "seal": seal}
    with contextlib.suppress(OSError):
        # Without it, nothing is shown at an interruption; the line below names the place all the same.
        Path(constants.DEFAULT_LOCAL_TMP, f"{RUN_NOTE}{run.id}").write_text(json.dumps(note), encoding="utf-8")
    return location_line(run.folder, run.id, output, remote, inventory)


@contextlib.contextmanager
def noting_place() -> Iterator[None]:
    """Let a module on this machine note where its captures are while it runs. Not for modules that are told where."""
    path = Path(constants.DEFAULT_LOCAL_TMP, f"{PLACE_NOTE}{os.getpid()}")
    os.environ[PLACE_VARIABLE] = str(path)
    try:
        yield
    finally:
        os.environ.pop(PLACE_VARIABLE)
        path.unlink(missing_ok=True)


def _at_exit(main: int) -> None:
    """In the main process, say where the captures are of runs that were not sealed; remove folders of empty runs."""
    if os.getpid() != main:
        return
    folder = Path(constants.DEFAULT_LOCAL_TMP)
    for note in sorted(folder.glob(f"{RUN_NOTE}*")):
        run = json.loads(note.read_text(encoding="utf-8"))
        if not is_unsealed(run["folder"]):
            continue
        # Modules that were interrupted are about to end, and to write what they have.
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
            _show(f"What was captured is in {place}. Next: {SEAL} {shlex.quote(json.dumps(seal_options(place)))}")


def _show(line: str) -> None:
    Display().display(line, stderr=True)


# The main process imports action plugins before it starts workers. Workers end without the functions of atexit.
atexit.register(_at_exit, os.getpid())
