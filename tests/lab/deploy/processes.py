# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a few stand-ins as ordinary processes of this machine: no root, no Kubernetes.

    python3 tests/lab/deploy/processes.py start|stop|status --dir DIR [--binary FILE]

    DIR/opt/yunion/bin/<component>   the executable
    DIR/etc/<component>.conf         its configuration
    DIR/log/<name>.log               its standard error
    DIR/run/<name>.json              its pid and start time: a process is stopped only while both still match

`start` returns when every process is ready; if one is not, it stops all of them. `stop` ends exactly the processes that
`start` started; it is no error if none runs. `status` prints name and pid of those that run, one per line.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lablib.core import LabError, tail, wait_for
from services.build import BuildError, build

from deploy.expectations import READY_LINE
from deploy.images import native_program
from deploy.manifests import DATABASE_PASSWORD, Behaviour, behaviour_text

STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Process:
    """One process to start. name: of its log, default the component; needed for a second one of a component.

    port: of its HTTP side, 0 for any free one (its log has the number); default: it does not listen.
    lost: its standard error goes to /dev/null. native: no Go program, SIGUSR1 ends it.
    """

    component: str
    behaviour: Behaviour = field(default_factory=dict)
    name: str = ""
    lost: bool = False
    native: bool = False
    arguments: Sequence[str] = ()
    port: int | None = None

    @property
    def command_line(self) -> list[str]:
        """Return the arguments after its configuration file."""
        return [*self.arguments, *(() if self.port is None else ("--port", str(self.port)))]

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the environment of a service started by hand, with its behaviour."""
        behaviour = self.behaviour if self.port is not None else {"http": "off", **self.behaviour}
        return {"PATH": os.environ.get("PATH", os.defpath), "STANDIN": behaviour_text(behaviour)}

    @property
    def label(self) -> str:
        return self.name or self.component


@dataclass(frozen=True)
class Started:
    """Started process. start_time: in clock ticks since boot, as in /proc/PID/stat."""

    name: str
    component: str
    pid: int
    start_time: int
    binary: str
    log: str

    @property
    def alive(self) -> bool:
        return start_time(self.pid) == self.start_time


_children: dict[int, subprocess.Popen[bytes]] = {}  # child processes of this Python, by pid

# A cloud in trouble, small enough for a laptop.
DEMO = (
    Process("region", {"log_rate": 100, "workers": 8, "worker_queue": 120, "mutex_wait": 30}),
    Process("region", {"log_rate": 10}, name="region-2"),
    Process("keystone", {"log_rate": 20, "db_wait": 40}),
    Process("glance", {"log_rate": 5, "lock_wait": 25}),
    Process("host", {"log_rate": 5, "chan_wait": 12}),
    Process("host-deployer", {"log_rate": 1}),
    Process("scheduler", {"log_rate": 5}),  # has no dumper
    Process("notify", {"log_rate": 5}, lost=True),  # its dump would be lost
)


def start(directory: Path, fleet: Sequence[Process] = DEMO, binary: Path | None = None) -> list[Started]:
    """Start all, wait until they are ready, return them. If one fails, stop all and raise LabError."""
    if alive := running(directory):
        raise LabError(f"{directory}: {', '.join(each.name for each in alive)} already running; stop first")
    for folder in ("opt/yunion/bin", "etc", "log", "run"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    standin = binary or build()
    for component, native in {process.component: process.native for process in fleet}.items():
        install(executable(directory, component), native_program() if native else standin)
    try:
        started = [launch(directory, process) for process in fleet]
        for process, each in zip(fleet, started, strict=True):
            wait_for(f"{each.name} (pid {each.pid})", lambda p=process, e=each: is_ready(p, e))
    except BaseException:
        stop(directory)
        raise
    return started


def launch(directory: Path, process: Process) -> Started:
    """Start one process and record its identity."""
    program = executable(directory, process.component)
    config = directory / "etc" / f"{process.component}.conf"
    config.write_text(
        f"sql_connection: mysql+pymysql://{process.component}:{DATABASE_PASSWORD}@127.0.0.1/yunioncloud\n"
    )
    log = Path(os.devnull) if process.lost else directory / "log" / f"{process.label}.log"
    with open(log, "ab") as stderr:
        child = subprocess.Popen(
            [program, "--config", config, *process.command_line],
            cwd=directory,
            env=process.environment,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
    _children[child.pid] = child
    began = start_time(child.pid)
    if began is None:
        reap(child.pid)
        raise LabError(f"{process.label} ended at once{tail(None if process.lost else log)}")
    started = Started(process.label, process.component, child.pid, began, str(program), str(log))
    record(directory, process.label).write_text(json.dumps(dataclasses.asdict(started)))
    return started


def executable(directory: Path, component: str) -> Path:
    """Return the path of a component's executable."""
    return directory / "opt/yunion/bin" / component


