# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real processes that execute nothing: stopped, traced, in uninterruptible sleep, or zombies."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.procfs import ProcFs

from patience import wait_until

PROCFS = ProcFs()
# <sys/ptrace.h>
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
# The parent of vfork() sleeps uninterruptibly until its child executes something or ends (wait_for_vfork_done in
# kernel/fork.c). The child does neither.
VFORKS = (
    "import ctypes, signal, time; signal.signal(signal.SIGUSR1, print); ctypes.PyDLL(None).vfork(); time.sleep(1000)"
)


def await_state(pid: int, letter: str) -> None:
    wait_until(f"state {letter}", lambda: PROCFS.status(pid)["State"].startswith(letter))


def await_sleep(pid: int, letter: str) -> str:
    """Wait until a process sleeps in a state, and return the kernel function that it sleeps in.

    A process sets its state before it leaves the processor. Until it has left, /proc/PID/wchan is "0" (get_wchan in
    kernel/sched/core.c). On a busy machine that may take long.
    """
    await_state(pid, letter)
    shown = Path(f"/proc/{pid}/wchan")
    wait_until("the place of a sleep", lambda: shown.read_text() != "0")
    return shown.read_text()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop the process within the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        await_state(pid, "T")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def traced(pid: int) -> Iterator[None]:
    """Trace the process, a child of ours, within the block as a debugger does."""
    libc = ctypes.CDLL(None, use_errno=True)

    def trace(request: int) -> None:
        if libc.ptrace(ctypes.c_long(request), ctypes.c_int(pid), None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    trace(PTRACE_ATTACH)
    try:
        await_state(pid, "t")
        yield
    finally:
        trace(PTRACE_DETACH)


@contextlib.contextmanager
def blocked(binaries: str, name: str = "blocked") -> Iterator[int]:
    """Yield the pid of a process in uninterruptible sleep that runs a component's file and catches SIGUSR1.

    Its child runs the same file, and sleeps as others do.
    """
    program = Path(binaries) / name
    program.parent.mkdir(exist_ok=True)
    shutil.copy(os.path.realpath(sys.executable), program)
    process = subprocess.Popen(
        [str(program), "-S", "-c", VFORKS],
        stderr=subprocess.PIPE,
        env={"PYTHONHOME": sys.base_prefix},
        start_new_session=True,
    )
    try:
        await_sleep(process.pid, "D")
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextlib.contextmanager
def zombie(binaries: str, name: str) -> Iterator[int]:
    """Yield the pid of a zombie with this name."""
    program = Path(binaries) / name
    program.parent.mkdir(exist_ok=True)
    shutil.copy(str(shutil.which("true")), program)
    process = subprocess.Popen([str(program)])
    try:
        await_state(process.pid, "Z")
        yield process.pid
    finally:
        process.wait()
