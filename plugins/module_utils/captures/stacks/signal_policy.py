# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide whether a process may be signalled. Used by every transport. Pure."""

from __future__ import annotations

from ...catalog import MAY_DIE, NEVER, RELOADS, Component
from ...model import ENDED, STOPPED, TRACED, Instance, Process, state_words
from ...reasons import CaptureError, Reason
from ...transports.base import ProbeFacts, check_handlers
from ..engine.discovery import refuse_by_state

# A real `region -v` takes 128 MB of memory; twice that leaves the service its own head-room.
VERSION_MEMORY_BYTES = 256 << 20

_TERMINALS = ("/dev/pts/", "/dev/tty", "/dev/console")

_BY_USR1 = {NEVER: Reason.NEVER_DUMPS, RELOADS: Reason.RELOADS, MAY_DIE: Reason.MAY_DIE}


def refuse_early(component: Component, instance: Instance) -> CaptureError | None:
    """Return the refusal that component or state give before anything is touched; None if there is none."""
    if component.usr1 in _BY_USR1:
        detail = f"use instead: {component.instead}" if component.instead else ""
        return CaptureError(_BY_USR1[component.usr1], detail)
    return refuse_by_state(instance)


def choose_process(facts: ProbeFacts, follows_files: bool) -> Process:
    """Return the one process that may be sent SIGUSR1. CaptureError if there is none.

    A stopped process is refused. SIGUSR1 would stay pending, and the dump would come when the process is continued,
    perhaps hours later, when its log is not followed. A debugger may stop a process at the signal. A process in
    uninterruptible sleep is not refused: the state is that of its main thread, and Go handles a signal on any thread.

    follows_files: whether the transport reaches a file that standard error goes to.
    """
    inside = [process for process in facts.candidates if process.same_container and process.state not in ENDED]
    if not inside:
        raise CaptureError(Reason.NO_PROCESS, _what_else(facts))
    if len(inside) > 1:
        raise CaptureError(Reason.SEVERAL_PROCESSES, f"pids {', '.join(str(process.pid) for process in inside)}")
    process = inside[0]
    if process.state in (STOPPED, TRACED):
        who = f"process {process.pid}, {process.executable}"
        raise CaptureError(Reason.PROCESS_STOPPED, f"{who}, is {state_words(process)}")
    check_handlers(process.ignored, process.caught, f"process {process.pid}, {process.executable}")
    if process.log_file:
        raise CaptureError(Reason.STDERR_LOST, f"log_file_prefix is set by {process.log_file}")
    if _is_lost(process.stderr, follows_files):
        raise CaptureError(Reason.STDERR_LOST, f"stderr of process {process.pid} is {process.stderr}")
    return process


def _is_lost(stderr: str, follows_files: bool) -> bool:
    if stderr == "/dev/null" or stderr.endswith(" (deleted)"):
        return True
    is_file = stderr.startswith("/") and not stderr.startswith(_TERMINALS)
    return is_file and not follows_files


def _what_else(facts: ProbeFacts) -> str:
    zombies = [*facts.zombies, *(process.pid for process in facts.candidates if process.state in ENDED)]
    outside = len([process for process in facts.candidates if process.state not in ENDED])
    words = []
    if outside:
        words.append(f"{outside} in other containers of this node")
    if facts.impostors:
        pids = ", ".join(str(pid) for pid in facts.impostors)
        words.append(f"process {pids} has the name but runs another file")
    if zombies:
        pids = ", ".join(str(pid) for pid in zombies)
        words.append(f"process {pids} has the name and is a zombie: it has ended, and its parent did not wait for it")
    return "; ".join(words)


def memory_allows_version(facts: ProbeFacts) -> bool:
    """Return whether the container may run its binary once more without nearing its memory limit."""
    return facts.memory_room is None or facts.memory_room >= VERSION_MEMORY_BYTES
