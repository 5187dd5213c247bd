# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface between the captures and the ways to reach instances.

Everything that touches a target is behind these classes. Implementations raise model.CaptureError (with a reason
from the vocabulary) or deadline.DeadlineExceeded, and nothing else: foreign exceptions are translated at the edge.
"""

from __future__ import annotations

import abc
import datetime
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Sequence

from ..catalog import Selection, is_safe_path
from ..deadline import Deadline
from ..model import Instance, Process, Workload, state_words
from ..pprof import SYMBOL_PATH, is_profile_path, is_symbol_question
from ..reasons import CaptureError, Reason, Verdict
from .follow import LogFollow, Look


@dataclass
class Discovery:
    """What was found. problems: (namespace or place, verdict) for every place that could not be looked at.

    machine: the only one that was looked at; "" where that was all of the cluster. unknown: selected names of
    components that are neither known nor there.
    """

    instances: list[Instance] = field(default_factory=list)
    problems: list[tuple[str, Verdict]] = field(default_factory=list)
    machine: str = ""
    unknown: tuple[str, ...] = ()

    def cluster_or(self, otherwise: str) -> str:
        """The name of the cluster, as the instances have it; the other one where there is none of them."""
        return self.instances[0].cluster if self.instances else otherwise


@dataclass(frozen=True)
class ProbeFacts:
    """What was seen in a container before anything was done to it.

    candidates: processes whose executable is the component's, in this container or not.
    impostors: pids that only call themselves so (their executable is another file).
    zombies: pids of the component's name that have ended and are still listed.
    memory_room: bytes that the container may still use, or None where there is no limit.
    """

    candidates: tuple[Process, ...] = ()
    impostors: tuple[int, ...] = ()
    memory_room: int | None = None
    zombies: tuple[int, ...] = ()


class LogStream(abc.ABC):
    """The live log of one instance, from now on.

    old_first_line: the first line that comes is older than the stream (it proved that the stream is open).
    """

    old_first_line = False

    @abc.abstractmethod
    def read(self) -> bytes:
        """The next bytes, as soon as there are any; b"" at the end of the stream. DeadlineExceeded when time is up."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of it. May be called more than once."""

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
    """A foot in the door of one instance's container: looked around, nothing done yet.

    confirmed: whether it is known that the signal was sent; it may have been where the connection ended meanwhile.
    """

    facts = ProbeFacts()
    confirmed = True

    @abc.abstractmethod
    def signal(self, process: Process) -> datetime.datetime:
        """Send SIGUSR1 to exactly this process, if it still is the one that was seen; the time it was sent (UTC)."""

    def built_as(self, process: Process) -> bytes:
        """What the program's file tells of its version, as version() would print it; nothing of it is run.

        CaptureError(no_version) where it does not tell, or cannot be read by this transport.
        """
        del process
        raise CaptureError(Reason.NO_VERSION, "the program's file is out of reach")

    @abc.abstractmethod
    def version(self, process: Process) -> bytes:
        """What the process's binary prints for -v. CaptureError(no_version, …) when it does not."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of it. May be called more than once."""

    def __enter__(self) -> ProcessSession:
        return self

    def __exit__(self, *unused: Any) -> None:
        self.close()


@dataclass(frozen=True)
class HttpTarget:
    """What is asked of an instance's HTTP port: only a path that the catalog names as safe to read.

    body: what is posted (addresses to name, and nothing else); b"" for a GET.
    """

    scheme: str
    port: int
    path: str
    body: bytes = b""


