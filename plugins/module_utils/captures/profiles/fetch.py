# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make one request to /debug/pprof: store the answer as it comes, prove that it is complete, and make its row.

A profile goes to its file piece by piece. It is in memory only while it is proved, of few instances at a time.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from ...bundle.store import Spool, json_bytes
from ...catalog import NEVER, PPROF_EXACT, component_of, endpoint_path
from ...deadline import Deadline, DeadlineExceeded
from ...model import Artifact, Instance, LedgerRow, row, utc_now, utc_text
from ...pprof import SYMBOL_PATH, Kind
from ...profiles.load_guard import WORKERS, WorkerPool, has_pool, pool_of
from ...profiles.symbols import batches, parse_symbol_answer
from ...profiles.validation import index_text, listed, validate
from ...reasons import CaptureError, Reason, Verdict, verdict
from ...redact.redactor import count_markers
from ...sanitize import printable
from ...stacks.parse import parse
from ...status.responses import error_verdict, parse_response, truncated_verdict
from ...text import size
from ...transports.base import HttpAnswer, Transport
from .job import NAMES, ProfileJob, ProfileTarget

# Of an answer that is no profile: a command line, names, the figures of workers.
SMALL_BYTES = 4 << 20
PROOFS_AT_A_TIME = 2
_SMALL = frozenset(("index", "cmdline", "symbol"))
# Held in memory and kept in another form: a command line without its secrets, the index as text.
_HELD = frozenset(("cmdline", "index"))
_ERRORS = (CaptureError, DeadlineExceeded)


class ProfileFetcher:
    """Makes requests for many threads. max_bytes: of one profile."""

    def __init__(self, transport: Transport, max_bytes: int) -> None:
        self._transport = transport
        self._max_bytes = max_bytes
        self._proofs = threading.Semaphore(PROOFS_AT_A_TIME)

    def fetch(
        self,
        job: ProfileJob,
        kind: Kind,
        path: str,
        deadline: Deadline,
        details: dict[str, Any],
        is_first: bool = False,
    ) -> LedgerRow:
        """Request one profile; return its row. Nothing that the target does is an exception.

        details: further details of the row. is_first: it is not known whether profiling is on.
        """
        started, clock = utc_text(utc_now()), time.monotonic()
        request = job.target.request(path)
        details["port"] = request.port
        most = min(self._max_bytes, SMALL_BYTES) if kind.name in _SMALL else self._max_bytes
        artifact = None
        with job.store.spool(job.instance.folders, kind.file) as spool:
            raw = bytearray()
            sink = raw.extend if kind.name in _HELD else spool.write
            try:
                got = self._transport.http_get(job.instance, request, deadline, most, sink)
            except _ERRORS as error:
                outcome = _verdict_on(error, deadline, job.deadline)
            else:
                details["http_status"] = got.status
                if raw:
                    spool.write(_kept_form(job, kind, bytes(raw), details))
                refused = _refusal(job.target, got, is_first)
                answered = (job, kind, got, spool, details, bytes(raw) if kind.name == "index" else None)
                outcome, artifact = (refused, None) if refused else self._answered(*answered)
        return row(job.instance, kind.capture, outcome, 1, artifact, started, time.monotonic() - clock, details)

    def _answered(
        self,
        job: ProfileJob,
        kind: Kind,
        got: HttpAnswer,
        spool: Spool,
        details: dict[str, Any],
        raw: bytes | None,
    ) -> tuple[Verdict, Artifact | None]:
        """Return verdict and file of a successful answer. The file is there before the answer is parsed.

        raw: the answer, if another form of it is kept.
        """
        artifact = spool.keep() if spool.size else None
        if got.truncated_by == "time" and job.deadline.expired:
            return verdict(Reason.BODY_CUT, f"the deadline of the whole run passed after {size(spool.size)}"), artifact
        if got.truncated_by == "size":
            said = f"it was read up to {size(spool.size)}; cloudpods_profile_max_bytes may be raised"
            return verdict(Reason.BODY_TOO_LARGE, said), artifact
        if got.truncated_by:
            return truncated_verdict(got.truncated_by, spool.size), artifact
        with self._proofs:
            return _prove(job, kind, spool.content() if raw is None else raw, details), artifact

    def names(self, job: ProfileJob, addresses: list[int], deadline: Deadline) -> tuple[LedgerRow, dict[int, str]]:
        """Request the names of addresses; return the row and the names."""
        started, clock = utc_text(utc_now()), time.monotonic()
        names: dict[int, str] = {}
        details: dict[str, Any] = {"addresses": len(addresses)}
        outcome = verdict(Reason.RECORDED)
        try:
            for batch in batches(addresses):
                request = job.target.request(SYMBOL_PATH, batch.encode())
                got = self._transport.http_post(job.instance, request, deadline, SMALL_BYTES)
                details["http_status"] = got.status
                refused = _refusal(job.target, got, is_first=False)
                if refused is not None or got.truncated_by:
                    outcome = refused or truncated_verdict(got.truncated_by, len(got.body))
                    break
                outcome = validate("symbol", got.body).verdict
                names.update(parse_symbol_answer(got.body))
        except _ERRORS as error:
            outcome = _verdict_on(error, deadline, job.deadline)
        # The answer is untrusted: only addresses that were asked for are taken.
        names = {address: printable(names[address]) for address in addresses if address in names}
        details["named"] = len(names)
        artifact = None
        if names:
            text = "".join(f"{address:#x} {name}\n" for address, name in names.items())
            artifact = job.store.keep(job.instance.folders, "names.txt", text.encode("utf-8", "replace"))
        return row(job.instance, NAMES, outcome, 1, artifact, started, time.monotonic() - clock, details), names


