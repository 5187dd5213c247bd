# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machine: a set of namespaces with an init process, in which parts (daemons) run.

The control plane and every node are machines. If a machine's init is killed, the kernel ends every process in it,
containers included; its mounts and links are removed with the last of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import cgroups
from .core import LabError, tail, wait_for
from .process import Process, ns_pids

INIT = "init"
INIT_SCRIPT = Path(__file__).with_name("machine-init.sh")
NAMESPACES = ["--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup"]
# Joins the groups named in $0, then becomes the command.
JOIN = 'for group in $0; do echo $$ >"$group/cgroup.procs" || exit 125; done; exec "$@"'


@dataclass(frozen=True)
class Part:
    """Daemon of a machine: its command and its readiness check.

    `ready` is polled; it returns something true when the part serves.
    """

    name: str
    argv: list[str]
    ready: Callable[[], object] = field(compare=False)
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """One machine by its name, its control group and its directory (`/run/lab` inside)."""

    name: str
    group: str
    directory: Path

    @property
    def logs(self) -> Path:
        """Return the directory that the machine has as /var/log."""
        return self.directory / "log"

    def log(self, part: str) -> Path:
        """Return the log of a part."""
        return self.logs / f"{part}.log"

    def record(self, part: str) -> Path:
        """Return the pid file of a part."""
        return self.directory / "run" / f"{part}.json"

    def process(self, part: str) -> Process | None:
        """Return the recorded process of a part; it may have ended since."""
        return Process.load(self.record(part))

    @property
    def pid(self) -> int:
        """Return the host pid of the machine's init; LabError if it does not run."""
        init = self.process(INIT)
        if init is None or not init.alive():
            raise LabError(f"{self.name} does not run")
        return init.pid

    def join(self, group: str) -> list[str]:
        """Return a command prefix that moves the command into one of the machine's groups."""
        return ["sh", "-c", JOIN, " ".join(map(str, cgroups.directories(group)))]

    def enter(self, cwd: str = "/") -> list[str]:
        """Return a command prefix that runs the command inside the machine, as part of it."""
        target = str(self.pid)
        return [*self.join(f"{self.group}/{cgroups.SYSTEM}"), "nsenter", "-t", target, *NAMESPACES, f"--wd={cwd}", "--"]

    def boot(self, kube: Path) -> None:
        """Create the namespaces and the file systems; `kube` holds the Kubernetes binaries."""
        for inner in ("run", "log", "etc"):
            (self.directory / inner).mkdir(parents=True, exist_ok=True)
        self.logs.chmod(0o755)
        cgroups.create(self.group)
        cgroups.create(f"{self.group}/{cgroups.SYSTEM}")
        # The cgroup namespace is rooted at the machine's group; the daemons then move one level down.
        argv = [
            *self.join(self.group), "setsid", "--fork", "unshare", "--cgroup",
            *self.join(f"{self.group}/{cgroups.SYSTEM}"), "unshare", "--fork", "--mount-proc", *NAMESPACES[:-1],
            "sh", str(INIT_SCRIPT), str(self.directory), str(kube), self.name,
        ]  # fmt: skip
        self.launch(argv, INIT)
        ready = self.directory / "ready"

        def booted() -> bool:
            if not cgroups.members(self.group):
                raise LabError("it ended before it was ready")
            return ready.exists()

        wait_for(f"start of {self.name}", booted, log=self.log(INIT))
        self.inside(1).save(self.record(INIT))
        cgroups.delegate(self.group)  # v2 permits it only after its processes have moved one level down

    def launch(self, argv: list[str], part: str, env: dict[str, str] | None = None) -> None:
        """Run a command that leaves a daemon behind, and append the output of both to the part's log."""
        with open(self.log(part), "ab") as log:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", check=False,
                env={**clean_environment(), **(env or {})},
            )  # fmt: skip
        if done.returncode:
            raise LabError(f"cannot start {part} in {self.name}{tail(self.log(part))}")

    def inside(self, pid: int) -> Process:
        """Return the process that has this pid inside the machine (containers are one namespace deeper)."""
        for member in cgroups.members(self.group):
            seen = ns_pids(member)
            if len(seen) == len(ns_pids(os.getpid())) + 1 and seen[-1] == pid:
                found = Process.find(member)
                if found:
                    return found
        raise LabError(f"{self.name} has no process {pid}")

    def start(self, part: Part) -> None:
        """Start a part and wait until it is ready; if it ends before, raise an error with its log."""
        told = self.directory / "run" / f"{part.name}.pid"
        told.unlink(missing_ok=True)
        # setsid makes the machine's init its parent; the shell prints its pid inside.
        tell = 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec "$@"'
        inside = ["setsid", "--fork", "sh", "-c", tell, f"/run/lab/run/{part.name}.pid", *part.argv]
        self.launch([*self.enter(), *inside], part.name, part.env)
        wait_for(f"start of {part.name} in {self.name}", told.exists, log=self.log(part.name))
        try:
            process = self.inside(int(told.read_text()))
        except LabError as failed:
            raise LabError(f"{part.name} ended at once: {failed}{tail(self.log(part.name))}") from failed
        process.save(self.record(part.name))

        def ready() -> object:
            if not process.alive():
                raise LabError("it ended")
            return part.ready()

        wait_for(f"{part.name} in {self.name}", ready, log=self.log(part.name))

    def stop(self, part: str, *, grace: float = 10) -> None:
        """Stop a part: SIGTERM, after `grace` seconds SIGKILL; no error if it does not run."""
        process = self.process(part)
        if process:
            process.send(signal.SIGCONT)
            process.send(signal.SIGTERM)
            try:
                process.wait_gone(part, seconds=grace)
            except LabError:
                process.send(signal.SIGKILL)
                process.wait_gone(part)
        self.record(part).unlink(missing_ok=True)


def clean_environment() -> dict[str, str]:
    """Return the environment of daemons: a path of system programs, no proxies, no secrets."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
    }
