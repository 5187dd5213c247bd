# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport interface: everything that the captures may ask of a target.

Implementations raise reasons.CaptureError or deadline.DeadlineExceeded and nothing else. They translate all other
exceptions.
"""

from __future__ import annotations

import abc
import datetime
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Sequence

from ..catalog import Selection, is_safe_path
from ..deadline import Deadline
from ..model import Instance, Process, Workload, state_words
from ..pprof import SYMBOL_PATH, is_profile_path, is_symbol_request
from ..reasons import CaptureError, Reason, Verdict
from .follow import InstanceLookup, LogFollower


@dataclass
class Discovery:
    """The instances that were found.

    problems: (namespace or place, verdict) for each place that could not be searched. machine: the only machine that
    was searched, "" for the whole cluster. unknown: selected component names that are neither known nor deployed.
    """

    instances: list[Instance] = field(default_factory=list)
    problems: list[tuple[str, Verdict]] = field(default_factory=list)
    machine: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def is_unseen(self) -> bool:
        """Return whether a place could not be looked at. A URL that Keystone's catalog lacks was looked at."""
        return any(problem.reason is not Reason.NO_CATALOG_ENTRY for _place, problem in self.problems)

    def cluster_or(self, otherwise: str) -> str:
        """Return the cluster name of the instances, or the given name if there are none."""
        return self.instances[0].cluster if self.instances else otherwise


@dataclass(frozen=True)
class ProbeFacts:
    """Facts about a container, collected by a probe that changes nothing.

    candidates: processes that run the component's executable, in this container or not.
    impostors: pids whose argv[0] names the component while their executable is another file.
    zombies: pids of the component's name that have ended and are still listed.
    memory_room: bytes that the container may still use, or None without a limit.
    """

    candidates: tuple[Process, ...] = ()
    impostors: tuple[int, ...] = ()
    memory_room: int | None = None
    zombies: tuple[int, ...] = ()


class LogStream(abc.ABC):
    """A stream of the lines that one instance writes from now on.

    old_first_line: the first line is older than the stream; its arrival proved that the stream is open.
    """

    old_first_line = False

    @abc.abstractmethod
    def read(self) -> bytes:
        """Return the next bytes as soon as they come, b"" at the end of the stream. Raise DeadlineExceeded."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release everything that is held. May be called more than once."""

    def __enter__(self) -> LogStream:
        return self

    def __exit__(self, *unused: Any) -> None:
        self.close()


# SIGUSR1 in the masks of /proc/PID/status.
SIGUSR1_BIT = 1 << 9


def check_handlers(ignored: int, caught: int, who: str) -> None:
    """Raise CaptureError unless a process with these masks (SigIgn and SigCgt) catches SIGUSR1.

    The bit is set in every Go process, so it does not prove that there will be a dump. Without it the signal kills.
    """
    if ignored & SIGUSR1_BIT:
        raise CaptureError(Reason.USR1_IGNORED, who)
    if not caught & SIGUSR1_BIT:
        raise CaptureError(Reason.USR1_NOT_CAUGHT, who)


class ProcessSession(abc.ABC):
    """An open session with one container, after the probe and before any signal.

    confirmed: the signal is known to have been sent. If the connection ended meanwhile, it may have been sent.
    """

    facts = ProbeFacts()
    confirmed = True

    @abc.abstractmethod
    def signal(self, process: Process) -> datetime.datetime:
        """Send SIGUSR1 to this process if it is still the one that was probed. Return the time in UTC."""

    def version_from_file(self, process: Process) -> bytes:
        """Return the version noted in the program's file, in the form of version(), without running the program.

        Raise CaptureError(no_version) if the file has none or this transport cannot read it.
        """
        del process
        raise CaptureError(Reason.NO_VERSION, "the program's file is out of reach")

    @abc.abstractmethod
    def version(self, process: Process) -> bytes:
        """Return the output of the process's binary for -v. Raise CaptureError(no_version)."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release everything that is held. May be called more than once."""

    def __enter__(self) -> ProcessSession:
        return self

    def __exit__(self, *unused: Any) -> None:
        self.close()


@dataclass(frozen=True)
class HttpTarget:
    """A request to an instance's HTTP port. Its path is one that the catalog names as safe to read.

    body: the addresses to symbolize, for a POST; b"" for a GET.
    """

    scheme: str
    port: int
    path: str
    body: bytes = b""


@dataclass(frozen=True)
class HttpAnswer:
    """The response to a request. headers: names in lower case.

    truncated_by: why the body is incomplete: "size" (the limit), "time" (the deadline), "end" (it ended early), or "".
    """

    status: int
    headers: dict[str, str]
    body: bytes
    truncated_by: str = ""

    @property
    def is_complete(self) -> bool:
        """Return whether the body is complete."""
        return not self.truncated_by


# Consumes a body while it arrives, so that a large one is never held in memory.
Sink = Optional[Callable[[bytes], None]]


class SetupError(Exception):
    """The transport cannot start: a library is missing, or there is no usable configuration."""


