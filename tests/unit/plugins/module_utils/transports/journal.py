# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private journald with its own /run, and a journalctl that reads there. Needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from standins import UP, Machine, Standin

from patience import patience, wait_until

JOURNALD = "/lib/systemd/systemd-journald"
RUNS = os.geteuid() == 0 and os.path.exists(JOURNALD) and all(map(shutil.which, ("journalctl", "systemd-cat")))
needs_journal = pytest.mark.skipif(not RUNS, reason="takes root, journald and systemd-cat")
MOUNTS = f"mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && exec {JOURNALD}"


@dataclass
class Journal:
    """A journal that is the standard error of the stand-ins it starts."""

    machine: Machine

    def __post_init__(self) -> None:
        self._journald = subprocess.Popen(["unshare", "--mount", "sh", "-c", MOUNTS], stderr=subprocess.DEVNULL)
        self._inside = ("nsenter", f"--mount=/proc/{self._journald.pid}/ns/mnt")
        run = Path(f"/proc/{self._journald.pid}/root/run")
        # Before it has a /run of its own, the path leads to the machine's; and it listens before it has a file.
        machines = os.stat("/run").st_dev
        wait_until("journald", lambda: run.stat().st_dev != machines and list(run.glob("log/journal/*/system.journal")))
        self.tools = self.machine.folder / "tools"
        self.tools.mkdir()
        script = self.tools / "journalctl"
        self._readers = self.tools / "readers"
        enter = " ".join((*self._inside, str(shutil.which("journalctl"))))
        script.write_text(f'#!/bin/sh\necho $$ >> {self._readers}\nexec {enter} "$@"\n')
        script.chmod(0o755)

    def start(self, component: str, behaviour: str, arguments: tuple[str, ...]) -> Standin:
        """Start one, and wait until it has its handlers.

        What is awaited is looked for by the identifier of its stream. A line that is written while journald accepts the
        stream has no _PID: between accept() and SO_PASSCRED the kernel notes no sender (unix(7), journald-stream.c).
        """
        identifier = f"{component}-{len(self.machine.running)}"
        launcher = (*self._inside, "systemd-cat", "--level-prefix=false", f"--identifier={identifier}")
        standin = self.machine.start(component, behaviour, arguments, wait=False, launcher=launcher)
        reading = self._reading(f"SYSLOG_IDENTIFIER={identifier}")
        with subprocess.Popen([*reading, "--follow", "--no-tail"], stdout=subprocess.PIPE) as following:
            timer = threading.Timer(patience(), following.terminate)
            timer.start()
            up = any(word in line for line in following.stdout for word in UP)
            timer.cancel()
            following.terminate()
        if not up:
            standin.process.send_signal(signal.SIGABRT)  # then Go's runtime says where each goroutine stands
            standin.process.wait()
            said = subprocess.run(reading, stdout=subprocess.PIPE, check=True).stdout
            raise TimeoutError(f"waited {patience()} s for {component} to start; it said {said!r}")
        return standin

    def of(self, standin: Standin) -> bytes:
        """Return all journal text of a stand-in."""
        return subprocess.run(self._reading(f"_PID={standin.pid}"), stdout=subprocess.PIPE, check=True).stdout

    def _reading(self, match: str) -> list[str]:
        return [str(self.tools / "journalctl"), "--quiet", "--output=cat", match]

    def kill_readers(self) -> None:
        """Kill every running journalctl, as a node without memory does."""
        for pid in map(int, self._readers.read_text().split()):
            with contextlib.suppress(FileNotFoundError):
                if Path(f"/proc/{pid}/comm").read_text() == "journalctl\n":
                    os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self._journald.terminate()
        self._journald.wait()
