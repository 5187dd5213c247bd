# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One question to /debug/pprof: its answer kept as it comes, proved, and its row made.

Nothing that the target does is an exception. A profile goes to its file piece by piece; it is in memory only while it
is proved, of few instances at a time.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ...bundle.store import Spool, Store, json_bytes
from ...catalog import NEVER, PPROF_EXACT, component_of, endpoint_path
from ...deadline import Deadline, DeadlineExceeded
from ...model import Artifact, Instance, LedgerRow, row, utc_now, utc_text
from ...pprof import CAPTURE_PREFIX, SYMBOL_PATH, Kind
from ...profiles.symbols import batches, parse_symbol_answer
from ...profiles.validation import index_text, listed, validate
from ...reasons import CaptureError, Reason, Verdict, verdict
from ...redact.redactor import count_markers
from ...stacks.parse import parse
from ...status.responses import error_verdict, parse_response, truncated_verdict
from ...text import printable, size
from ...transports.base import HttpAnswer, Transport
from . import load_guard as cost
from .job import NAMES, Subject

# Of an answer that is no profile: a command line, names, the figures of workers.
SMALL_BYTES = 4 << 20
PROOFS_AT_A_TIME = 2
_SMALL = frozenset(("index", "cmdline", "symbol"))
# What is held in memory and kept in another form: a command line without its secrets, the index as text.
_HELD = frozenset(("cmdline", "index"))
_ERRORS = (CaptureError, DeadlineExceeded)


class Taker:
    """Asks, keeps and proves; may be used from many threads. run_deadline: what is cut off by it is said to be so."""

    def __init__(self, transport: Transport, store: Store, max_bytes: int, run_deadline: Deadline) -> None:
        self._transport = transport
        self._store = store
        self._max_bytes = max_bytes
        self._run_deadline = run_deadline
        self._proofs = threading.Semaphore(PROOFS_AT_A_TIME)

    def take(
        self,
        subject: Subject,
        kind: Kind,
        path: str,
        deadline: Deadline,
        details: dict[str, Any],
        is_first: bool = False,
    ) -> LedgerRow:
        """One profile. details: what the row is to say besides. is_first: it is not known whether profiling is on."""
        started, clock = utc_text(utc_now()), time.monotonic()
        target = subject.target(path)
        details["port"] = target.port
        most = min(self._max_bytes, SMALL_BYTES) if kind.name in _SMALL else self._max_bytes
        artifact = None
        with self._store.spool(subject.instance.folders, kind.file) as spool:
            raw = bytearray()
            sink = raw.extend if kind.name in _HELD else spool.write
            try:
                got = self._transport.http_get(subject.instance, target, deadline, most, sink)
            except _ERRORS as error:
                outcome = self._verdict(error, deadline)
            else:
                details["http_status"] = got.status
                if raw:
                    spool.write(self._shown(kind, bytes(raw), details))
                refused = _refused(subject, got, is_first)
                answered = (subject, kind, got, spool, details, bytes(raw) if kind.name == "index" else None)
                outcome, artifact = (refused, None) if refused else self._answered(*answered)
        return row(subject.instance, kind.capture, outcome, 1, artifact, started, time.monotonic() - clock, details)

    def _shown(self, kind: Kind, raw: bytes, details: dict[str, Any]) -> bytes:
        """What is kept of an answer that is not kept as it came."""
        if kind.name == "index":
            return index_text(raw) if listed(raw) else raw
        shown = self._store.redactor.data(raw)
        details["hidden"] = sum(count_markers(shown).values())
        return shown

    def _answered(
        self,
        subject: Subject,
        kind: Kind,
        got: HttpAnswer,
        spool: Spool,
        details: dict[str, Any],
        raw: bytes | None,
    ) -> tuple[Verdict, Artifact | None]:
        """The verdict on an answer of success, and its file, which is there before anything is made of it.

        raw: the answer, where another form of it is kept.
        """
        artifact = spool.keep() if spool.size else None
        if got.cut_by == "time" and self._run_deadline.expired:
            return verdict(Reason.BODY_CUT, f"the deadline of the whole run passed after {size(spool.size)}"), artifact
        if got.cut_by == "size":
            said = f"it was read up to {size(spool.size)}; cloudpods_profile_max_bytes may be raised"
            return verdict(Reason.BODY_TOO_LARGE, said), artifact
        if got.cut_by:
            return truncated_verdict(got.cut_by, spool.size), artifact
        with self._proofs:
            return self._prove(subject.instance, kind, spool.content() if raw is None else raw, details), artifact

    def _prove(self, instance: Instance, kind: Kind, data: bytes, details: dict[str, Any]) -> Verdict:
        proof = validate(kind.name, data)
        details.update(proof.details)
        dumps = parse(data).dumps if kind.debug else []
        if dumps:
            name = kind.file.rpartition(".")[0] + ".json"
            details["parsed"] = self._store.keep(instance.folders, name, json_bytes(dumps[0].to_dict())).path
        return proof.verdict

    def name(self, subject: Subject, addresses: list[int], deadline: Deadline) -> tuple[LedgerRow, dict[int, str]]:
        """The names of addresses, and the row of that question."""
        started, clock = utc_text(utc_now()), time.monotonic()
        names: dict[int, str] = {}
        details: dict[str, Any] = {"addresses": len(addresses)}
        outcome = verdict(Reason.RECORDED)
        try:
            for batch in batches(addresses):
                target = subject.target(SYMBOL_PATH, batch.encode())
                got = self._transport.http_post(subject.instance, target, deadline, SMALL_BYTES)
                details["http_status"] = got.status
                refused = _refused(subject, got, is_first=False)
                if refused is not None or got.cut_by:
                    outcome = refused or truncated_verdict(got.cut_by, len(got.body))
                    break
                outcome = validate("symbol", got.body).verdict
                names.update(parse_symbol_answer(got.body))
        except _ERRORS as error:
            outcome = self._verdict(error, deadline)
        # It may answer with whatever it likes; only what was asked for is taken.
        names = {address: printable(names[address]) for address in addresses if address in names}
        details["named"] = len(names)
        artifact = None
        if names:
            text = "".join(f"{address:#x} {name}\n" for address, name in names.items())
            artifact = self._store.keep(subject.instance.folders, "names.txt", text.encode("utf-8", "replace"))
        capture = CAPTURE_PREFIX + NAMES
        return row(subject.instance, capture, outcome, 1, artifact, started, time.monotonic() - clock, details), names

    def _verdict(self, error: CaptureError | DeadlineExceeded, deadline: Deadline) -> Verdict:
        """The verdict on a question without an answer. What the run's deadline cut off may have been about to come."""
        outcome = error.verdict if isinstance(error, CaptureError) else verdict(Reason.NO_ANSWER, str(error))
        if outcome.reason is Reason.NO_ANSWER and self._run_deadline.expired and deadline.expired:
            return verdict(Reason.RUN_DEADLINE)
        return outcome


