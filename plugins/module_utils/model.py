# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the collection as plain data: instances, processes, ledger rows.

Pure: nothing here does I/O or knows Ansible, Kubernetes or a transport.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from dataclasses import dataclass, field
from typing import Any, Tuple

from .logtext.timestamps import parse_rfc3339
from .reasons import Reason, Status, Verdict


class State(str, enum.Enum):
    """What an instance's container does, in one word."""

    RUNNING = "running"
    PENDING = "pending"
    WAITING = "waiting"
    INIT = "init"
    CRASH_LOOP = "crash_loop"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    NO_CONTAINER = "no_container"
    NODE_LOST = "node_lost"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True)
class Process:
    """One process that may be the component's, as /proc shows it.

    start_time is field 22 of /proc/PID/stat (clock ticks since boot): with the pid it names a process for good.
    same_container: proved by mount namespace or cgroup. stderr is the target of /proc/PID/fd/2.
    log_file names the option or file that sends the log (and so the dump) away from stderr, if any.
    state is the letter of State: in /proc/PID/status (of the main thread; a stop is of all threads), "" unknown;
    waits_in the kernel function that it sleeps in (/proc/PID/wchan), "" unknown. Both as they were when it was looked
    at.
    """

    pid: int
    start_time: int
    executable: str = ""
    argv0: str = ""
    same_container: bool = False
    same_by: str = ""
    ignored: int = 0
    caught: int = 0
    stderr: str = ""
    log_file: str = ""
    state: str = ""
    waits_in: str = ""


# Letters of State: in /proc/PID/status (proc_pid_status(5)) of a process that executes nothing.
STOPPED, TRACED, BLOCKED, ENDED = "T", "t", "D", ("Z", "X")


def state_words(process: Process) -> str:
    """Return what keeps a process from executing, e.g. "stopped (SIGSTOP)"; "" when it runs, sleeps or is not known."""
    if process.state == STOPPED:
        return "stopped (SIGSTOP)"
    if process.state == TRACED:
        return "stopped by a debugger"
    if process.state == BLOCKED:
        return "in uninterruptible sleep" + (f" in {process.waits_in}" if process.waits_in else "")
    return "a zombie" if process.state in ENDED else ""


# Why a part of a followed log was not seen.
STREAM_LOST, ROTATION_MISSED, SKIPPED, NOT_READABLE = "stream_lost", "rotation_missed", "skipped", "not_readable"
GAPS = (STREAM_LOST, ROTATION_MISSED, SKIPPED, NOT_READABLE)
# Namespace, component, name, container.
InstanceKey = Tuple[str, str, str, str]


@dataclass(frozen=True)
class Instance:
    """One running (or not running) copy of a component.

    name is the pod's name, or "<component>-<pid>" for a process outside of Kubernetes.
    ports are the container's declared TCP ports; started is an RFC 3339 time (UTC) or "". address is the pod's IP.
    last_end says how the container before this one ended ("OOMKilled, exit code 137"), last_started and last_ended
    from when to when it ran (RFC 3339).
    process is set by the host transport only, which finds the process at discovery.
    """

    cluster: str
    component: str
    name: str
    namespace: str = ""
    node: str = ""
    container: str = ""
    owner: str = ""
    ready: bool = False
    restarts: int = 0
    state: State = State.RUNNING
    state_detail: str = ""
    image: str = ""
    image_id: str = ""
    container_id: str = ""
    ports: tuple[int, ...] = ()
    started: str = ""
    read_only: bool = False
    address: str = ""
    last_end: str = ""
    last_started: str = ""
    last_ended: str = ""
    process: Process | None = None

    @property
    def key(self) -> InstanceKey:
        """What tells it from the others of its cluster, and stays the same when its container restarts."""
        return self.namespace, self.component, self.name, self.container

    @property
    def folders(self) -> list[str]:
        """Where in a bundle its artifacts lie."""
        return [self.cluster, self.component, self.name]

    def as_dict(self) -> dict[str, Any]:
        """Plain values only, for JSON; the process as a nested dict or None."""
        data = dataclasses.asdict(self)
        data["state"] = self.state.value
        data["ports"] = list(self.ports)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Instance:
        """The instance that as_dict() wrote. Unknown keys are ignored; ValueError when a needed one is missing."""
        known = {f.name for f in dataclasses.fields(cls)}
        values = {key: value for key, value in data.items() if key in known and value is not None}
        missing = [key for key in ("cluster", "component", "name") if not values.get(key)]
        if missing:
            raise ValueError("an instance lacks {}: {}".format(", ".join(missing), sorted(data)))
        try:
            values["state"] = State(values.get("state", State.RUNNING.value))
            values["ports"] = tuple(int(port) for port in values.get("ports", ()))
            if isinstance(values.get("process"), dict):
                of_process = {f.name for f in dataclasses.fields(Process)}
                values["process"] = Process(
                    **{key: values["process"][key] for key in of_process & set(values["process"])}
                )
        except TypeError as error:
            raise ValueError(f"not an instance: {error}") from error
        return cls(**values)


