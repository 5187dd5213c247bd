# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in services (tests/lab/services) as ordinary processes of this machine."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from patience import wait_until

SERVICES = Path(__file__).resolve().parents[4] / "lab" / "services"
# The last line of a stand-in's start; from then on it has its signal handlers.
UP = (b"Start listen on", b"start worker processes", b"Waiting for the metadata lock")


@functools.cache
def build() -> Path:
    """Return the stand-ins' binary. A failed build is an error, never a skipped test."""
    done = subprocess.run([sys.executable, SERVICES / "build.py"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


def await_arguments(process: subprocess.Popen[Any]) -> None:
    """Wait until /proc shows the arguments of a new process, or until the process has ended.

    Popen returns when execve closes its pipe. The kernel sets the new arguments after that, so /proc/PID/cmdline is
    empty for a moment, a long one on a busy machine (begin_new_exec in fs/exec.c, create_elf_tables in
    fs/binfmt_elf.c).
    """
    shown = Path(f"/proc/{process.pid}/cmdline")
    wait_until("the arguments of a process", lambda: process.poll() is not None or shown.read_bytes())


@dataclass
class Standin:
    """A running stand-in, and the file of its standard error, if it is a file."""

    component: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def dumps(self) -> int:
        """Return the number of dumps in its log."""
        return self.log.read_bytes().count(b"goroutine profile: total ")

    def wait_for_dump(self) -> None:
        wait_until(f"a dump of {self.component}", lambda: self.dumps() > 0)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Machine:
    """A set of stand-ins, started from one folder and ended together."""

    folder: Path
    running: list[Standin] = field(default_factory=list)

    @property
    def binaries(self) -> str:
        return str(self.folder / "bin")

    def install(self, name: str) -> Path:
        """Copy the stand-ins' binary under a component's name. Return its path."""
        target = Path(self.binaries) / name
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copy(build(), target)
        return target

    def start(
        self,
        component: str,
        behaviour: str = "",
        arguments: tuple[str, ...] = (),
        stderr: int | IO[bytes] | None = None,
        mode: str = "ab",
        wait: bool = True,
        launcher: tuple[str, ...] = (),
        **options,
    ) -> Standin:
        """Start one, and wait until it has its handlers (known only when its log is the default file).

        It listens only when it is given a --port: its own may be taken on this machine.
        """
        if "--port" not in arguments:
            behaviour = f"http=off {behaviour}"
        log = self.folder / f"{component}-{len(self.running)}.log"
        with open(log, mode) as sink:
            process = subprocess.Popen(
                [*launcher, str(self.install(component)), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=sink if stderr is None else stderr,
                env={**os.environ, "STANDIN": behaviour},
                cwd=self.folder,
                **options,
            )
        standin = Standin(component, process, log)
        self.running.append(standin)
        await_arguments(process)
        if stderr is None and wait:
            wait_until(
                f"{component} to start", lambda: any(word in log.read_bytes() for word in UP) or not standin.alive
            )
            if not standin.alive:
                raise RuntimeError(f"{component} did not start: {log.read_bytes()!r}")
        return standin

    def stop(self) -> None:
        for standin in self.running:
            standin.stop()
