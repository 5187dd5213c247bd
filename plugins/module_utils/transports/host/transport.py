# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transport to the instances on this machine: found in /proc, followed in their log files. Needs no API server.

Standard library only, Python >= 3.7: this runs on nodes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import time
from typing import Sequence, Tuple

from ...catalog import BINARY_DIR, Component, Selection, binary_paths, component_of
from ...deadline import Deadline
from ...logtext.timestamps import utc
from ...model import Instance, Process, Workload
from ...reasons import CaptureError, Reason, verdict
from ...vocabulary import State
from .. import http_client as http
from ..base import (
    Discovery,
    HttpAnswer,
    HttpTarget,
    LogStream,
    ProbeFacts,
    ProcessSession,
    Sink,
    Transport,
    sort_instances,
)
from ..follow import InstanceLookup, LogFollower
from .containers import Containers, NodePaths, Placement, memory_room, placement_of
from .follow import HostLogFollower
from .journal import NORMAL_TIMES, JournalPosition, JournalTimes
from .log_files import ContainerLog, FilePosition, HostLogPosition, LogFiles, StderrFile, describe_sink
from .log_tail import read_tail
from .prefixed_log_files import PrefixedLogFiles
from .procfs import ProcFs, translated, without_deleted
from .safe_open import is_regular
from .session import HostSession, same_process
from .sockets import connect_to
from .trust import Trust

# The operator's init containers run the service itself with this option (cloudpods-operator, component.go).
INIT_OPTION = "--exit-after-db-init"
DEFAULT_PATHS = NodePaths()
# Untrusted processes that are listed, at most; the others are counted.
MAX_UNTRUSTED = 100
Key = Tuple[str, str, str, str]