@dataclass(frozen=True)
class HttpAnswer:
    """What came back. headers: names in lower case. whole: the body came to its end, and within the size asked for.

    cut_by says why it is not whole: "size", "time" (the deadline passed), "end" (it stopped short), "" where it is.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True
    cut_by: str = ""


# Takes a body as it comes, so that a large one is never held whole.
Sink = Optional[Callable[[bytes], None]]


class SetupError(Exception):
    """The transport cannot even begin: a library is missing, or there is no usable configuration."""


class Transport(abc.ABC):
    """One way to reach the instances of one access point.

    follows_files: whether it can follow a file that an instance's standard error goes to. cluster: its name in results.
    machine: the one node that is seen through it; "" where that is all of the cluster. lists_workloads: whether it can
    tell what should run besides what does. sees_processes: whether open_process() runs nothing in a container.
    reaches_processes: whether there is more of an instance to reach than its HTTP port.
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
        """Find all instances of the selection, also those that do not run."""

    @abc.abstractmethod
    def open_log(self, instance: Instance, deadline: Deadline) -> LogStream | None:
        """Follow the log from now on; the stream is proved to be open. None where that cannot be proved (empty log):
        then reopen_log() after the signal finds what was missed."""

    @abc.abstractmethod
    def reopen_log(self, instance: Instance, since: datetime.datetime, deadline: Deadline) -> LogStream | None:
        """Follow the log from (at the latest) the moment `since`, after a stream ended or could not be proved open.
        None when nothing came before the deadline."""

    @abc.abstractmethod
    def open_process(self, instance: Instance, deadline: Deadline) -> ProcessSession:
        """Look for the instance's process and gather what must be known before a signal may be sent."""

    def http_get(
        self, instance: Instance, target: HttpTarget, deadline: Deadline, max_bytes: int, sink: Sink = None
    ) -> HttpAnswer:
        """One GET to the instance itself (not to its Service). Any HTTP status is an answer; no redirect is followed.

        sink: is given the body of a success, up to max_bytes and as it came (nothing is decompressed); that of the
        answer then is empty.

        ValueError for a path that the catalog does not name: nothing else can be requested, by whatever mistake.
        CaptureError when there is no answer: connection_refused, connection_broken, tls_failed, no_answer,
        unreachable, gone, forbidden. An answer whose body stops coming at the deadline is one that is not whole.
        """
        if target.body or not (is_safe_path(target.path) or is_profile_path(target.path)):
            raise ValueError(f"'{target.path}' is not one of the paths that may be requested")
        deadline.check()
        return self._exchange(instance, target, deadline, max_bytes, sink)

    def http_post(self, instance: Instance, target: HttpTarget, deadline: Deadline, max_bytes: int) -> HttpAnswer:
        """The one POST there is: it asks for the names of addresses. As http_get() in all else."""
        if target.path != SYMBOL_PATH or not is_symbol_question(target.body):
            raise ValueError(f"nothing but addresses may be posted, and not to '{target.path}'")
        deadline.check()
        return self._exchange(instance, target, deadline, max_bytes, None)

    @abc.abstractmethod
    def _exchange(
        self, instance: Instance, target: HttpTarget, deadline: Deadline, max_bytes: int, sink: Sink
    ) -> HttpAnswer:
        """http_get() and http_post() after their checks."""

    @abc.abstractmethod
    def certificate(self, instance: Instance, target: HttpTarget, deadline: Deadline) -> bytes | None:
        """The certificate (DER) that the instance shows on its port; None where it shows none, or cannot be seen from
        here."""

    @abc.abstractmethod
    def read_log(self, instance: Instance, seconds: int, deadline: Deadline, max_bytes: int) -> bytes:
        """What it wrote in the last so many seconds, the newest max_bytes of it, without the runtime's wrapping.

        Where lines were left out, it begins with a whole line all the same. CaptureError when there is no log.
        """

    def follow_log(self, instance: Instance, seconds: int, look: Look, deadline: Deadline) -> LogFollow:
        """Follow the log until the deadline, beginning with what was written in the last so many seconds, also by the
        container before this one. Nothing is read before its events are asked for.

        CaptureError where this transport reaches no logs.
        """
        del instance, seconds, look, deadline
        raise CaptureError(Reason.HTTP_ONLY)

    @abc.abstractmethod
    def workloads(self, selection: Selection, deadline: Deadline) -> list[Workload]:
        """The Deployments and DaemonSets of the selection; nothing where the transport knows no such thing.

        CaptureError when they cannot be listed: forbidden, unreachable.
        """

    def nothing_there(self, deadline: Deadline) -> str:
        """Return why the place that is looked at cannot be the right one, where no instance was found; "" otherwise.

        CaptureError, DeadlineExceeded: that could not be seen.
        """
        del deadline
        return ""

    def close(self) -> None:
        """Let go of connections, where there are any."""
        return


def sort_instances(instances: Sequence[Instance]) -> list[Instance]:
    """A stable order for people and for tests."""
    return sorted(instances, key=lambda i: (i.cluster, i.namespace, i.component, i.name, i.container))


def as_details(process: Process) -> dict[str, Any]:
    """What of a process goes into a ledger row."""
    details: dict[str, Any] = {
        "pid": process.pid,
        "start_time_ticks": process.start_time,
        "executable": process.executable,
        "same_container_by": process.same_by,
    }
    # Only of one that executes nothing: what any other waits for is over in a moment.
    return dict(details, state=process.state, waits_in=process.waits_in) if state_words(process) else details
