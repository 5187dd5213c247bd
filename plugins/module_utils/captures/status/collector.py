# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect the status of instances: endpoints, certificates and keywords in logs.

The questions of one instance are put one after the other, which is gentle to a service in trouble. Each has its share
of the instance's time, so one that hangs takes nothing from the others. If neither /ping nor the question after it is
answered, the sample ends. Logs are read at the same time on threads of their own, since they do not depend on the
process. Only endpoints that the catalog lists for a component are asked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Sequence

from ...bundle.store import Store, json_bytes
from ...capture_names import CERTIFICATE, DISCOVERY, LOG
from ...capture_options import StatusOptions
from ...catalog import COMPONENTS, ENDPOINTS, Selection, component_of, endpoint_path, http_of
from ...deadline import Clock, Deadline, DeadlineExceeded
from ...json_values import BadValue
from ...model import Instance, InstanceKey, LedgerRow, Workload, place_row, row, utc_now, utc_text
from ...reasons import CaptureError, Reason, Verdict, verdict
from ...status.certificate import certificate_document
from ...status.cluster_document import cluster_document
from ...status.log_keywords import log_document
from ...status.responses import parse_response
from ...status.samples import Question, SampledInstance
from ...transports.base import Discovery, HttpTarget, Transport
from ..engine.collector import Batch, Collector, Plan, Refused
from ..engine.discovery import refuse_by_state
from ..engine.restarts import SecondLook
from .job import StatusJob

MAX_LIST_SECONDS = 60.0
# Seconds for a question if /ping was not answered before it.
SHORT_SECONDS = 2.0
LONGEST_LINE = 1 << 16
TEXTS = ("ping", "version")
PING = Question("ping")
_NOT_PINGED = verdict(Reason.NOT_ASKED, "/ping was not answered")


