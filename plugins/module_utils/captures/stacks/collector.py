# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect goroutine dumps that answer SIGUSR1: the procedure for one instance.

The order matters. The log is open before the signal is sent, all checks are made before the barrier, and only the
signal comes after it, so that all replicas are caught at the same moment.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Callable, Iterator, Mapping, Sequence

from ...bundle.stack_rows import with_versions
from ...bundle.store import json_bytes
from ...capture_names import STACK, VERSION
from ...capture_options import StackOptions
from ...catalog import component_of
from ...deadline import Deadline, DeadlineExceeded
from ...logtext.timestamps import parse_rfc3339
from ...model import Artifact, Instance, InstanceKey, LedgerRow, Process, row, state_words, utc_now, utc_text
from ...reasons import CaptureError, Reason, Verdict, verdict
from ...stacks.debug1.grouping import dump_of
from ...status.binary_version import parse_version
from ...transports.base import ProcessSession, Transport, process_details
from ..engine.collector import Batch, Collector, Plan
from ..engine.restarts import SecondLook
from .job import StackJob
from .live_dump import LiveDump
from .rounds import Rounds
from .signal_policy import choose_process, memory_allows_version, refuse_early

# A service that started less than this many seconds ago may not listen yet, and ignores the signal until it does.
YOUNG_SECONDS = 120.0
SEEN_BY_EXEC = (
    "SIGUSR1 would be sent and the log followed, if the process catches the signal and its standard error is the log;"
    " to see that, a command has to run in the container"
)


@dataclass
class Attempt:
    """The result of one attempt at a dump. session: still open, for the version."""

    outcome: Verdict
    process: Process | None = None
    dump: LiveDump | None = None
    session: ProcessSession | None = None


@dataclass
class VersionReading:
    """The raw output, its parsed form (None if it is no version), and the verdict."""

    outcome: Verdict
    raw: bytes = b""
    parsed: dict[str, str] | None = None