@dataclass(frozen=True)
class Workload:
    """A Deployment or DaemonSet of a component: how many replicas it wants and how many are ready."""

    cluster: str
    namespace: str
    kind: str
    name: str
    component: str
    desired: int
    ready: int
    read_only: bool = False


@dataclass(frozen=True)
class Artifact:
    """A file that a capture left: path relative to the bundle's root, size in bytes, sha256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class LedgerRow:
    """One row for every (instance x capture) that was asked for, whatever became of it.

    started is RFC 3339 UTC with milliseconds; duration is in seconds; details holds plain JSON values.
    """

    cluster: str
    namespace: str
    node: str
    component: str
    instance: str
    container: str
    capture: str
    sequence: int
    status: str
    reason: str
    message: str
    path: str = ""
    bytes: int = 0
    sha256: str = ""
    started: str = ""
    duration: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Any) -> LedgerRow:
        """The row that as_dict() wrote, possibly elsewhere. ValueError when it is not one."""
        try:
            entry = cls(**data)
            for f in dataclasses.fields(cls):
                if not isinstance(getattr(entry, f.name), _TYPES.get(f.name, str)):
                    raise ValueError(f"{f.name} is of another type")
            for key, kind in _TYPES_OF_DETAILS.items():
                if key in entry.details and not isinstance(entry.details[key], kind):
                    raise ValueError(f"{key} in its details is of another type")
            if not all(isinstance(text, str) for text in entry.details.get("version", {}).values()):
                raise ValueError("its version holds more than text")
            if Verdict(Reason(entry.reason), "").status.value != entry.status:
                raise ValueError("its status does not follow from its reason")
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a ledger row: {error}") from error
        return entry

    def as_dict(self) -> dict[str, Any]:
        # Of tens of thousands of rows, dataclasses.asdict() would be most of the work.
        return dict(vars(self))


# Of the fields of a row that are not text.
_TYPES: dict[str, Any] = {"sequence": int, "bytes": int, "duration": (int, float), "details": dict}
# Of what others read out of the details of a row.
_TYPES_OF_DETAILS = {"total": int, "goroutines": int, "groups": int, "parsed": str, "signal_sent": str, "version": dict}


def row(
    instance: Instance,
    capture: str,
    outcome: Verdict,
    sequence: int = 1,
    artifact: Artifact | None = None,
    started: str = "",
    duration: float = 0.0,
    details: dict[str, Any] | None = None,
) -> LedgerRow:
    """The ledger row of one capture of one instance."""
    return LedgerRow(
        cluster=instance.cluster,
        namespace=instance.namespace,
        node=instance.node,
        component=instance.component,
        instance=instance.name,
        container=instance.container,
        capture=capture,
        sequence=sequence,
        status=outcome.status.value,
        reason=outcome.reason.value,
        message=outcome.message,
        path=artifact.path if artifact else "",
        bytes=artifact.size if artifact else 0,
        sha256=artifact.sha256 if artifact else "",
        started=started,
        duration=round(duration, 3),
        details=details or {},
    )


def utc_text(moment: datetime.datetime) -> str:
    """RFC 3339 in UTC with milliseconds, e.g. 2026-01-02T03:04:05.678Z."""
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def utc_moment(text: str) -> datetime.datetime:
    """The moment that utc_text() wrote."""
    moment = parse_rfc3339(text)
    if moment is None:
        raise ValueError(f"not an RFC 3339 timestamp: {text!r}")
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)


def utc_now() -> datetime.datetime:
    """The time, with its zone."""
    return datetime.datetime.now(datetime.timezone.utc)


def count_by_status(rows: list[LedgerRow]) -> dict[str, int]:
    """How many rows have each status; every status is present, also with 0."""
    counts = {status.value: 0 for status in Status}
    for entry in rows:
        counts[entry.status] += 1
    return counts
