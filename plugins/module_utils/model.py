# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data model of the collection: instances, processes, workloads, artifacts, ledger rows.

Pure: nothing here does I/O or knows Ansible, Kubernetes or a transport.
"""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass, field
from typing import Any, Tuple

from .logtext.timestamps import parse_rfc3339
from .reasons import Reason, Status, Verdict
from .vocabulary import State


@dataclass(frozen=True)
class Process:
    """One process that may be the component's, as /proc shows it.

    start_time: field 22 of /proc/PID/stat (clock ticks since boot); pid and start_time identify a process.
    same_container: proved by mount namespace or cgroup. stderr: the target of /proc/PID/fd/2. log_file: the option or
    file that redirects the log, and so the dump, away from stderr; "" if there is none. state: the letter of State: in
    /proc/PID/status (of the main thread; a stop applies to all threads), "" if unknown. waits_in: the kernel function
    in which it sleeps (/proc/PID/wchan), "" if unknown. state and waits_in are as of the probe.
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


# Letters of State: in /proc/PID/status (proc_pid_status(5)) for processes that do not execute.
STOPPED, TRACED, BLOCKED, ENDED = "T", "t", "D", ("Z", "X")


def state_words(process: Process) -> str:
    """Return why a process does not execute, e.g. "stopped (SIGSTOP)"; "" if it runs, sleeps or is unknown."""
    if process.state == STOPPED:
        return "stopped (SIGSTOP)"
    if process.state == TRACED:
        return "stopped by a debugger"
    if process.state == BLOCKED:
        return "in uninterruptible sleep" + (f" in {process.waits_in}" if process.waits_in else "")
    return "a zombie" if process.state in ENDED else ""


# Namespace, component, name, container.
InstanceKey = Tuple[str, str, str, str]


@dataclass(frozen=True)
class Instance:
    """One instance of a component, running or not.

    name: the pod's name, or "<component>-<pid>" for a process outside of Kubernetes. ports: the container's declared
    TCP ports. started: RFC 3339 (UTC) or "". address: the pod's IP. last_end: how the previous container ended
    ("OOMKilled, exit code 137"). last_started, last_ended: when it ran (RFC 3339). process: set by the host transport
    only, which finds the process at discovery.
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
        """Identity within the cluster; stable across restarts."""
        return self.namespace, self.component, self.name, self.container

    @property
    def folders(self) -> list[str]:
        """Path of its artifacts in a bundle."""
        return [self.cluster, self.component, self.name]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; the process is a nested dict or None."""
        data = dataclasses.asdict(self)
        data["state"] = self.state.value
        data["ports"] = list(self.ports)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Instance:
        """Return the instance that as_dict() wrote. Unknown keys are ignored; ValueError if a needed one is missing."""
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
    """A Deployment or DaemonSet of a component, with its desired and ready replicas."""

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
    """A file written by a capture. path: relative to the bundle's root. size: in bytes. sha256: in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class LedgerRow:
    """The result of one requested capture of one instance. Every requested capture has a row.

    started: RFC 3339 UTC with milliseconds. duration: in seconds. details: plain JSON values.
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
        """Return the row that as_dict() wrote, possibly on another machine. ValueError if it is not one."""
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
        # With tens of thousands of rows, dataclasses.asdict() would take most of the time.
        return dict(vars(self))


# Types of the fields that are not text.
_TYPES: dict[str, Any] = {"sequence": int, "bytes": int, "duration": (int, float), "details": dict}
# Types of the details that other modules read.
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
    """Return the ledger row of one capture of one instance."""
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


def place_row(cluster: str, namespace: str, component: str, capture: str, outcome: Verdict) -> LedgerRow:
    """Return the ledger row about a place rather than an instance, with the present time."""
    nothing = Instance(cluster=cluster, component=component, name="", namespace=namespace)
    return row(nothing, capture, outcome, started=utc_text(utc_now()))


def utc_text(moment: datetime.datetime) -> str:
    """Format a time as RFC 3339 in UTC with milliseconds, e.g. 2026-01-02T03:04:05.678Z."""
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def utc_moment(text: str) -> datetime.datetime:
    """Parse the text that utc_text() wrote."""
    moment = parse_rfc3339(text)
    if moment is None:
        raise ValueError(f"not an RFC 3339 timestamp: {text!r}")
    # A float of seconds is not exact; rounding restores the millisecond that was written.
    return datetime.datetime.fromtimestamp(0, datetime.timezone.utc) + datetime.timedelta(
        milliseconds=round(moment * 1000)
    )


def utc_now() -> datetime.datetime:
    """Return the current time in UTC."""
    return datetime.datetime.now(datetime.timezone.utc)


def count_by_status(rows: list[LedgerRow]) -> dict[str, int]:
    """Count the rows of each status; every status is present, also with 0."""
    counts = {status.value: 0 for status in Status}
    for entry in rows:
        counts[entry.status] += 1
    return counts