class StatusCollector(Collector[StatusJob]):
    """Reads the status of each instance, and leaves status.json of each, cluster.json, and the raw bodies.

    max_documents: up to this many instances, documents holds their status.json. clock: of samples, in seconds.
    """

    counted = "readings"

    def __init__(
        self,
        transport: Transport,
        selection: Selection,
        store: Store,
        options: StatusOptions,
        max_documents: int = 0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._transport = transport
        self._selection = selection
        self._store = store
        self._options = options
        self._max_documents = max_documents
        self._clock = clock
        self._sampled: list[SampledInstance] = []
        self.documents: list[dict[str, Any]] = []

    def plan(self, instance: Instance) -> Plan[StatusJob]:
        options = self._options
        offered = [question for question in options.questions if target_of(instance, question)]
        sampled = SampledInstance(instance, [question.name for question in offered], self._clock)
        jobs: list[StatusJob] = []
        if offered:
            for number in range(1, options.samples + 1):
                jobs.append(StatusJob(sampled, offered, number, jobs[-1] if jobs else None))
        http = target_of(instance, PING)
        if options.certificates and http and http.scheme == "https":
            jobs.append(StatusJob(sampled, [Question(CERTIFICATE)], 1, jobs[-1] if jobs else None, is_sample=False))
        if options.log_seconds:
            jobs.append(StatusJob(sampled, [Question(LOG)], 1, is_sample=False))
        lacks = verdict(Reason.NOT_OFFERED if instance.component in COMPONENTS or http else Reason.NO_PORT)
        refused = [(question.capture, 1, lacks) for question in options.questions if question not in offered]
        refusal = refuse_by_state(instance)
        if refusal is not None:
            refused += _all_refused(jobs, refusal.verdict)
            jobs = []
        self._sampled.append(sampled)
        return Plan(instance, jobs, refused)

    def prepare(self, found: Discovery, cluster: str, deadline: Deadline) -> None:
        """Write cluster.json. Of a single machine, it is in the folder of that machine."""
        transport, selection, problems = self._transport, self._selection, list(found.problems)
        workloads: list[Workload] | None = None
        if transport.lists_workloads:
            try:
                workloads = transport.workloads(selection, deadline.child(MAX_LIST_SECONDS, "workloads"))
            except (CaptureError, DeadlineExceeded) as error:
                outcome = error.verdict if isinstance(error, CaptureError) else verdict(Reason.UNREACHABLE, str(error))
                problems.append(("workloads", outcome))
                self._store.record([place_row(cluster, "", "", DISCOVERY, outcome)])
        document = cluster_document(cluster, transport.name, selection.names, selection.named, workloads, problems)
        folders = [cluster, "machines", transport.machine] if transport.machine else [cluster]
        self._store.keep(folders, "cluster.json", json_bytes(document, indent=1))

    def batches(self, jobs: Sequence[StatusJob], deadline: Deadline) -> Iterator[Batch[StatusJob]]:
        """Yield the logs and, at the same time, the questions: the first sample of all instances before the second."""
        del deadline
        yield Batch([job for job in jobs if job.is_log], self._options.logs_at_a_time)
        yield Batch(sorted((job for job in jobs if not job.is_log), key=lambda job: job.rank))

    def look_again_at(self, plans: Sequence[Plan[StatusJob]]) -> list[Instance]:
        """Return the instances that were asked; none with a single sample, which no restart can spoil."""
        return [plan.instance for plan in plans if plan.jobs] if self._options.samples > 1 else []

    def finish(
        self, rows: Sequence[LedgerRow], plans: Sequence[Plan[StatusJob]], again: Mapping[InstanceKey, SecondLook]
    ) -> list[LedgerRow]:
        del plans
        for sampled in self._sampled:
            instance = sampled.instance
            look = again.get(instance.key, SecondLook(None, None))
            document = sampled.document(look.instance, look.replaced if look.instance else None)
            self._store.keep(instance.folders, "status.json", json_bytes(document))
            if len(self._sampled) <= self._max_documents:
                self.documents.append(document)
        return list(rows)

    def collect(self, job: StatusJob) -> None:
        if job.is_log:
            self._collect_log(job)
        else:
            self._collect_answers(job)

    def _collect_answers(self, job: StatusJob) -> None:
        """Wait for the moment of the sample and for the previous one, then put the questions."""
        if job.is_sample and job.previous is not None:
            moment = job.sampled.begun + (job.sequence - 1) * self._options.interval - self._clock()
            job.deadline.wait(max(0.0, moment))
        waiting = job.deadline.beside(self._options.timeout, "instance")
        if job.previous is not None and not job.previous.ended.wait(_within(job, waiting).remaining()):
            job.close(verdict(Reason.NOT_ASKED, "what was asked before had not ended"))
            return
        deadline = job.deadline.beside(self._options.timeout, "instance")
        unasked = verdict(Reason.RUN_DEADLINE)
        try:
            if not job.deadline.expired:
                with job.hold_node(_within(job, deadline)):
                    unasked = self._ask_all(job, deadline)
        except DeadlineExceeded:
            unasked = verdict(Reason.NOT_ASKED, "all the time others of its node were asked")
        job.close(unasked)

    def _collect_log(self, job: StatusJob) -> None:
        """Read a log. It waits for no other job, since a process that hangs does not matter to it."""
        deadline = job.deadline.beside(self._options.timeout, "instance")
        for question in job.questions.values():
            self._ask(job, question, _within(job, deadline))
        job.close(verdict(Reason.RUN_DEADLINE))

    def _ask_all(self, job: StatusJob, deadline: Deadline) -> Verdict:
        """Put the questions of a job; return the verdict on those that were not put."""
        job.begin()
        sampled = job.sampled
        if sampled.hangs and not job.is_sample:
            return _NOT_PINGED
        # Whether /ping was not answered, and nothing since.
        is_silent = False
        for number, question in enumerate(job.questions.values()):
            if deadline.expired or job.deadline.expired:
                break
            # A share of the instance's time, not of the run's: towards its end that would be none.
            longest = self._longest(job, question, is_silent)
            share = deadline.child(min(deadline.remaining() / (len(job.questions) - number), longest), "endpoint")
            outcome = self._ask(job, question, _within(job, share, "endpoint"))
            if outcome.reason is Reason.GONE:
                return outcome
            if outcome.reason is not Reason.NO_ANSWER:
                is_silent = sampled.hangs = False
            elif is_silent or (sampled.hangs and question == PING):
                sampled.hangs = True
                return _NOT_PINGED
            else:
                is_silent = question == PING
        return verdict(Reason.RUN_DEADLINE) if job.deadline.expired else verdict(Reason.NOT_ASKED, "no time was left")

    def _longest(self, job: StatusJob, question: Question, is_silent: bool) -> float:
        """Return the seconds that a question is given at most. is_silent: /ping was not answered before it."""
        if question == PING or not job.is_sample:
            # Its share if all endpoints were asked for.
            return self._options.timeout / len(ENDPOINTS)
        return SHORT_SECONDS if is_silent else self._options.timeout

    def _ask(self, job: StatusJob, question: Question, deadline: Deadline) -> Verdict:
        """Put one question, keep its answer, and record its row. Nothing that the target does is an exception."""
        job.ask(question)
        answer = _Answer(verdict(Reason.ERROR))
        started, begun = utc_text(utc_now()), self._clock()
        try:
            self._read(job, question, deadline, answer)
        except CaptureError as error:
            answer.outcome = error.verdict
        except DeadlineExceeded as error:
            answer.outcome = verdict(Reason.NO_ANSWER, str(error))
        duration = self._clock() - begun
        if answer.outcome.reason is Reason.NO_ANSWER and job.deadline.expired:
            # The answer may have been coming, so this is no proof that the service hangs.
            answer.outcome = verdict(Reason.RUN_DEADLINE, f"it was given {duration:.1f} s")
        if answer.document is not None and question.endpoint == "ping":
            answer.document["duration_ms"] = round(1000 * duration, 1)
        artifact = None
        if answer.kept:
            artifact = job.store.keep(job.instance.folders, answer.file, answer.kept)
        outcome, details = answer.outcome, answer.details
        entry = row(job.instance, question.capture, outcome, job.sequence, artifact, started, duration, details)
        job.answer(question, entry, answer.document)
        return answer.outcome

    def _read(self, job: StatusJob, question: Question, deadline: Deadline, answer: _Answer) -> None:
        if question.endpoint == LOG:
            self._read_log(job.instance, deadline, answer)
        elif question.endpoint == CERTIFICATE:
            self._read_certificate(job.instance, deadline, answer)
        else:
            self._read_endpoint(job, question, deadline, answer)

    def _read_endpoint(self, job: StatusJob, question: Question, deadline: Deadline, answer: _Answer) -> None:
        target = _existing(target_of(job.instance, question))
        answer.details["port"] = target.port
        got = self._transport.http_get(job.instance, target, deadline, self._options.max_bytes)
        answer.details["http_status"] = got.status
        reading = parse_response(question.endpoint, got.status, got.headers, got.body, got.truncated_by)
        answer.outcome, answer.document = reading.outcome, reading.document
        is_good = reading.document is not None
        if not is_good:
            answer.kept = got.body[: self._options.kept_of_bad_body]
        elif self._options.bodies == "all":
            answer.kept = got.body
        ending = "json" if is_good and question.endpoint not in TEXTS else "txt"
        answer.file = f"{question.name.replace('/', '.')}-{job.sequence}.{ending}"

    def _read_certificate(self, instance: Instance, deadline: Deadline, answer: _Answer) -> None:
        target = _existing(target_of(instance, PING))
        der = self._transport.certificate(instance, target, deadline)
        if der is None:
            raise CaptureError(Reason.NO_CERTIFICATE)
        answer.kept, answer.file = der, "certificate.der"
        try:
            answer.document = certificate_document(der, utc_now())
        except BadValue as error:
            raise CaptureError(Reason.NOT_JSON, str(error)) from error
        answer.outcome = verdict(Reason.RECORDED)

    def _read_log(self, instance: Instance, deadline: Deadline, answer: _Answer) -> None:
        seconds, limit = self._options.log_seconds, self._options.max_bytes
        data = self._transport.read_log(instance, seconds, deadline, limit)
        # A log that was cut begins with a whole line, and so is shorter than the limit by up to a line.
        truncated = len(data) > limit - min(LONGEST_LINE, limit // 2)
        answer.document = log_document(data, seconds, truncated)
        answer.details.update(bytes=len(data), truncated=truncated)
        answer.outcome = verdict(Reason.RECORDED)


@dataclass
class _Answer:
    """The result of one question. kept: the bytes for the artifact of that file name."""

    outcome: Verdict
    document: dict[str, Any] | None = None
    kept: bytes = b""
    file: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def target_of(instance: Instance, question: Question) -> HttpTarget | None:
    """Return the target of a question; None if the component does not answer it."""
    http = http_of(component_of(instance.component), instance.ports)
    if http is None or question.endpoint not in http.endpoints:
        return None
    path = endpoint_path(question.endpoint, question.database)
    return HttpTarget(http.scheme, http.port_among(instance.ports), path)


def _existing(target: HttpTarget | None) -> HttpTarget:
    if target is None:
        raise CaptureError(Reason.NO_PORT)
    return target


def _within(job: StatusJob, deadline: Deadline, scope: str = "instance") -> Deadline:
    """Return the same moment, or the run's deadline if that comes first."""
    return job.deadline.child(deadline.remaining(), scope)


def _all_refused(jobs: Sequence[StatusJob], outcome: Verdict) -> list[Refused]:
    """Return the refusals of all that jobs owe; their status document lists them as missing."""
    for job in jobs:
        for question in job.questions.values():
            job.sampled.add_missing(question, job.sequence, outcome)
    return [(capture, job.sequence, outcome) for job in jobs for capture in job.owed]
