# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A transport without a machine: services in memory, every call recorded, faults on request."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import binary_paths, component_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline, DeadlineExceeded
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import (
    Instance,
    LedgerRow,
    Process,
    Workload,
    utc_now,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import (
    Discovery,
    HttpAnswer,
    HttpTarget,
    LogStream,
    ProbeFacts,
    ProcessSession,
    Transport,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import (
    Ended,
    Lines,
    LogFollower,
    Opened,
    WriterChanged,
)

from patience import wait_until

USR1 = 1 << 9
VERSION = (
    b'Yunion cloud version:\n{\n  "gitVersion": "v4.0.1",\n  "gitBranch": "release/4.0",\n  "gitCommit": "2de295222"\n}'
)
LOG_LINE = b"[info 2026-01-02 03:04:05 main.tick(main.go:1)] still here\n"


def dump_text(goroutines: int = 3, groups: int = 2) -> bytes:
    """A dump as Go writes it on SIGUSR1, of so many goroutines over so many stacks of one frame (and goexit).

    The last one is the goroutine that writes it.
    """
    counts = [goroutines - groups + 1] + [1] * (groups - 1)
    functions = [f"main.work{number}" for number in range(groups - 1)] + ["runtime/pprof.writeGoroutine"]
    blocks = [
        f"{count} @ 0x{0x1000 + 2 * number:x} 0x9001\n"
        f"#\t0x{0x0FFF + 2 * number:x}\t{function}+0x1\t/src/main.go:{number + 1}\n\n"
        for number, (count, function) in enumerate(zip(counts, functions, strict=True))
    ]
    return f"goroutine profile: total {goroutines}\n{''.join(blocks)}".encode()


BODIES = {
    "/ping": b"pong",
    "/version": b"release/4.0(2de295222d26082106)",
    "/stats": b'{"duration.2XX":25.6,"duration.4XX":0,"duration.5XX":0,"hit.2XX":5,"hit.4XX":0,"hit.5XX":0,"paths":'
    b'[{"duration.2XX":25.6,"duration.4XX":0,"duration.5XX":0,"hit.2XX":5,"hit.4XX":0,"hit.5XX":0,"method":"GET",'
    b'"name":"list","path":"/servers"}]}',
    "/worker_stats": b'{"workers":[{"active_worker_cnt":1,"allow_overflow":false,"backlog":10,"db_worker":false,'
    b'"detach_worker_cnt":0,"max_worker_cnt":1,"name":"InternalHttpRequestWorkerManager","queue_cnt":0}]}',
    "/process_stats": b'{"process_stats":{"cpu_percent":0.74,"goroutine_num":148,"mem_percent":0.53,'
    b'"mem_size":41079336}}',
    "/db_stats": b'{"db_stats":{"idle":4,"in_use":0,"max_idle_closed":0,"max_idle_time_closed":0,'
    b'"max_lifetime_closed":0,"max_open_connections":55,"open_connections":4,"wait_count":0,"wait_duration":0}}',
}
JSON = {"content-type": "application/json"}


def healthy(target: HttpTarget) -> HttpAnswer:
    """Return the answers of a healthy idle service."""
    body = BODIES.get("/db_stats" if target.path.startswith("/db_stats/") else target.path)
    if body is None:
        return HttpAnswer(404, JSON, b'{"class":"NotFoundError","code":404,"details":"Handler not found"}')
    return HttpAnswer(200, JSON if body.startswith(b"{") else {"content-type": "text/plain"}, body)


class JumpingClock:
    """A frozen clock for deadlines that jumps when only waiting is left, like trio's MockClock.

    So on a machine of any speed nobody else's time runs out, and a deadline that passes costs no time.
    settled: what has to hold of the ledger's rows before it jumps, such that others have come to their end by then.
    rows: the ledger, which a run sets. jumps: how many seconds were jumped over each time.
    """

    def __init__(self, settled: Callable[[list[LedgerRow]], object] = lambda _rows: True) -> None:
        self.settled = settled
        self.rows: list[LedgerRow] = []
        self.jumps: list[float] = []
        self.now = 1e6
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def reach(self, deadline: Deadline) -> None:
        """Jump to a moment."""
        wait_until("the work of the others", lambda: self.settled(list(self.rows)))
        with self._lock:
            self.jumps.append(deadline.remaining())
            self.now += self.jumps[-1]


def outlast(deadline: Deadline) -> None:
    """Wait until the moment has passed."""
    if isinstance(deadline._clock, JumpingClock):
        deadline._clock.reach(deadline)
    else:
        threading.Event().wait(deadline.remaining())


@dataclass
class Service:
    """A service in memory: its instance, its log, its reaction to the signal, and its HTTP answers.

    faults: name of a call ("open_log", "open_process", "signal", "version", "http_get", "certificate", "read_log", or
    one path such as "/stats") -> what happens instead of it. A fault is called with the deadline and may raise; hang()
    and stuck() are ready-made ones. port: where it answers; None for everywhere.
    """

    instance: Instance
    facts: ProbeFacts
    on_signal: Callable[[Service], None] = lambda service: service.write(dump_text())
    confirms: bool = True
    version: bytes = VERSION
    faults: dict[str, Callable[[Deadline], None]] = field(default_factory=dict)
    log: bytes = LOG_LINE
    answer: Callable[[HttpTarget], HttpAnswer] = healthy
    port: int | None = None
    certificate: bytes | None = None
    ended: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)
    times: list[tuple[float, int]] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        with self.changed:
            self.times.append((time.monotonic(), len(self.log)))
            self.log += data
            self.changed.notify_all()

    def end(self) -> None:
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, holds: Callable[[], bool], deadline: Deadline) -> None:
        """Wait for a condition that write() or end() brings about. Raise DeadlineExceeded."""
        with self.changed:
            while not holds():
                deadline.check()
                if isinstance(deadline._clock, JumpingClock):
                    outlast(deadline)
                else:
                    self.changed.wait(deadline.remaining())

    def restart(self) -> None:
        """Show a container restart as the cluster does."""
        self.instance = replace(
            self.instance, restarts=self.instance.restarts + 1, container_id=self.instance.container_id + "-next"
        )