class ImageClaims:
    """Ensures that the version is read once per image: the first replica to get that far is asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claimed: set[tuple[str, str]] = set()

    def claim(self, instance: Instance) -> bool:
        """Return whether to ask this instance. Without an image id, every instance is asked."""
        if not instance.image_id:
            return True
        with self._lock:
            key = (instance.image_id, instance.component)
            is_new = key not in self._claimed
            self._claimed.add(key)
            return is_new


class StackCollector(Collector[StackJob]):
    """Signals each instance and reads its dump out of its log; reads the version once per image."""

    counted = "dumps"
    additional = frozenset((VERSION,))

    def __init__(self, transport: Transport, options: StackOptions) -> None:
        self._transport = transport
        self._options = options
        self._claims = ImageClaims()
        self._rounds = Rounds(options.concurrency, options.interval, options.barrier_timeout)

    def plan(self, instance: Instance) -> Plan[StackJob]:
        sequences = range(1, self._options.count + 1)
        refusal = refuse_early(component_of(instance.component), instance)
        if refusal is not None:
            return Plan(instance, refused=[(STACK, number, refusal.verdict) for number in sequences])
        jobs: list[StackJob] = []
        for number in sequences:
            jobs.append(StackJob(instance, number, jobs[-1] if jobs else None))
        return Plan(instance, jobs)

    def batches(self, jobs: Sequence[StackJob], deadline: Deadline) -> Iterator[Batch[StackJob]]:
        return self._rounds.batches(jobs, deadline)

    def preview(self, instance: Instance, deadline: Deadline) -> Verdict:
        """Make the checks of a run that run nothing in a container."""
        transport = self._transport
        if not transport.reaches_processes:
            return verdict(Reason.HTTP_ONLY)
        if not transport.sees_processes:
            return verdict(Reason.CHECK_MODE, SEEN_BY_EXEC)
        try:
            log = transport.open_log(instance, deadline)
            if log is not None:
                log.close()
            with transport.open_process(instance, deadline) as session:
                choose_process(session.facts, transport.follows_files)
        except CaptureError as error:
            return error.verdict
        except DeadlineExceeded as error:
            return verdict(Reason.TIMEOUT, f"the deadline of the {error.scope}")
        return verdict(Reason.CHECK_MODE, "SIGUSR1 would be sent, the log followed")

    def look_again_at(self, plans: Sequence[Plan[StackJob]]) -> list[Instance]:
        return [plan.instance for plan in plans if any(job.sent for job in plan.jobs)]

    def finish(
        self, rows: Sequence[LedgerRow], plans: Sequence[Plan[StackJob]], again: Mapping[InstanceKey, SecondLook]
    ) -> list[LedgerRow]:
        targets = [plan.instance for plan in plans if plan.jobs]
        return _with_restarts(with_versions(rows, targets), targets, again)

    def collect(self, job: StackJob) -> None:
        try:
            with job.barrier.party() as arrive:
                if self._rounds.wait_for_previous(job):
                    self._capture(job, arrive)
        finally:
            self._rounds.end(job)

    def _capture(self, job: StackJob, arrive: Callable[[Deadline], None]) -> None:
        """Take one dump, and the version once per image."""
        started, clock = utc_now(), time.monotonic()
        deadline = job.deadline.child(self._options.timeout, "instance")
        with contextlib.ExitStack() as opened:
            attempt = self._attempt(job, arrive, deadline, opened)
            job.is_answered = attempt.dump is not None and attempt.dump.reader.total is not None
            # Recorded before the version is read: whatever that does, the dump is safe.
            job.record(_keep_stack(job, attempt, started, time.monotonic() - clock))
            if job.sequence == 1 and attempt.session and attempt.process and self._claims.claim(job.instance):
                job.owe(VERSION)
                job.record(_keep_version(job, _read_version(attempt.session, attempt.process), started))

    def _attempt(
        self,
        job: StackJob,
        arrive: Callable[[Deadline], None],
        deadline: Deadline,
        opened: contextlib.ExitStack,
    ) -> Attempt:
        """Signal the process and read its dump. `opened` closes what is open afterwards."""
        attempt, instance, transport = Attempt(verdict(Reason.TIMEOUT)), job.instance, self._transport
        try:
            log = transport.open_log(instance, deadline)
            if log is not None:
                opened.enter_context(log)
            with job.hold_node(deadline):
                session = opened.enter_context(transport.open_process(instance, deadline))
            attempt.process = choose_process(session.facts, transport.follows_files)
            job.seen = _seen(attempt.process, instance)
            arrive(deadline)
            job.sent = session.signal(attempt.process)
            attempt.dump = LiveDump(self._options.max_bytes, job.seen)
            attempt.outcome = attempt.dump.read(transport, instance, log, job.sent, deadline)
            if not session.confirmed and attempt.dump.reader.total is None:
                attempt.outcome = _no_dump("the connection ended, so the signal may not have arrived", job)
            attempt.session = session
        except CaptureError as error:
            attempt.outcome = error.verdict
            if job.sent is not None and error.verdict.reason is Reason.LOG_UNAVAILABLE:
                attempt.outcome = _no_dump(f"the log cannot be read any more ({error.detail})", job)
        except DeadlineExceeded as error:
            attempt.outcome = verdict(Reason.TIMEOUT, f"the deadline of the {error.scope}")
        return attempt


def _with_restarts(
    rows: Sequence[LedgerRow], targets: Sequence[Instance], again: Mapping[InstanceKey, SecondLook]
) -> list[LedgerRow]:
    """Return the rows. Those of signalled instances tell whether the container or process was replaced."""
    signalled = {_key_of(entry) for entry in rows if "signal_sent" in entry.details}
    before = {instance.key: instance for instance in targets}

    def completed(entry: LedgerRow) -> LedgerRow:
        key = _key_of(entry)
        if entry.capture != STACK or key not in signalled:
            return entry
        details = _restart_details(before[key], again[key])
        note = " The container restarted after the signal." if details["restarted"] else ""
        return replace(entry, details=dict(entry.details, **details), message=entry.message + note)

    return [completed(entry) for entry in rows]


def _restart_details(before: Instance, look: SecondLook) -> dict[str, Any]:
    """Return details of a row. restarted: True, False, or None if that could not be seen."""
    if look.instance is None:
        return {"restarted": look.replaced, "after": "gone" if look.replaced else "not seen"}
    return {"restarted": look.replaced, "restarts": [before.restarts, look.instance.restarts]}


def _key_of(entry: LedgerRow) -> InstanceKey:
    return entry.namespace, entry.component, entry.instance, entry.container


def _no_dump(why: str, job: StackJob) -> Verdict:
    return verdict(Reason.NO_DUMP, "; ".join(filter(None, (why, job.seen))))


def _seen(process: Process, instance: Instance) -> str:
    """Return facts from before the signal that may explain a missing dump; "" if there are none."""
    words = []
    state = state_words(process)
    if state:
        words.append(f"before the signal the process was {state}")
    started = parse_rfc3339(instance.started)
    # By clocks that may differ.
    if started is not None and abs(time.time() - started) < YOUNG_SECONDS:
        words.append(f"it started only at {instance.started}, and a service ignores the signal until it listens")
    return "; ".join(words)


def _read_version(session: ProcessSession, process: Process) -> VersionReading:
    raw = b""
    with contextlib.suppress(CaptureError):
        raw = session.version_from_file(process)
        return VersionReading(verdict(Reason.RECORDED), raw, parse_version(raw))
    try:
        if not memory_allows_version(session.facts):
            room = (session.facts.memory_room or 0) >> 20
            raise CaptureError(Reason.NO_MEMORY_ROOM, f"{room} MiB are left")
        raw = session.version(process)
        return VersionReading(verdict(Reason.RECORDED), raw, parse_version(raw))
    except CaptureError as error:
        return VersionReading(error.verdict, raw)
    except DeadlineExceeded as error:
        return VersionReading(verdict(Reason.NO_VERSION, str(error)), raw)


def _keep_stack(job: StackJob, attempt: Attempt, started: datetime.datetime, duration: float) -> LedgerRow:
    """Write what came of the dump, and return its row."""
    details = process_details(attempt.process) if attempt.process else {}
    artifact = None
    if job.sent:
        details["signal_sent"] = utc_text(job.sent)
    if attempt.dump:
        artifact = _keep_dump(job, attempt.dump, details)
    return row(job.instance, STACK, attempt.outcome, job.sequence, artifact, utc_text(started), duration, details)


def _keep_dump(job: StackJob, dump: LiveDump, details: dict[str, Any]) -> Artifact | None:
    """Write the log window as received, the dump, and its parsed form; return the best of them."""
    store, folders, stem = job.store, job.instance.folders, f"stack-{job.sequence}"
    artifact = None
    if dump.window:
        artifact = store.keep(folders, stem + ".log", dump.window)
    if dump.reader.total is None:
        return artifact
    artifact = store.keep(folders, stem + ".txt", dump.reader.dump)
    parsed = dump_of(dump.reader)
    details["parsed"] = store.keep(folders, stem + ".json", json_bytes(parsed.to_dict())).path
    details["total"] = dump.reader.total
    details["goroutines"] = dump.reader.counted
    details["groups"] = len(parsed.groups)
    return artifact


def _keep_version(job: StackJob, reading: VersionReading, started: datetime.datetime) -> LedgerRow:
    instance, artifact = job.instance, None
    details: dict[str, Any] = {"image_id": instance.image_id}
    if reading.raw:
        artifact = job.store.keep(instance.folders, "version.txt", reading.raw)
    if reading.parsed:
        artifact = job.store.keep(instance.folders, "version.json", json_bytes(reading.parsed, indent=1))
        details["version"] = reading.parsed
    return row(instance, VERSION, reading.outcome, 1, artifact, utc_text(started), 0.0, details)
