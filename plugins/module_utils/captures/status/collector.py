# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the status of every instance of an access point: its endpoints, certificate and log, written against the
transport interface.

The questions of one instance are put one after the other, which is gentle to a service in trouble; each has its share
of the instance's time, so one that hangs takes nothing from the others. A service that answers neither /ping nor the
question after it is asked nothing more in that sample. Logs are read at the same time on threads of their own, since
they do not depend on the process. Only what the catalog says that a component answers is asked for.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Any, Sequence, Tuple

from ...bounds import check_bounds
from ...bundle.store import Store, json_bytes
from ...catalog import COMPONENTS, ENDPOINTS, Selection, component_of, endpoint_path, http_of
from ...deadline import Deadline, DeadlineExceeded
from ...fanout import Caps, Outcome, run, together
from ...json_values import BadValue
from ...model import Instance, LedgerRow, row, utc_now, utc_text
from ...progress import Progress
from ...reasons import CaptureError, Reason, Verdict, verdict
from ...status.certificate import certificate_document
from ...status.log_keywords import log_document
from ...status.responses import parse_response
from ...transports.base import Discovery, HttpTarget, Transport
from ..engine.discovery import discovery_rows
from ..engine.refusals import refuse_by_state
from ..engine.run import unfinished
from .cluster_document import keep_cluster, look_again
from .sampling import CERTIFICATE, LOG, Question, Record, Turn

# A window of log is held in memory while it is looked through.
LOGS_AT_A_TIME = 8
# So long a question is given, in seconds, where /ping was not answered before it.
SHORT_SECONDS = 2.0
LONGEST_LINE = 1 << 16
# Of a body that is not what it should be, so much is kept to look at.
KEPT_OF_BAD_BODY = 1 << 20
TEXTS = ("ping", "version")
PING = Question("ping")
Work = Tuple[Record, Turn]


@dataclass(frozen=True)
class Options:
    """What to ask. timeout is per instance and sample, interval from start to start of samples, both in seconds.

    log_seconds: how far back to read the log; 0 for not at all. max_bytes bounds one body and one window of log.
    bodies: "all", or only the "unread" ones that no document was made of.
    ValueError says what is wrong with an option.
    """

    endpoints: Sequence[str] = ENDPOINTS
    databases: Sequence[str] = ()
    samples: int = 1
    interval: float = 10.0
    certificates: bool = False
    log_seconds: int = 0
    timeout: float = 30.0
    concurrency: int = 40
    node_concurrency: int = 20
    max_bytes: int = 8 << 20
    bodies: str = "all"

    def __post_init__(self) -> None:
        numbers = ("samples", "concurrency", "node_concurrency", "max_bytes", "interval", "log_seconds")
        check_bounds({name: getattr(self, name) for name in numbers})
        for question in self.questions:
            endpoint_path(question.endpoint, question.database)

    @property
    def questions(self) -> list[Question]:
        """The endpoints that are asked for, in the catalog's order and each once."""
        names = [name for name in ENDPOINTS if name in self.endpoints]
        names += [name for name in dict.fromkeys(self.endpoints) if name not in names]
        databases = [Question("db_stats", name) for name in dict.fromkeys(self.databases)]
        return [Question(name) for name in names] + (databases if "db_stats" in names else [])


@dataclass
class Report:
    """What a run read: the rows of its ledger, and the status.json of each instance where they were to be kept."""

    rows: list[LedgerRow] = field(default_factory=list)
    documents: list[dict[str, Any]] = field(default_factory=list)