def hang(deadline: Deadline) -> None:
    """Answer nothing until the deadline, like a hung kubelet."""
    outlast(deadline)
    raise DeadlineExceeded(deadline.scope)


def stuck(_deadline: Deadline) -> None:
    """Ignore even the deadline."""
    threading.Event().wait()


def no_answer(deadline: Deadline) -> None:
    """Accept the request and answer nothing, like a hung service."""
    outlast(deadline)
    raise CaptureError(Reason.NO_ANSWER)


def raises(error: Exception) -> Callable[[Deadline], None]:
    """Return a fault that raises an error."""

    def fault(_deadline: Deadline) -> None:
        raise error

    return fault


class FakeTransport(Transport):
    """A transport whose instances are the added services. calls: (call, instance name) in order.

    deployed: the workloads there are, or the error of listing them. asked: (instance name, path) of each http_get.
    """

    name = "fake"
    cluster = "c1"
    lists_workloads = True

    def __init__(self) -> None:
        self.services: list[Service] = []
        self.calls: list[tuple[str, str]] = []
        self.asked: list[tuple[str, str]] = []
        self.deployed: list[Workload] | CaptureError = []
        self.lose_log_starts = False
        self._numbers = itertools.count(100)

    def add(self, component: str, name: str = "", **fields) -> Service:
        """Add a healthy service; fields are those of Service or of its Instance."""
        pid = next(self._numbers)
        process = Process(
            pid=pid,
            start_time=pid * 1000,
            executable=binary_paths(component_of(component))[0],
            same_container=True,
            same_by="mount_namespace",
            caught=fields.pop("caught", USR1),
            ignored=fields.pop("ignored", 0),
            stderr="pipe:[1]",
        )
        own = {key: fields.pop(key) for key in list(fields) if key in Service.__dataclass_fields__}
        defaults = {"cluster": "c1", "namespace": "onecloud", "node": "n1", "container": component, "image_id": "i1"}
        defaults.update({"container_id": f"cid-{pid}", "ready": True, **fields})
        instance = Instance(component=component, name=name or f"{component}-{pid}", **defaults)
        service = Service(**{"instance": instance, "facts": ProbeFacts((process,)), **own})
        self.services.append(service)
        return service

    def done_to(self, name: str) -> list[str]:
        """Return the calls that touched one instance."""
        return [call for call, target in self.calls if target == name]

    def _begin(self, call: str, name: str, deadline: Deadline) -> Service:
        self.calls.append((call, name))
        deadline.check()
        service = next((one for one in self.services if one.instance.name == name), None)
        if service is None or (service.ended and call != "reopen_log"):
            raise CaptureError(Reason.GONE, name)
        if call in service.faults:
            service.faults[call](deadline)
        return service

    def discover(self, selection, deadline) -> Discovery:
        deadline.check()
        self.calls.append(("discover", ""))
        present = [one.instance for one in self.services if not one.ended]
        return Discovery([instance for instance in present if instance.component in selection.names])

    def open_log(self, instance, deadline):
        service = self._begin("open_log", instance.name, deadline)
        if self.lose_log_starts:
            return None
        return FakeLog(service, len(service.log), deadline)

    def reopen_log(self, instance, since, deadline):
        del since
        return FakeLog(self._begin("reopen_log", instance.name, deadline), 0, deadline)

    def open_process(self, instance, deadline) -> ProcessSession:
        return FakeSession(self, self._begin("open_process", instance.name, deadline), deadline)

    def _exchange(self, instance, target, deadline, max_bytes, sink):
        self.asked.append((instance.name, target.path))
        service = self._begin("http_get", instance.name, deadline)
        if service.port not in (None, target.port):
            raise CaptureError(Reason.CONNECTION_REFUSED, f"port {target.port}")
        if target.path in service.faults:
            service.faults[target.path](deadline)
        answer = service.answer(target)
        if len(answer.body) > max_bytes:
            answer = replace(answer, body=answer.body[:max_bytes], truncated_by="size")
        if sink is not None and 200 <= answer.status < 300:
            sink(answer.body)
            answer = replace(answer, body=b"")
        return answer

    def certificate(self, instance, target, deadline):
        del target
        return self._begin("certificate", instance.name, deadline).certificate

    def read_log(self, instance, seconds, deadline, max_bytes):
        service = self._begin("read_log", instance.name, deadline)
        since = time.monotonic() - seconds
        recent = [place for moment, place in service.times if moment >= since]
        older = any(moment < since for moment, _place in service.times)
        log = service.log[recent[0] if recent else len(service.log) :] if older else service.log
        if len(log) <= max_bytes:
            return log
        return log[-max_bytes - 1 :].partition(b"\n")[2]

    def follow_log(self, instance, seconds, look, deadline):
        del seconds
        return FakeFollow(self._begin("follow_log", instance.name, deadline), look, deadline)

    def workloads(self, selection, deadline):
        deadline.check()
        self.calls.append(("workloads", ""))
        if isinstance(self.deployed, CaptureError):
            raise self.deployed  # pylint: disable=raising-bad-type
        return [one for one in self.deployed if one.component in selection.names]


