# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Session with one process of this machine: signal it and read its version."""

from __future__ import annotations

import datetime
import errno
import os
import secrets
import signal

from ...deadline import Deadline
from ...model import Instance, Process, utc_now
from ...reasons import CaptureError, Reason
from ..base import ProbeFacts, ProcessSession, check_handlers
from .build_info import version_of
from .procfs import ProcFs, translated
from .programs import VERSION_SECONDS, own_version, version_inside

# pidfd_open() is not in the kernel (before 5.3), or a seccomp filter blocks it.
_NO_PIDFD = (errno.ENOSYS, errno.EPERM)


class HostSession(ProcessSession):
    """Session that holds nothing open. The process is compared again right before the signal."""

    def __init__(self, procfs: ProcFs, instance: Instance, facts: ProbeFacts, deadline: Deadline) -> None:
        self._procfs = procfs
        self._instance = instance
        self._deadline = deadline
        self.facts = facts

    def signal(self, process: Process) -> datetime.datetime:
        self._deadline.check()
        # Only probed pids are signalled, above all not 0 and -1, which mean many processes.
        if not any(same_process(process, seen) for seen in self.facts.candidates):
            raise CaptureError(Reason.PROCESS_CHANGED, f"process {process.pid}")
        return send_usr1(self._procfs, process)

    def version_from_file(self, process: Process) -> bytes:
        self._deadline.check()
        with translated(Reason.NO_VERSION):
            descriptor = os.open(self._procfs.path(process.pid, "exe"), os.O_RDONLY | os.O_CLOEXEC)
            try:
                # Checked last: the pid may belong to another process by now.
                version = version_of(descriptor)
                if not self._procfs.is_alive(process):
                    raise CaptureError(Reason.GONE, f"process {process.pid} has ended")
                return version
            finally:
                os.close(descriptor)

    def version(self, process: Process) -> bytes:
        deadline = self._deadline.child(VERSION_SECONDS, "version")
        container_id = self._instance.container_id
        if container_id:
            return version_inside(process, container_id, f"version-{secrets.token_hex(8)}", deadline)
        with translated(Reason.NO_VERSION):
            if self._procfs.namespace(process.pid, "pid") != self._procfs.own_namespace("pid"):
                raise CaptureError(Reason.NO_RUNTIME_CLI, f"process {process.pid} is in an unknown kind of container")
        return own_version(self._procfs, process, deadline)

    def close(self) -> None:
        """Do nothing: nothing is held."""


def same_process(one: Process, other: Process) -> bool:
    """Return whether both are the same process, and not two with the same pid one after the other."""
    return (one.pid, one.start_time) == (other.pid, other.start_time)


def send_usr1(procfs: ProcFs, process: Process) -> datetime.datetime:
    """Send SIGUSR1 to this process and return the time in UTC. Raise CaptureError if it is another one by now.

    A pidfd is opened before the process is compared, so the compared process is the one that gets the signal.
    """
    descriptor = _open_pidfd(process.pid)
    try:
        _compare(procfs, process)
        sent_at = utc_now()
        if descriptor is None:
            os.kill(process.pid, signal.SIGUSR1)
        else:
            signal.pidfd_send_signal(descriptor, signal.SIGUSR1)
        return sent_at
    except ProcessLookupError as error:
        raise CaptureError(Reason.GONE, f"process {process.pid} has ended") from error
    except OSError as error:
        raise CaptureError(Reason.SIGNAL_FAILED, f"process {process.pid}: {error}") from error
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_pidfd(pid: int) -> int | None:
    """Open a pidfd. Return None if Python (before 3.9) or the kernel has none; then kill() is used."""
    if not (hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")):
        return None
    try:
        return os.pidfd_open(pid)
    except (ProcessLookupError, FileNotFoundError) as error:  # the latter on newer kernels, if no process has the pid
        raise CaptureError(Reason.GONE, f"process {pid} has ended") from error
    except OSError as error:
        if error.errno in _NO_PIDFD:
            return None
        raise CaptureError(Reason.SIGNAL_FAILED, f"process {pid}: {error}") from error


def _compare(procfs: ProcFs, process: Process) -> None:
    """Raise CaptureError unless it is still the same process, runs the same program, and still catches the signal.

    A process can drop its handler. execve() resets all handlers and keeps pid and start time (execve(2)), also if it
    executes the same file again. So the masks are read last, just before the signal.
    """
    try:
        changed = procfs.start_time(process.pid) != process.start_time
        changed = changed or procfs.executable(process.pid) != process.executable
        ignored, caught = procfs.handlers(process.pid)
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {process.pid} has ended") from error
    if changed:
        raise CaptureError(Reason.PROCESS_CHANGED, f"process {process.pid}")
    check_handlers(ignored, caught, f"process {process.pid}, just before the signal")