class HostTransport(Transport):
    """Transport to this machine. node: its name, by default the host name. cluster: by default node."""

    name = "host"
    follows_files = True
    sees_processes = True

    def __init__(
        self,
        cluster: str = "",
        binary_dirs: Sequence[str] = (BINARY_DIR,),
        node: str = "",
        paths: NodePaths = DEFAULT_PATHS,
        max_untrusted: int = MAX_UNTRUSTED,
        journal_times: JournalTimes = NORMAL_TIMES,
    ) -> None:
        self.machine = node or os.uname().nodename
        self.cluster = cluster or self.machine
        self._binary_dirs = list(binary_dirs)
        self._node_paths = paths
        self._max_untrusted = max_untrusted
        self._journal_times = journal_times
        self._procfs = ProcFs(paths.proc)
        self._trust = Trust(self._procfs, paths.cgroups)
        self._own_container: str | None = None
        self._positions: dict[Key, HostLogPosition] = {}

    def close(self) -> None:
        while self._positions:
            self._positions.popitem()[1].close()

    def discover(self, selection: Selection, deadline: Deadline) -> Discovery:
        found = Discovery(machine=self.machine)
        components: dict[str, Component] = {}
        for component in selection.components:
            components.update((path, component) for path in self._paths(component))
        containers = Containers(self._node_paths)
        instances: dict[Key, Instance] = {}
        unreadable = untrusted = 0
        with translated():
            for pid in self._procfs.pids():
                deadline.check()
                try:
                    instance = self._find(pid, components, containers, deadline)
                except PermissionError:
                    unreadable += 1
                    continue
                if instance is None:
                    continue
                untrusted += instance.state is State.UNTRUSTED
                if instance.state is not State.UNTRUSTED or untrusted <= self._max_untrusted:
                    # The session lists further processes of the same container for signal_policy.py.
                    instances.setdefault(_key(instance), instance)
        if unreadable:
            text = f"{unreadable} processes cannot be inspected; root is needed (become: true)"
            found.problems.append((self.machine, verdict(Reason.FORBIDDEN, text)))
        if untrusted > self._max_untrusted:
            text = f"{untrusted} processes, of which {self._max_untrusted} are listed"
            found.problems.append((self.machine, verdict(Reason.UNTRUSTED, text)))
        found.instances = sort_instances(list(instances.values()))
        return found

    def _find(
        self, pid: int, components: dict[str, Component], containers: Containers, deadline: Deadline
    ) -> Instance | None:
        """Return the instance of this process; None if it is no service or ends meanwhile."""
        try:
            path = self._procfs.runs(pid, components)
            if not path:
                return None
            distrust = self._reason_to_distrust(pid, deadline)
            if distrust:
                return self._untrusted(pid, components[path], distrust)
            return self._instance(pid, components[path], containers)
        except (FileNotFoundError, ProcessLookupError):
            return None

    def _reason_to_distrust(self, pid: int, deadline: Deadline) -> str:
        """Return why a process is not trusted to be a service, or "".

        An ordinary user may not inspect it and gets "": with its own rights it can read nothing that it should not.
        """
        try:
            return self._trust.reason_to_distrust(pid, self._placement(pid), deadline)
        except PermissionError as error:
            return f"it cannot be inspected ({error})" if os.geteuid() == 0 else ""

    def _untrusted(self, pid: int, component: Component, distrust: str) -> Instance:
        """Return the instance of a process that imitates a service. Nothing that it claims is used."""
        return Instance(
            cluster=self.cluster,
            component=component.name,
            name=f"{component.name}-{pid}",
            node=self.machine,
            state=State.UNTRUSTED,
            state_detail=f"process {pid}: {distrust}",
            process=Process(pid, self._procfs.start_time(pid)),
        )

    def _paths(self, component: Component) -> list[str]:
        return binary_paths(component, self._binary_dirs)

    def _placement(self, pid: int) -> Placement:
        """Return the container of a process. The container that this runs in counts as the machine."""
        if self._own_container is None:
            self._own_container = placement_of(self._procfs.own_cgroup()).container_id
        placement = placement_of(self._procfs.cgroup(pid))
        return Placement() if placement.container_id == self._own_container else placement

    def _instance(self, pid: int, component: Component, containers: Containers) -> Instance:
        placement = self._placement(pid)
        names = containers.names_of(placement, component)
        process = self._look_at(pid, component, placement.container_id)
        in_init = INIT_OPTION in self._procfs.arguments_in_time(pid)
        return Instance(
            cluster=self.cluster,
            component=component.name,
            name=names.pod or f"{component.name}-{pid}",
            namespace=names.namespace,
            node=self.machine,
            container=names.container,
            restarts=names.restarts,
            state=State.INIT if in_init else State.RUNNING,
            state_detail=f"process {pid} initialises the database" if in_init else "",
            image=names.image,
            image_id=names.image_id,
            container_id=placement.container_id,
            started=self._started(process),
            process=process,
        )

    def _look_at(self, pid: int, component: Component, container_id: str) -> Process:
        configs = [component.config] if component.config else []
        return self._procfs.process(pid, "cgroup" if container_id else "process", configs)

    def _started(self, process: Process) -> str:
        moment = self._procfs.boot_time() + process.start_time / os.sysconf("SC_CLK_TCK")
        return utc(moment)

    def open_log(self, instance: Instance, deadline: Deadline) -> LogStream:
        position = self._position(instance, deadline)
        older = self._positions.pop(_key(instance), None)
        if older is not None:
            older.close()
        self._positions[_key(instance)] = position
        return position.follow(deadline)

    def reopen_log(self, instance: Instance, since: datetime.datetime, deadline: Deadline) -> LogStream:
        # The position where open_log() began is before any moment that can be requested.
        del since
        position = self._positions.get(_key(instance))
        if position is None:
            raise CaptureError(Reason.LOG_UNAVAILABLE, "it was not followed before")
        return position.follow(deadline)

    def _position(self, instance: Instance, deadline: Deadline) -> HostLogPosition:
        deadline.check()
        process = _process_of(instance)
        with translated(Reason.LOG_UNAVAILABLE):
            if not self._procfs.is_alive(process):
                raise CaptureError(Reason.GONE, f"process {process.pid} has ended")
            link = self._procfs.stderr(process.pid)
            if link.startswith("socket:"):
                return JournalPosition(self._procfs, process, deadline, self._journal_times)
            return FilePosition(self._log_files(instance, process, link))

    def _log_files(self, instance: Instance, process: Process, link: str) -> LogFiles:
        if is_regular(self._procfs.path(process.pid, "fd", "2")):
            return StderrFile(self._procfs, process)
        if not (instance.container_id and link.startswith("pipe:")):
            raise CaptureError(Reason.STDERR_LOST, f"stderr of process {process.pid} is {describe_sink(link)}")
        placement = self._placement(process.pid)
        log_file = Containers(self._node_paths).names_of(placement, component_of(instance.component)).log_file
        if not log_file:
            places = f"{self._node_paths.pod_logs} or {self._node_paths.docker}"
            raise CaptureError(
                Reason.LOG_UNAVAILABLE, f"container {placement.container_id} has no log file below {places}"
            )
        return ContainerLog(self._procfs, process, log_file)

    def read_log(self, instance: Instance, seconds: int, deadline: Deadline, max_bytes: int) -> bytes:
        deadline.check()
        process = _process_of(instance)
        since = time.time() - seconds
        with translated(Reason.LOG_UNAVAILABLE):
            if not self._procfs.is_alive(process):
                raise CaptureError(Reason.GONE, f"process {process.pid} has ended")
            source = self._source(instance, deadline)
            if isinstance(source, JournalPosition):
                return source.read_tail(since, deadline, max_bytes)
            return read_tail(source, since, deadline, max_bytes)

    def follow_log(self, instance: Instance, seconds: int, look: InstanceLookup, deadline: Deadline) -> LogFollower:
        return HostLogFollower(instance, seconds, look, self._source, deadline)

    def _source(self, instance: Instance, deadline: Deadline) -> LogFiles | JournalPosition:
        """Return the log: its own files, or the target of its standard error. Raise CaptureError."""
        process = _process_of(instance)
        with translated(Reason.LOG_UNAVAILABLE):
            if process.log_file:
                config = component_of(instance.component).config
                prefix = self._procfs.log_prefix(process.pid, [config] if config else [])
                if not prefix:
                    raise CaptureError(Reason.LOG_UNAVAILABLE, f"its path is no longer set by the {process.log_file}")
                return PrefixedLogFiles(self._procfs, process, prefix)
            link = self._procfs.stderr(process.pid)
            if link.startswith("socket:"):
                return JournalPosition(self._procfs, process, deadline, self._journal_times)
            return self._log_files(instance, process, link)

    def _exchange(
        self, instance: Instance, target: HttpTarget, deadline: Deadline, max_bytes: int, sink: Sink
    ) -> HttpAnswer:
        connect = connect_to(self._procfs, _process_of(instance), target.port)
        tls = http.unverified() if target.scheme == "https" else None
        headers = {"Host": "localhost"}
        return http.get(connect, target, deadline, max_bytes, tls, headers, sink=sink)

    def certificate(self, instance: Instance, target: HttpTarget, deadline: Deadline) -> bytes | None:
        if target.scheme != "https":
            return None
        return http.certificate(connect_to(self._procfs, _process_of(instance), target.port), deadline)

    def workloads(self, selection: Selection, deadline: Deadline) -> list[Workload]:
        del selection, deadline
        return []

    def open_process(self, instance: Instance, deadline: Deadline) -> ProcessSession:
        deadline.check()
        process = _process_of(instance)
        component = component_of(instance.component)
        with translated():
            if instance.container_id:
                facts = self._facts_of_container(instance.container_id, component, deadline)
            else:
                distrust = self._reason_to_distrust(process.pid, deadline)
                if distrust:
                    raise CaptureError(Reason.UNTRUSTED, f"process {process.pid}: {distrust}")
                facts = ProbeFacts((_readable_here(self._look_at(process.pid, component, "")),))
        if not any(same_process(process, seen) for seen in facts.candidates):
            raise CaptureError(Reason.GONE, f"process {process.pid} has ended")
        return HostSession(self._procfs, instance, facts, deadline)

    def _facts_of_container(self, container_id: str, component: Component, deadline: Deadline) -> ProbeFacts:
        candidates, impostors = [], []
        cgroup = ""
        for pid in self._procfs.pids():
            deadline.check()
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                path = self._procfs.runs(pid, self._paths(component))
                if path is None or self._placement(pid).container_id != container_id:
                    continue
                if not path or self._reason_to_distrust(pid, deadline):
                    impostors.append(pid)
                    continue
                candidates.append(_readable_here(self._look_at(pid, component, container_id)))
                cgroup = self._procfs.cgroup(pid)
        return ProbeFacts(tuple(candidates), tuple(impostors), memory_room(self._node_paths, cgroup))


def _readable_here(process: Process) -> Process:
    """Return the process with a readable stderr path. On the machine itself, deleted files can still be read."""
    return dataclasses.replace(process, stderr=without_deleted(process.stderr))


def _process_of(instance: Instance) -> Process:
    if instance.process is None:
        raise CaptureError(Reason.NO_PROCESS, "the instance was not found by the host transport")
    if instance.state is State.UNTRUSTED:
        raise CaptureError(Reason.UNTRUSTED, instance.state_detail)
    return instance.process


def _key(instance: Instance) -> Key:
    return instance.component, instance.namespace, instance.name, instance.container_id