class Transport(abc.ABC):
    """One way to reach the instances of one access point.

    follows_files: it can follow a file that receives an instance's standard error. cluster: its name in results.
    machine: the only node that it reaches, "" for the whole cluster. lists_workloads: it knows the desired workloads.
    sees_processes: open_process() runs nothing in a container. reaches_processes: it reaches more of an instance than
    its HTTP port.
    """

    name = ""
    follows_files = False
    cluster = ""
    machine = ""
    lists_workloads = False
    sees_processes = False
    reaches_processes = True

    @abc.abstractmethod
    def discover(self, selection: Selection, deadline: Deadline) -> Discovery:
        """Find all instances of the selection, including those that do not run."""

    @abc.abstractmethod
    def open_log(self, instance: Instance, deadline: Deadline) -> LogStream | None:
        """Follow the log from now on and prove that the stream is open.

        Return None if that cannot be proved (empty log). Then reopen_log() after the signal finds what was missed.
        """

    @abc.abstractmethod
    def reopen_log(self, instance: Instance, since: datetime.datetime, deadline: Deadline) -> LogStream | None:
        """Follow the log from `since` or earlier, after a stream ended or could not be proved open.

        Return None if nothing came before the deadline.
        """

    @abc.abstractmethod
    def open_process(self, instance: Instance, deadline: Deadline) -> ProcessSession:
        """Find the instance's process and collect the facts that decide whether it may be signalled."""

    def http_get(
        self, instance: Instance, target: HttpTarget, deadline: Deadline, max_bytes: int, sink: Sink = None
    ) -> HttpAnswer:
        """Send one GET to the instance itself, not to its Service. Redirects are not followed.

        Any HTTP status is an answer. An answer whose body stops at the deadline is incomplete.
        sink: receives the body of a success, up to max_bytes and not decompressed; the answer's own body is then empty.
        Raise ValueError for a path that the catalog does not name, so that no mistake can request anything else.
        Raise CaptureError without an answer: connection_refused, connection_broken, tls_failed, no_answer,
        unreachable, gone, forbidden.
        """
        if target.body or not (is_safe_path(target.path) or is_profile_path(target.path)):
            raise ValueError(f"'{target.path}' is not one of the paths that may be requested")
        deadline.check()
        return self._exchange(instance, target, deadline, max_bytes, sink)

    def http_post(self, instance: Instance, target: HttpTarget, deadline: Deadline, max_bytes: int) -> HttpAnswer:
        """Post addresses to symbolize, the only POST there is. Otherwise like http_get()."""
        if target.path != SYMBOL_PATH or not is_symbol_request(target.body):
            raise ValueError(f"nothing but addresses may be posted, and not to '{target.path}'")
        deadline.check()
        return self._exchange(instance, target, deadline, max_bytes, None)

    @abc.abstractmethod
    def _exchange(
        self, instance: Instance, target: HttpTarget, deadline: Deadline, max_bytes: int, sink: Sink
    ) -> HttpAnswer:
        """Perform a request that http_get() or http_post() has checked."""

    @abc.abstractmethod
    def certificate(self, instance: Instance, target: HttpTarget, deadline: Deadline) -> bytes | None:
        """Return the certificate (DER) of the instance's port, or None if it has none or cannot be reached."""

    @abc.abstractmethod
    def read_log(self, instance: Instance, seconds: int, deadline: Deadline, max_bytes: int) -> bytes:
        """Return what the instance wrote in the last `seconds`, the newest max_bytes, without the runtime's wrapping.

        The result begins with a whole line. Raise CaptureError if there is no log.
        """

    def follow_log(self, instance: Instance, seconds: int, look: InstanceLookup, deadline: Deadline) -> LogFollower:
        """Follow the log until the deadline, beginning with the last `seconds`, also of the previous container.

        Reading begins when the events are iterated. Raise CaptureError if this transport reaches no logs.
        """
        del instance, seconds, look, deadline
        raise CaptureError(Reason.HTTP_ONLY)

    @abc.abstractmethod
    def workloads(self, selection: Selection, deadline: Deadline) -> list[Workload]:
        """Return the Deployments and DaemonSets of the selection; none if the transport does not know them.

        Raise CaptureError if they cannot be listed: forbidden, unreachable.
        """

    def why_empty(self, deadline: Deadline) -> str:
        """Return why no instance can be found in the searched place, or "".

        Raise CaptureError or DeadlineExceeded if that cannot be determined.
        """
        del deadline
        return ""

    def close(self) -> None:
        """Close open connections."""
        return


def sort_instances(instances: Sequence[Instance]) -> list[Instance]:
    """Return the instances in a stable order."""
    return sorted(instances, key=lambda i: (i.cluster, i.namespace, i.component, i.name, i.container))


def process_details(process: Process) -> dict[str, Any]:
    """Return the details of a process for a ledger row."""
    details: dict[str, Any] = {
        "pid": process.pid,
        "start_time_ticks": process.start_time,
        "executable": process.executable,
        "same_container_by": process.same_by,
    }
    # Only if it executes nothing: any other wait is over in a moment.
    return dict(details, state=process.state, waits_in=process.waits_in) if state_words(process) else details