def look_at_pool(transport: Transport, subject: Subject, deadline: Deadline) -> tuple[cost.Pool | None, Verdict | None]:
    """The workers of the service, or why they cannot be seen."""
    if not cost.has_pool(subject.http):
        return None, None
    target = subject.target(endpoint_path(cost.WORKERS))
    try:
        got = transport.http_get(subject.instance, target, deadline, SMALL_BYTES)
    except CaptureError as error:
        return None, error.verdict
    except DeadlineExceeded as error:
        return None, verdict(Reason.NO_ANSWER, str(error))
    reading = parse_response(cost.WORKERS, got.status, got.headers, got.body, got.cut_by)
    pool = cost.pool_of(reading.document)
    return pool, None if pool else reading.outcome


def _refused(subject: Subject, got: HttpAnswer, is_first: bool) -> Verdict | None:
    """The verdict on an answer that is none of success; None for one of success."""
    outcome = error_verdict(got.status, got.headers, got.body)
    if outcome is None:
        return None
    # A scheduler wants a token for every path that it does not know.
    is_unknown = got.status == 404 or (got.status == 401 and subject.http.pprof == PPROF_EXACT)
    if is_unknown and is_first:
        return verdict(Reason.PROFILING_OFF, _left(subject.instance))
    return verdict(Reason.NOT_REGISTERED, f"{got.status}") if is_unknown else outcome


def _left(instance: Instance) -> str:
    """What there is instead for a component that does not dump on SIGUSR1 either."""
    component = component_of(instance.component)
    if component.usr1 != NEVER:
        return ""
    return f"and SIGUSR1 makes no dump here, {component.instead or 'so its log and status are what is left'}"