def look_at_pool(
    transport: Transport, target: ProfileTarget, deadline: Deadline
) -> tuple[WorkerPool | None, Verdict | None]:
    """Return the worker pool of a service, or the reason why it cannot be seen; None twice if it has no pool."""
    if not has_pool(target.http):
        return None, None
    request = target.request(endpoint_path(WORKERS))
    try:
        got = transport.http_get(target.instance, request, deadline, SMALL_BYTES)
    except CaptureError as error:
        return None, error.verdict
    except DeadlineExceeded as error:
        return None, verdict(Reason.NO_ANSWER, str(error))
    reading = parse_response(WORKERS, got.status, got.headers, got.body, got.truncated_by)
    pool = pool_of(reading.document)
    return pool, None if pool else reading.outcome


def _kept_form(job: ProfileJob, kind: Kind, raw: bytes, details: dict[str, Any]) -> bytes:
    """Return what is kept of an answer that is not kept as it came."""
    if kind.name == "index":
        return index_text(raw) if listed(raw) else raw
    redacted = job.store.redactor.data(raw)
    details["hidden"] = sum(count_markers(redacted).values())
    return redacted


def _prove(job: ProfileJob, kind: Kind, data: bytes, details: dict[str, Any]) -> Verdict:
    proof = validate(kind.name, data)
    details.update(proof.details)
    dumps = parse(data).dumps if kind.debug else []
    if dumps:
        name = kind.file.rpartition(".")[0] + ".json"
        details["parsed"] = job.store.keep(job.instance.folders, name, json_bytes(dumps[0].to_dict())).path
    return proof.verdict


def _verdict_on(error: CaptureError | DeadlineExceeded, deadline: Deadline, run_deadline: Deadline) -> Verdict:
    """Return the verdict on a request without an answer. If the run's deadline cut it off, it may have been coming."""
    outcome = error.verdict if isinstance(error, CaptureError) else verdict(Reason.NO_ANSWER, str(error))
    if outcome.reason is Reason.NO_ANSWER and run_deadline.expired and deadline.expired:
        return verdict(Reason.RUN_DEADLINE)
    return outcome


def _refusal(target: ProfileTarget, got: HttpAnswer, is_first: bool) -> Verdict | None:
    """Return the verdict on an answer that is no success; None for a success."""
    outcome = error_verdict(got.status, got.headers, got.body)
    if outcome is None:
        return None
    # A scheduler wants a token for every path that it does not know.
    is_unknown = got.status == 404 or (got.status == 401 and target.http.pprof == PPROF_EXACT)
    if is_unknown and is_first:
        return verdict(Reason.PROFILING_OFF, _alternative(target.instance))
    return verdict(Reason.NOT_REGISTERED, f"{got.status}") if is_unknown else outcome


def _alternative(instance: Instance) -> str:
    """Return a hint for a component that does not dump on SIGUSR1 either; "" for others."""
    component = component_of(instance.component)
    if component.usr1 != NEVER:
        return ""
    return f"and SIGUSR1 makes no dump here, {component.instead or 'so its log and status are what is left'}"