class FakeLog(LogStream):
    """A service's log from a position on."""

    def __init__(self, service: Service, position: int, deadline: Deadline) -> None:
        self._service = service
        self._position = position
        self._deadline = deadline
        self._closed = False

    def read(self) -> bytes:
        self._deadline.check()
        service = self._service
        service.wait(lambda: self._closed or service.ended or len(service.log) > self._position, self._deadline)
        data = service.log[self._position :]
        self._position += len(data)
        return data

    def close(self) -> None:
        self._closed = True


class FakeFollow(LogFollower):
    """Follower of a service's log from its beginning. Its lines have no timestamps."""

    timestamped = False

    def __init__(self, service: Service, look, deadline: Deadline) -> None:
        super().__init__(deadline)
        self._service = service
        self._look = look

    def events(self):
        service, position, container = self._service, 0, self._service.instance.container_id
        yield Opened(time.time())
        while True:
            if position:
                self.caught_up.set()
            with service.changed:
                while not self._is_over and len(service.log) == position and not service.ended:
                    service.changed.wait(self._deadline.remaining())
                data = service.log[position:]
            position += len(data)
            if service.instance.container_id != container:
                container = service.instance.container_id
                yield WriterChanged(container, service.instance.restarts)
            if data:
                yield Lines(data)
            elif self._is_over:
                return
            elif self._look(self._deadline) is None:
                yield Ended(verdict(Reason.GONE, "it is gone"))
                return

    def _cut_off(self) -> None:
        with self._service.changed:
            self._service.changed.notify_all()


class FakeSession(ProcessSession):
    """A session with given facts."""

    def __init__(self, transport: FakeTransport, service: Service, deadline: Deadline) -> None:
        self._transport = transport
        self._service = service
        self._deadline = deadline
        self.facts = service.facts

    def signal(self, process):
        service = self._transport._begin("signal", self._service.instance.name, self._deadline)
        if not any((one.pid, one.start_time) == (process.pid, process.start_time) for one in service.facts.candidates):
            raise CaptureError(Reason.PROCESS_CHANGED, f"process {process.pid}")
        moment = utc_now()
        service.on_signal(service)
        self.confirmed = service.confirms
        return moment

    def version(self, process):
        del process
        return self._transport._begin("version", self._service.instance.name, self._deadline).version

    def close(self) -> None:
        return
