# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run programs on this machine with bounded output and time, and leave no process behind.

A container's binary is never run on the machine itself, which an untrusted image could then control. The container
runtime's own tool runs it inside the container.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Sequence

from ...deadline import Deadline, DeadlineExceeded
from ...model import Process
from ...reasons import CaptureError, Reason, peer_text
from .procfs import ProcFs
from .rights import Rights

OUTPUT_BYTES = 1 << 20
VERSION_SECONDS = 10.0
ERROR_KEPT = 300
CHUNK = 1 << 16
# Ansible's PATH on a node often lacks the folders of the tools.
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": SEARCH_PATH, "LC_ALL": "C"}


@dataclass(frozen=True)
class ProgramResult:
    """The exit code of a program (None if it was stopped for too much output) and its output."""

    code: int | None
    output: bytes
    errors: bytes


@dataclass(frozen=True)
class RuntimeTool:
    """A tool that can run a command inside a container, and the socket that it needs.

    arguments: with the fields {socket}, {container}, {unique} and {seconds}; the command follows them.
    """

    program: str
    socket: str
    arguments: tuple[str, ...]

    def command(self, program: str, container: str, unique: str, seconds: int) -> list[str]:
        values = {"socket": self.socket, "container": container, "unique": unique, "seconds": seconds}
        return [program, *(argument.format(**values) for argument in self.arguments)]


_CRICTL = ("--runtime-endpoint", "unix://{socket}", "exec", "--sync", "--timeout", "{seconds}", "{container}")
_CTR = ("--address", "{socket}", "--namespace", "k8s.io", "tasks", "exec", "--exec-id", "{unique}", "{container}")
_CONTAINERD, _K3S = "/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock"
RUNTIME_TOOLS = (
    RuntimeTool("crictl", _CONTAINERD, _CRICTL),
    RuntimeTool("crictl", _K3S, _CRICTL),
    RuntimeTool("crictl", "/run/crio/crio.sock", _CRICTL),
    RuntimeTool("crictl", "/run/cri-dockerd.sock", _CRICTL),
    RuntimeTool("ctr", _CONTAINERD, _CTR),
    RuntimeTool("ctr", _K3S, _CTR),
    RuntimeTool("docker", "/run/docker.sock", ("--host", "unix://{socket}", "exec", "{container}")),
)


def find_program(name: str) -> str | None:
    """Return the path of a program of this machine, or None."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), SEARCH_PATH]))


def run_bounded(arguments: Sequence[str], deadline: Deadline, rights: Rights | None = None) -> ProgramResult:
    """Run a program until its end, OUTPUT_BYTES of output, or the deadline. Raise DeadlineExceeded or OSError."""
    deadline.check()
    program = subprocess.Popen(
        list(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=ENVIRONMENT,
        start_new_session=True,
        **_as_user(rights),
    )
    try:
        return _read_both(program, deadline)
    finally:
        stop(program)


def _read_both(program: subprocess.Popen[bytes], deadline: Deadline) -> ProgramResult:
    output, errors = b"", b""
    waiting = select.poll()
    standard, error = (stream.fileno() for stream in (program.stdout, program.stderr) if stream is not None)
    open_ends = {standard, error}
    for descriptor in open_ends:
        waiting.register(descriptor, select.POLLIN)
    while open_ends:
        ready = waiting.poll(max(1.0, deadline.remaining() * 1000))
        deadline.check()
        for descriptor, _event in ready:
            data = os.read(descriptor, CHUNK)
            if not data:
                waiting.unregister(descriptor)
                open_ends.discard(descriptor)
            elif descriptor == standard:
                output += data
            else:
                errors = (errors + data)[:ERROR_KEPT]
        if len(output) >= OUTPUT_BYTES:
            return ProgramResult(None, output[:OUTPUT_BYTES], errors)
    try:
        return ProgramResult(program.wait(deadline.remaining()), output, errors)
    except subprocess.TimeoutExpired as still_there:
        raise DeadlineExceeded(deadline.scope) from still_there


def stop(program: subprocess.Popen[bytes]) -> None:
    """Terminate a program. SIGTERM comes first, since the runtimes' tools pass it on into the container."""
    for stream in (program.stdout, program.stderr):
        if stream is not None:
            stream.close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if program.poll() is not None:
            return
        os.killpg(program.pid, number)
        try:
            program.wait(1.0)
        except subprocess.TimeoutExpired:
            continue


def _as_user(rights: Rights | None) -> dict[str, Any]:
    """Return arguments for Popen. Only root can become another user."""
    if rights is None or os.geteuid() != 0 or (rights.uid, rights.gid, rights.groups) == (0, 0, ()):
        return {}
    if sys.version_info >= (3, 9):
        return {"user": rights.uid, "group": rights.gid, "extra_groups": list(rights.groups)}

    def become() -> None:
        os.setgroups(rights.groups)
        os.setgid(rights.gid)
        os.setuid(rights.uid)

    return {"preexec_fn": become}


def own_version(procfs: ProcFs, process: Process, deadline: Deadline) -> bytes:
    """Return the output for -v of the binary of a process outside of containers, run as the process's user."""
    try:
        known = os.stat(process.executable)
        running = os.stat(procfs.path(process.pid, "exe"))
    except OSError as error:
        raise CaptureError(Reason.NO_VERSION, str(error)) from error
    if not os.path.samestat(known, running):
        raise CaptureError(Reason.NO_VERSION, f"{process.executable} is no longer the file that the process runs")
    try:
        ran = run_bounded([process.executable, "-v"], deadline, procfs.rights(process.pid))
    except OSError as error:
        raise CaptureError(Reason.NO_VERSION, str(error)) from error
    if not ran.output and ran.code != 0:
        raise CaptureError(Reason.NO_VERSION, f"exit code {ran.code}: {_text(ran.errors)}")
    return ran.output


def version_inside(process: Process, container_id: str, unique: str, deadline: Deadline) -> bytes:
    """Return the binary's output for -v inside its container, by the first available tool that succeeds."""
    problems = []
    for tool in RUNTIME_TOOLS:
        program = find_program(tool.program)
        if program is None or not os.path.exists(tool.socket):
            continue
        seconds = max(1, int(deadline.remaining()))
        command = [*tool.command(program, container_id, unique, seconds), process.executable, "-v"]
        try:
            ran = run_bounded(command, deadline)
        except OSError as error:
            problems.append(f"{tool.program}: {error}")
            continue
        if ran.code == 0:
            return ran.output
        problems.append(f"{tool.program}: exit code {ran.code}, {_text(ran.errors)}")
    raise CaptureError(Reason.NO_RUNTIME_CLI, "; ".join(problems))


def _text(data: bytes) -> str:
    return peer_text(data.decode("utf-8", "replace"), ERROR_KEPT)