def read_all(
    transport: Transport,
    found: Discovery,
    selection: Selection,
    store: Store,
    options: Options,
    deadline: Deadline,
    max_documents: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Read the status of every instance found, and leave status.json of each, cluster.json, and the raw bodies.

    Up to so many instances, the report holds their documents as well.
    """
    cluster = found.cluster_or(transport.cluster)
    progress = progress or Progress()
    store.record(discovery_rows(found, selection, cluster))
    keep_cluster(transport, found, selection, store, cluster, deadline)
    records = [_record(instance, options, store) for instance in found.instances]
    asked = [record for record in records if _is_asked(record)]
    reader = _Reader(transport, store, options, deadline)
    logs = [(record, turn) for record in asked for turn in record.turns if turn.is_log]
    # Sample by sample, so that the first of all instances come before the second of any.
    numbers = range(max((len(record.turns) for record in asked), default=0))
    turns = [(record, record.turns[number]) for number in numbers for record in asked if number < len(record.turns)]
    turns = [(record, turn) for record, turn in turns if not turn.is_log]
    progress.expect("readings", len(logs) + len(turns))

    def read_logs() -> list[Outcome[Work, None]]:
        return run(logs, progress.counting("readings", reader.take_log), LOGS_AT_A_TIME, deadline)

    def put_questions() -> list[Outcome[Work, None]]:
        return run(turns, progress.counting("readings", reader.take), options.concurrency, deadline)

    for outcome in itertools.chain(*together(read_logs, put_questions)):
        record, turn = outcome.target
        if outcome.error is not None or not outcome.finished:
            record.end(turn, unfinished(outcome.error, outcome.started))
    later = look_again(transport, [record.instance for record in asked], options.samples, deadline)
    report = Report()
    for record in records:
        after, restarted = later.get(record.instance.key, (None, None))
        document = record.document(after, restarted)
        store.keep(record.instance.folders, "status.json", json_bytes(document))
        if len(records) <= max_documents:
            report.documents.append(document)
    store.finish(store.rows)
    report.rows = store.rows
    return report


def target_of(instance: Instance, question: Question) -> HttpTarget | None:
    """Where to ask; None where the component does not answer this."""
    http = http_of(component_of(instance.component), instance.ports)
    if http is None or question.endpoint not in http.endpoints:
        return None
    path = endpoint_path(question.endpoint, question.database)
    return HttpTarget(http.scheme, http.port_among(instance.ports), path)


def _record(instance: Instance, options: Options, store: Store) -> Record:
    """What is asked of this instance. What it does not offer has a row that says so, and is not asked."""
    offered = [question for question in options.questions if target_of(instance, question)]
    turns = []
    if offered:
        turns = [Turn(number, tuple(offered)) for number in range(1, options.samples + 1)]
    http = target_of(instance, PING)
    if options.certificates and http and http.scheme == "https":
        turns.append(Turn(1, (Question(CERTIFICATE),), sample=False))
    if options.log_seconds:
        turns.append(Turn(1, (Question(LOG),), sample=False))
    record = Record(instance, turns, store)
    known = instance.component in COMPONENTS or http
    reason = Reason.NOT_OFFERED if known else Reason.NO_PORT
    record.note([question for question in options.questions if question not in offered], verdict(reason))
    return record


def _is_asked(record: Record) -> bool:
    """Whether anything is asked of it; one that does not run has its refusals recorded."""
    refusal = refuse_by_state(record.instance)
    if refusal is not None:
        record.refuse(refusal.verdict)
    return refusal is None


_NOT_PINGED = verdict(Reason.NOT_ASKED, "/ping was not answered")


class _Reader:
    """Takes the turns of all records, on many threads."""

    def __init__(self, transport: Transport, store: Store, options: Options, deadline: Deadline) -> None:
        self._transport = transport
        self._store = store
        self._options = options
        self._deadline = deadline
        self._nodes = Caps(options.node_concurrency)

    def take(self, work: Work) -> None:
        """One turn, from waiting for its moment to its rows."""
        record, turn = work
        number = record.turns.index(turn)
        if turn.sample and number:
            moment = record.begun + number * self._options.interval - time.monotonic()
            self._deadline.wait(max(0.0, moment))
        waiting = self._deadline.beside(self._options.timeout, "instance")
        if number and not record.wait_for(record.turns[number - 1], self._within(waiting).remaining()):
            record.end(turn, verdict(Reason.NOT_ASKED, "what was asked before had not ended"))
            return
        deadline = self._deadline.beside(self._options.timeout, "instance")
        left = verdict(Reason.RUN_DEADLINE)
        try:
            if not self._deadline.expired:
                with self._nodes.hold(record.instance.node, self._within(deadline)):
                    left = self._ask_all(record, turn, deadline)
        except DeadlineExceeded:
            left = verdict(Reason.NOT_ASKED, "all the time others of its node were asked")
        record.end(turn, left)

    def take_log(self, work: Work) -> None:
        """Read a log. Whether the process hangs does not matter to it, and so it waits for no other turn."""
        record, turn = work
        deadline = self._deadline.beside(self._options.timeout, "instance")
        for question in turn.questions:
            self._ask(record, turn, question, self._within(deadline))
        record.end(turn, verdict(Reason.RUN_DEADLINE))

    def _within(self, deadline: Deadline, scope: str = "instance") -> Deadline:
        """The same moment, unless the run's deadline comes before it."""
        return self._deadline.child(deadline.remaining(), scope)

    def _ask_all(self, record: Record, turn: Turn, deadline: Deadline) -> Verdict:
        """Put the questions of a turn; the verdict on those that were not put."""
        record.begin(turn)
        if record.hangs and not turn.sample:
            return _NOT_PINGED
        # Whether /ping was not answered, and nothing since.
        silent = False
        for number, question in enumerate(turn.questions):
            if deadline.expired or self._deadline.expired:
                break
            # A share of the instance's time, not of the run's: towards its end that would be none.
            seconds = min(deadline.remaining() / (len(turn.questions) - number), self._longest(turn, question, silent))
            share = deadline.child(seconds, "endpoint")
            outcome = self._ask(record, turn, question, self._within(share, "endpoint"))
            if outcome.reason is Reason.GONE:
                return outcome
            if outcome.reason is not Reason.NO_ANSWER:
                silent = record.hangs = False
            elif silent or (record.hangs and question == PING):
                record.hangs = True
                return _NOT_PINGED
            else:
                silent = question == PING
        return verdict(Reason.RUN_DEADLINE) if self._deadline.expired else verdict(Reason.NOT_ASKED, "no time was left")

    def _longest(self, turn: Turn, question: Question, silent: bool) -> float:
        """The seconds that a question is given at most. silent: /ping was not answered before it."""
        if question == PING or not turn.sample:
            # As much as there would be for it if all endpoints were asked for.
            return self._options.timeout / len(ENDPOINTS)
        return SHORT_SECONDS if silent else self._options.timeout

    def _ask(self, record: Record, turn: Turn, question: Question, deadline: Deadline) -> Verdict:
        """One question: its answer kept, its row made. Nothing that the target does is an exception."""
        record.ask(turn, question)
        answer = _Answer(verdict(Reason.ERROR))
        started, clock = utc_text(utc_now()), time.monotonic()
        try:
            self._questioned(record, turn, question, deadline, answer)
        except CaptureError as error:
            answer.outcome = error.verdict
        except DeadlineExceeded as error:
            answer.outcome = verdict(Reason.NO_ANSWER, str(error))
        duration = time.monotonic() - clock
        if answer.outcome.reason is Reason.NO_ANSWER and self._deadline.expired:
            # It may have been about to answer: that it hangs is not said of it.
            answer.outcome = verdict(Reason.RUN_DEADLINE, f"it was given {duration:.1f} s")
        if answer.document is not None and question.endpoint == "ping":
            answer.document["duration_ms"] = round(1000 * duration, 1)
        artifact = None
        if answer.kept:
            artifact = self._store.keep(record.instance.folders, answer.file, answer.kept)
        entry = row(
            record.instance, question.capture, answer.outcome, turn.number, artifact, started, duration, answer.details
        )
        record.answer(turn, question, entry, answer.document)
        return answer.outcome

    def _questioned(self, record: Record, turn: Turn, question: Question, deadline: Deadline, answer: _Answer) -> None:
        if question.endpoint == LOG:
            self._read_log(record.instance, deadline, answer)
        elif question.endpoint == CERTIFICATE:
            self._read_certificate(record, deadline, answer)
        else:
            self._read_endpoint(record, turn, question, deadline, answer)

    def _read_endpoint(
        self, record: Record, turn: Turn, question: Question, deadline: Deadline, answer: _Answer
    ) -> None:
        target = _existing(target_of(record.instance, question))
        answer.details["port"] = target.port
        got = self._transport.http_get(record.instance, target, deadline, self._options.max_bytes)
        answer.details["http_status"] = got.status
        reading = parse_response(question.endpoint, got.status, got.headers, got.body, got.cut_by)
        answer.outcome, answer.document = reading.outcome, reading.document
        good = reading.document is not None
        if not good:
            answer.kept = got.body[:KEPT_OF_BAD_BODY]
        elif self._options.bodies == "all":
            answer.kept = got.body
        ending = "json" if good and question.endpoint not in TEXTS else "txt"
        answer.file = f"{question.name.replace('/', '.')}-{turn.number}.{ending}"

    def _read_certificate(self, record: Record, deadline: Deadline, answer: _Answer) -> None:
        target = _existing(target_of(record.instance, PING))
        der = self._transport.certificate(record.instance, target, deadline)
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
        # What is cut to the limit begins with a whole line, and so is shorter by up to a line.
        truncated = len(data) > limit - min(LONGEST_LINE, limit // 2)
        answer.document = log_document(data, seconds, truncated)
        answer.details.update(bytes=len(data), truncated=truncated)
        answer.outcome = verdict(Reason.RECORDED)


def _existing(target: HttpTarget | None) -> HttpTarget:
    if target is None:
        raise CaptureError(Reason.NO_PORT)
    return target


@dataclass
class _Answer:
    """What came of one question. kept: the bytes for the artifact of that file name."""

    outcome: Verdict
    document: dict[str, Any] | None = None
    kept: bytes = b""
    file: str = ""
    details: dict[str, Any] = field(default_factory=dict)
