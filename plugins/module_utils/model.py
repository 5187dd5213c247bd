# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the collection as plain data: instances, verdicts, ledger rows.

Pure: nothing here does I/O or knows Ansible, Kubernetes or a transport.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from dataclasses import dataclass, field
from typing import Any, Tuple


class Status(str, enum.Enum):
    """What became of a capture that was asked for."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    REFUSED = "refused"
    FAILED = "failed"
    SKIPPED = "skipped"


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


class Reason(str, enum.Enum):
    """Why a capture has its status. The vocabulary is closed: STATUS_OF maps each word to its one status."""

    PROVEN = "proven"
    RECORDED = "recorded"
    SAME_IMAGE = "same_image"
    CUT_SHORT = "cut_short"
    STREAM_ENDED = "stream_ended"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    NEVER_DUMPS = "never_dumps"
    RELOADS = "reloads"
    MAY_DIE = "may_die"
    PENDING = "pending"
    NOT_STARTED = "not_started"
    STUCK_IN_INIT = "stuck_in_init"
    CRASH_LOOP = "crash_loop"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    NODE_LOST = "node_lost"
    WRONG_CONTAINER = "wrong_container"
    NO_SHELL = "no_shell"
    NO_PROCESS = "no_process"
    SEVERAL_PROCESSES = "several_processes"
    USR1_IGNORED = "usr1_ignored"
    USR1_NOT_CAUGHT = "usr1_not_caught"
    STDERR_LOST = "stderr_lost"
    PROCESS_CHANGED = "process_changed"
    NO_MEMORY_ROOM = "no_memory_room"
    NO_RUNTIME_CLI = "no_runtime_cli"
    NO_DUMP = "no_dump"
    NO_VERSION = "no_version"
    TIMEOUT = "timeout"
    FORBIDDEN = "forbidden"
    UNREACHABLE = "unreachable"
    GONE = "gone"
    LOG_UNAVAILABLE = "log_unavailable"
    EXEC_FAILED = "exec_failed"
    SIGNAL_FAILED = "signal_failed"
    ERROR = "error"
    NOT_DEPLOYED = "not_deployed"
    CHECK_MODE = "check_mode"
    RUN_DEADLINE = "run_deadline"
    STACK_NOT_TAKEN = "stack_not_taken"
    NOT_OFFERED = "not_offered"
    NO_ENDPOINT = "no_endpoint"
    USER_AGENT_REFUSED = "user_agent_refused"
    QUEUE_FULL = "queue_full"
    PROCESS_TIMEOUT = "process_timeout"
    SERVER_ERROR = "server_error"
    UNEXPECTED_STATUS = "unexpected_status"
    REDIRECTED = "redirected"
    NOT_JSON = "not_json"
    BODY_CUT = "body_cut"
    BODY_TOO_LARGE = "body_too_large"
    NO_ANSWER = "no_answer"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_BROKEN = "connection_broken"
    TLS_FAILED = "tls_failed"
    NOT_HTTP = "not_http"
    NO_PORT = "no_port"
    HTTP_ONLY = "http_only"
    AUTH_FAILED = "auth_failed"
    NO_CATALOG_ENTRY = "no_catalog_entry"
    NO_CERTIFICATE = "no_certificate"
    PROFILE_WHOLE = "profile_whole"
    PROFILE_EMPTY = "profile_empty"
    PROFILE_CUT = "profile_cut"
    PROFILE_BAD = "profile_bad"
    NOT_READ_HERE = "not_read_here"
    PROFILING_OFF = "profiling_off"
    NOT_REGISTERED = "not_registered"
    POOL_SATURATED = "pool_saturated"
    POOL_UNKNOWN = "pool_unknown"
    LOG_GAP = "log_gap"


@dataclass(frozen=True)
class Meaning:
    """What a reason says about a row: its status, what happened, and what to do next."""

    status: Status
    what: str
    next_step: str = ""


def _meaning(status: Status, what: str, next_step: str = "") -> Meaning:
    return Meaning(status, what, next_step)


MEANINGS: dict[Reason, Meaning] = {
    Reason.PROVEN: _meaning(Status.COMPLETE, "the counts of all blocks add up to the total that the dump states"),
    Reason.RECORDED: _meaning(Status.COMPLETE, "read and kept"),
    Reason.LOG_GAP: _meaning(
        Status.PARTIAL, "a part of the log was not seen", "see the gaps in log.json; watch again, or on the node itself"
    ),
    Reason.SAME_IMAGE: _meaning(Status.COMPLETE, "read once for this image id; the path names where"),
    Reason.CUT_SHORT: _meaning(
        Status.PARTIAL, "the deadline passed in the middle of the dump", "raise cloudpods_timeout and run again"
    ),
    Reason.STREAM_ENDED: _meaning(
        Status.PARTIAL,
        "the log stream ended in the middle of the dump",
        "see whether the container restarted; run again",
    ),
    Reason.DAMAGED: _meaning(
        Status.PARTIAL, "lines are missing inside the dump", "run again; look for log rotation on the node"
    ),
    Reason.TOO_LARGE: _meaning(
        Status.PARTIAL, "the log window grew over cloudpods_max_bytes", "raise cloudpods_max_bytes and run again"
    ),
    Reason.NEVER_DUMPS: _meaning(Status.REFUSED, "this component does not dump on SIGUSR1"),
    Reason.RELOADS: _meaning(Status.REFUSED, "SIGUSR1 makes this component reload its configuration"),
    Reason.MAY_DIE: _meaning(Status.REFUSED, "SIGUSR1 may end this component: it is not a Go service"),
    Reason.PENDING: _meaning(
        Status.REFUSED, "the pod is not scheduled on a node", "kubectl describe pod says what it waits for"
    ),
    Reason.NOT_STARTED: _meaning(
        Status.REFUSED, "the container has not started", "kubectl describe pod says what it waits for"
    ),
    Reason.STUCK_IN_INIT: _meaning(
        Status.REFUSED, "an init container has not finished", "read the log of the init container (database, keystone)"
    ),
    Reason.CRASH_LOOP: _meaning(
        Status.REFUSED, "the container crashes again and again", "read the log of the previous container"
    ),
    Reason.TERMINATING: _meaning(
        Status.REFUSED,
        "the pod is being deleted, and its service dumps no more while it shuts down",
        "see what its shutdown waits for in its log",
    ),
    Reason.TERMINATED: _meaning(
        Status.REFUSED, "the container has ended", "kubectl describe pod shows its exit code and reason"
    ),
    Reason.NODE_LOST: _meaning(
        Status.REFUSED, "the node does not report to the cluster", "use the host transport on that node"
    ),
    Reason.WRONG_CONTAINER: _meaning(
        Status.REFUSED,
        "no container of the pod is the component's",
        "name the right component, or see the container names with kubectl",
    ),
    Reason.NO_SHELL: _meaning(
        Status.REFUSED, "the image has no /bin/sh", "use the host transport on the node, or /debug/pprof where it is on"
    ),
    Reason.NO_PROCESS: _meaning(
        Status.REFUSED, "no process of this container runs the component's binary", "see ps in the container"
    ),
    Reason.SEVERAL_PROCESSES: _meaning(
        Status.REFUSED,
        "more than one process of this container runs the component's binary, so none was signalled",
        "see ps in the container; signal the right one by hand",
    ),
    Reason.USR1_IGNORED: _meaning(
        Status.REFUSED, "the process ignores SIGUSR1", "use /debug/pprof/goroutine where it is on"
    ),
    Reason.USR1_NOT_CAUGHT: _meaning(
        Status.REFUSED, "the process does not catch SIGUSR1 and would die of it", "make sure that it is a Go service"
    ),
    Reason.STDERR_LOST: _meaning(
        Status.REFUSED,
        "the dump would go to standard error, and that goes nowhere",
        "unset log_file_prefix (or redirect stderr to the container log), or use /debug/pprof",
    ),
    Reason.PROCESS_CHANGED: _meaning(
        Status.REFUSED, "the process changed between the check and the signal", "run again"
    ),
    Reason.NO_MEMORY_ROOM: _meaning(
        Status.REFUSED,
        "running the binary for its version might exceed the container's memory limit",
        "the image tag or GET /version tells the version",
    ),
    Reason.NO_RUNTIME_CLI: _meaning(
        Status.REFUSED,
        "no tool on the node can run a command inside the container, and its binary is not run outside",
        "install crictl on the node; the image tag tells the version",
    ),
    Reason.NO_DUMP: _meaning(
        Status.FAILED,
        "the signal was sent, and no dump came within the deadline",
        "the service may still be starting (it ignores the signal until it listens) or too stuck to write; run again",
    ),
    Reason.NO_VERSION: _meaning(
        Status.FAILED, "the binary did not tell its version", "the image tag or GET /version tells the version"
    ),
    Reason.TIMEOUT: _meaning(
        Status.FAILED,
        "the deadline passed before the signal was known to be sent",
        "the node or its kubelet may hang; see the node",
    ),
    Reason.FORBIDDEN: _meaning(
        Status.FAILED,
        "the API server forbids this to the user",
        "grant the verb that the message names (README, permissions)",
    ),
    Reason.UNREACHABLE: _meaning(
        Status.FAILED, "the target does not answer", "use the host transport if the API server or kubelet is down"
    ),
    Reason.GONE: _meaning(Status.FAILED, "the instance disappeared during the run", "run again"),
    Reason.LOG_UNAVAILABLE: _meaning(
        Status.FAILED,
        "the log cannot be read (and without it no signal is sent)",
        "see kubectl logs -f on this container, or its file on the node",
    ),
    Reason.EXEC_FAILED: _meaning(
        Status.FAILED, "a command could not be run in the container", "see kubectl exec on this container"
    ),
    Reason.SIGNAL_FAILED: _meaning(
        Status.FAILED, "the signal could not be sent", "the user inside the container may lack the right to signal"
    ),
    Reason.ERROR: _meaning(Status.FAILED, "an unexpected error", "report it with this row"),
    Reason.NOT_DEPLOYED: _meaning(Status.SKIPPED, "no instance of this component exists here"),
    Reason.CHECK_MODE: _meaning(Status.SKIPPED, "check mode: nothing was sent"),
    Reason.RUN_DEADLINE: _meaning(
        Status.SKIPPED, "the deadline of the whole run passed before its turn", "raise cloudpods_deadline"
    ),
    Reason.STACK_NOT_TAKEN: _meaning(
        Status.SKIPPED, "the version is read together with the stack, and no process was reached for that"
    ),
    Reason.NOT_OFFERED: _meaning(Status.SKIPPED, "this component has no such endpoint, and was not asked"),
    Reason.NO_ENDPOINT: _meaning(
        Status.FAILED,
        "the service knows no such path (404)",
        "an older release may lack it (process_stats came with 3.9); see whether the port is the service's",
    ),
    Reason.USER_AGENT_REFUSED: _meaning(
        Status.FAILED,
        "the service refuses the question (403), which it does by the user agent",
        "see default_handlers_whitelist_user_agents in its configuration, and proxies in between",
    ),
    Reason.QUEUE_FULL: _meaning(
        Status.FAILED,
        "the service's own queue is full (429)",
        "even its internal worker pool does not drain: capture its stacks now",
    ),
    Reason.PROCESS_TIMEOUT: _meaning(
        Status.FAILED, "the service gave up on the question after its own time limit (504)", "capture its stacks"
    ),
    Reason.SERVER_ERROR: _meaning(Status.FAILED, "the service failed over the question (5xx)", "read its log"),
    Reason.UNEXPECTED_STATUS: _meaning(
        Status.FAILED, "the answer has a status that this question should not get", "see what listens on that port"
    ),
    Reason.REDIRECTED: _meaning(
        Status.FAILED,
        "the answer points elsewhere (3xx), and was not followed",
        "see what listens on that port: a service itself does not redirect",
    ),
    Reason.NOT_JSON: _meaning(
        Status.FAILED,
        "the answer is not what this endpoint gives",
        "see the body that was kept, and what listens there",
    ),
    Reason.BODY_CUT: _meaning(
        Status.PARTIAL, "the answer ended before its end", "run again; see whether the service restarted"
    ),
    Reason.BODY_TOO_LARGE: _meaning(
        Status.PARTIAL, "the answer is larger than what is read of one", "see what listens on that port"
    ),
    Reason.NO_ANSWER: _meaning(
        Status.FAILED, "no answer came within the deadline", "the service may hang: capture its stacks"
    ),
    Reason.CONNECTION_REFUSED: _meaning(
        Status.FAILED,
        "nothing listens on the port",
        "the service may still be starting, or have another port: see its log",
    ),
    Reason.CONNECTION_BROKEN: _meaning(
        Status.FAILED, "the connection broke before there was an answer", "run again; read the service's log"
    ),
    Reason.TLS_FAILED: _meaning(
        Status.FAILED,
        "no TLS connection came about",
        "see whether the port speaks TLS (enable_ssl) and the service's certificate",
    ),
    Reason.NOT_HTTP: _meaning(
        Status.FAILED, "what listens on the port does not speak HTTP", "see what listens on that port"
    ),
    Reason.NO_PORT: _meaning(
        Status.SKIPPED, "no port is known on which it could be asked", "declare the container's port"
    ),
    Reason.HTTP_ONLY: _meaning(
        Status.SKIPPED,
        "this transport reaches only the HTTP port of a service",
        "use cloudpods_transport kubernetes or host",
    ),
    Reason.AUTH_FAILED: _meaning(
        Status.FAILED,
        "Keystone does not accept the credentials",
        "see the OS_* variables, or the options of the same meaning; climc uses the same ones",
    ),
    Reason.NO_CATALOG_ENTRY: _meaning(
        Status.SKIPPED,
        "Keystone's catalog has no URL for this component",
        "see the region and the endpoint type; components without an entry need another transport",
    ),
    Reason.NO_CERTIFICATE: _meaning(
        Status.SKIPPED,
        "no certificate can be seen from here",
        "the port may be without TLS; the transport host sees what the instances of its node show",
    ),
    Reason.PROFILE_WHOLE: _meaning(Status.COMPLETE, "read to its end, and nothing is missing"),
    Reason.PROFILE_EMPTY: _meaning(Status.COMPLETE, "read to its end, and there is nothing in it"),
    Reason.PROFILE_CUT: _meaning(
        Status.PARTIAL,
        "its end is missing",
        "what came is kept; take it again, with fewer seconds where it was cut by time",
    ),
    Reason.PROFILE_BAD: _meaning(
        Status.PARTIAL, "it is not what was asked for, or damaged", "what came is kept; look into it, and take it again"
    ),
    Reason.NOT_READ_HERE: _meaning(
        Status.PARTIAL,
        "the gzip stream is whole, the protobuf was not read on this machine",
        "module profile_analysis reads it on the controller",
    ),
    Reason.PROFILING_OFF: _meaning(
        Status.FAILED,
        "profiling is off in this service: it has no /debug/pprof",
        "set enable_app_profiling: true in its ConfigMap or configuration file and restart it (as an option in Keystone"
        " it has no effect); meanwhile capture_stacks works without it",
    ),
    Reason.NOT_REGISTERED: _meaning(
        Status.SKIPPED,
        "this service has only the exact paths of pprof, and no named profiles",
        "cpu, trace, symbol, cmdline and index are what it has",
    ),
    Reason.POOL_SATURATED: _meaning(
        Status.REFUSED,
        "the service's workers for GET requests are busy, and the question would wait behind the others",
        "capture its stacks, which needs no worker; cloudpods_profile_force asks all the same",
    ),
    Reason.POOL_UNKNOWN: _meaning(
        Status.REFUSED,
        "it cannot be seen whether the service has a worker to spare for so long",
        "see why /worker_stats cannot be read; cloudpods_profile_force asks all the same",
    ),
}


@dataclass(frozen=True)
class Verdict:
    """The outcome of one capture. The status follows from the reason, so the two cannot contradict."""

    reason: Reason
    message: str

    @property
    def status(self) -> Status:
        return MEANINGS[self.reason].status


def verdict(reason: Reason, detail: str = "") -> Verdict:
    """A verdict whose message says what happened, the detail at hand, and the next step."""
    meaning = MEANINGS[reason]
    text = meaning.what[:1].upper() + meaning.what[1:]
    if detail:
        text = f"{text}: {detail}"
    text = text.rstrip(".") + "."
    if meaning.next_step:
        text += f" Next: {meaning.next_step}."
    return Verdict(reason, text)


class CaptureError(Exception):
    """A capture of one instance cannot go on; carries the verdict for its ledger row."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.verdict = verdict(reason, detail)
        super().__init__(self.verdict.message)


@dataclass(frozen=True)
class Process:
    """One process that may be the component's, as /proc shows it.

    start_time is field 22 of /proc/PID/stat (clock ticks since boot): with the pid it names a process for good.
    same_container: proved by mount namespace or cgroup. stderr is the target of /proc/PID/fd/2.
    log_file names the option or file that sends the log (and so the dump) away from stderr, if any.
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
    last_end says how the container before this one ended ("OOMKilled, exit code 137"), last_ended when (RFC 3339).
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
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)


def utc_now() -> datetime.datetime:
    """The time, with its zone."""
    return datetime.datetime.now(datetime.timezone.utc)


def count_by_status(rows: list[LedgerRow]) -> dict[str, int]:
    """How many rows have each status; every status is present, also with 0."""
    counts = {status.value: 0 for status in Status}
    for entry in rows:
        counts[entry.status] += 1
    return counts
