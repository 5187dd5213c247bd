# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes identified by pid *and* start time, so that a reused pid is never taken for one of ours."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from patience import DEFAULT_SECONDS

from .core import wait_for, write


@dataclass(frozen=True)
class Process:
    """One identified process: `start` is field 22 of /proc/PID/stat (clock ticks since boot)."""

    pid: int
    start: int

    @classmethod
    def find(cls, pid: int) -> Process | None:
        """Return the process that has this pid now, if any."""
        fields = stat(pid)
        return cls(pid, int(fields[19])) if fields else None

    @classmethod
    def load(cls, record: Path) -> Process | None:
        """Return the process of a pid file; None if there is no complete pid file."""
        try:
            return cls(**json.loads(record.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, record: Path) -> None:
        """Write the pid file."""
        write(record, json.dumps(asdict(self)))

    def state(self) -> str:
        """Return the state letter of /proc/PID/stat (`S`, `R`, `T` stopped …); empty if it is gone or a zombie."""
        fields = stat(self.pid)
        if not fields or int(fields[19]) != self.start or fields[0] in "ZX":
            return ""
        return fields[0]

    def alive(self) -> bool:
        """Return whether it exists and is no zombie."""
        return bool(self.state())

    def send(self, number: signal.Signals) -> None:
        """Signal exactly this process; do nothing if it is gone."""
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # newer kernels: the number of no process
            handle = os.pidfd_open(self.pid)
            try:
                if self.alive():  # checked after the pidfd pins the pid, so the pid cannot be reused in between
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)

    def wait_gone(self, what: str, *, seconds: float = DEFAULT_SECONDS) -> None:
        """Wait until it is gone."""
        wait_for(f"end of {what} (pid {self.pid})", lambda: not self.alive(), seconds=seconds)


def stat(pid: int) -> list[str]:
    """Return /proc/PID/stat from field 3 (state) on; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def ns_pids(pid: int) -> list[int]:
    """Return the pid in each pid namespace of the process, outermost first; empty if it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return list(map(int, line.split()[1:]))
    except OSError:
        pass
    return []


def command_line(pid: int) -> str:
    """Return the command line, for people."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
