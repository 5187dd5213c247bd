# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for a node's container runtime and kubelet, as far as the host transport sees them.

Stand-ins run in real cgroups with the names that a kubelet gives them, and their standard error goes through a pipe
into a log file in the CRI format, which is rotated as the kubelet does. It takes root, for the cgroups.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import secrets
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.host.containers import NodePaths
from standins import UP, Machine, Standin

from patience import wait_until

CGROUPS = Path("/sys/fs/cgroup")
CHUNK = 16 << 10
RUNS = os.geteuid() == 0 and os.access(CGROUPS, os.W_OK)
WHY_NOT = "takes root and cgroups that can be written"


def cgroup_base() -> Path:
    """Return the folder for cgroups: the memory hierarchy of version 1, else the unified one."""
    memory = CGROUPS / "memory"
    return memory if (memory / "cgroup.procs").exists() else CGROUPS


def cri_line(text: bytes, whole: bool, stream: bytes = b"stderr") -> bytes:
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()
    return b"%s %s %s %s\n" % (stamp, stream, b"F" if whole else b"P", text)


def docker_line(text: bytes, whole: bool, stream: bytes = b"stderr") -> bytes:
    record = {"log": text.decode("utf-8", "replace") + ("\n" if whole else ""), "stream": stream.decode(), "time": "x"}
    return json.dumps(record).encode() + b"\n"


class LogWriter:
    """Writer of a CRI log file from a pipe, one record per line, with rotation on request."""

    def __init__(self, pipe: int, path: Path, record=cri_line) -> None:
        self.path = path
        self._record = record
        self._pipe = pipe
        self._lock = threading.Lock()
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed by its thread)
        self._numbers = itertools.count(1)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        rest = b""
        while data := os.read(self._pipe, CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._write(line)
            while len(rest) >= CHUNK:
                self._put(self._record(rest[:CHUNK], whole=False))
                rest = rest[CHUNK:]
        os.close(self._pipe)
        self._file.close()

    def _write(self, line: bytes) -> None:
        for start in range(0, max(len(line), 1), CHUNK):
            self._put(self._record(line[start : start + CHUNK], whole=start + CHUNK >= len(line)))

    def _put(self, record: bytes) -> None:
        with self._lock:
            self._file.write(record)

    def rotate(self) -> None:
        """Rotate as the kubelet does: rename the old file and create a new one."""
        with self._lock:
            self.path.rename(f"{self.path}.20260102-03040{next(self._numbers)}")
            self._file.close()
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115

    def wait(self) -> None:
        self._thread.join()


@dataclass
class Contained:
    """A stand-in in a container, with its files on the node."""

    standin: Standin
    pod: str
    container_id: str
    cgroup: Path
    log: LogWriter

    @property
    def pid(self) -> int:
        return self.standin.pid


@dataclass
class Node:
    """A node that starts stand-ins in containers."""

    machine: Machine
    parent: str = field(default_factory=lambda: f"cloudpods-test-{secrets.token_hex(4)}")
    running: list[Contained] = field(default_factory=list)

    @property
    def layout(self) -> NodePaths:
        folders = {name: str(self.machine.folder / name) for name in ("container_logs", "pod_logs", "docker")}
        for folder in folders.values():
            os.makedirs(folder, exist_ok=True)
        return NodePaths(docker_config=str(self.machine.folder / "daemon.json"), **folders)

    def start(
        self, component: str, behaviour: str = "", container: str = "", restarts: int = 0, **options
    ) -> Contained:
        container_id, pod_uid = secrets.token_hex(32), str(uuid.uuid4())
        pod = f"default-{component}-{len(self.running)}"
        cgroup = cgroup_base() / self.parent / "kubepods" / "besteffort" / f"pod{pod_uid}" / container_id
        cgroup.mkdir(parents=True)
        folder = Path(self.layout.pod_logs) / f"onecloud_{pod}_{pod_uid}" / (container or component)
        folder.mkdir(parents=True)
        log_file = folder / f"{restarts}.log"
        link = f"{pod}_onecloud_{container or component}-{container_id}.log"
        (Path(self.layout.container_logs) / link).symlink_to(log_file)
        ours, theirs = os.pipe()
        log = LogWriter(ours, log_file)
        enter = ("sh", "-c", f'echo $$ > {cgroup}/cgroup.procs && exec "$@"', "sh")
        try:
            standin = self.machine.start(component, behaviour, stderr=theirs, launcher=enter, **options)
        finally:
            os.close(theirs)
        contained = Contained(standin, pod, container_id, cgroup, log)
        self.running.append(contained)
        wait_until(
            f"{component} to start", lambda: any(word in log_file.read_bytes() for word in UP) or not standin.alive
        )
        return contained

    def stop(self) -> None:
        for contained in self.running:
            contained.standin.stop()
            contained.log.wait()
        top = cgroup_base() / self.parent
        for folder, _below, _files in os.walk(top, topdown=False):
            # The kernel needs a moment to notice that the last process has ended.
            wait_until(f"{folder} to be empty", lambda folder=folder: _removed(folder))


def _removed(folder: str) -> bool:
    with contextlib.suppress(OSError):
        os.rmdir(folder)
    return not os.path.exists(folder)