def install(program: Path, content: Path | bytes) -> None:
    """Install an executable atomically."""
    fresh = program.with_name(f".{program.name}.{os.getpid()}")
    if isinstance(content, bytes):
        fresh.write_bytes(content)
    else:
        shutil.copyfile(content, fresh)
    fresh.chmod(0o755)
    fresh.replace(program)


def is_ready(process: Process, started: Started) -> bool:
    """Return whether the process has registered its signal traps, as far as can be known.

    A process without a log is ready if it catches SIGUSR1, which ends it before. A native one never catches it.
    """
    if not started.alive:
        raise LabError(f"ended{tail(None if process.lost else Path(started.log))}")
    if process.native:
        return os.path.realpath(f"/proc/{started.pid}/exe") == os.path.realpath(started.binary)
    if process.lost:
        return catches(started.pid, signal.SIGUSR1)
    return READY_LINE in Path(started.log).read_text(errors="replace")


def catches(pid: int, number: signal.Signals) -> bool:
    """Return whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    (mask,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(mask, 16) & 1 << number - 1)


def start_time(pid: int) -> int | None:
    """Return the start of a process, in clock ticks since boot; None if it does not exist or has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before may contain any character
    return None if state in "ZX" else int(fields[18])


def record(directory: Path, name: str) -> Path:
    """Return the file that records the process of this name."""
    return directory / "run" / f"{name}.json"


def recorded(directory: Path) -> Iterator[Started]:
    """Return all that were started, running or not."""
    for path in sorted((directory / "run").glob("*.json")):
        yield Started(**json.loads(path.read_text()))


def running(directory: Path) -> list[Started]:
    """Return those that still run."""
    return [each for each in recorded(directory) if each.alive]


def stop(directory: Path, seconds: float = STOP_SECONDS) -> list[Started]:
    """Stop all that were started and still run; return them. seconds: until a process is killed."""
    ended = []
    for each in recorded(directory):
        if end(each, seconds):
            ended.append(each)
        record(directory, each.name).unlink()
    return ended


def end(process: Started, seconds: float = STOP_SECONDS) -> bool:
    """End one process, by SIGKILL if necessary; False if it had already ended. The pidfd excludes a reused pid."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    with contextlib.closing(os.fdopen(handle)):
        if not process.alive:
            reap(process.pid)
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], seconds)[0]:
                reap(process.pid)
                return True
    raise LabError(f"{process.name} (pid {process.pid}) survives SIGKILL")


def reap(pid: int) -> None:
    """Reap the process if this Python started it; otherwise init does."""
    if child := _children.pop(pid, None):
        child.wait()


def main() -> None:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=["start", "stop", "status"])
    parser.add_argument("--dir", required=True, type=Path)
    parser.add_argument("--binary", type=Path, help="of the stand-ins; default: built from the sources")
    asked = parser.parse_args()
    directory = asked.dir.resolve()
    try:
        if asked.act == "start":
            shown = start(directory, binary=asked.binary)
        else:
            shown = stop(directory) if asked.act == "stop" else running(directory)
    except (LabError, BuildError) as failed:
        sys.exit(f"processes: {failed}")
    for each in shown:
        print(f"{each.name} {each.pid}")


if __name__ == "__main__":
    main()
