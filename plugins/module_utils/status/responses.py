# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse HTTP responses of the status endpoints into documents with named units, or into reasons for failure. Pure.

The formats are those of cloudpods (pkg/appsrv/handlers.go, stats.go, workers.go, process.go, pkg/cloudcommon/db). The
documents are described in docs/schemas/status.schema.json. No input raises an exception.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable

from ..json_values import BadValue, Fields, json_object, text_of
from ..reasons import Reason, Verdict, peer_text, verdict
from ..sanitize import clean

CLASSES = ("2xx", "4xx", "5xx")

# Written as "<branch>(<commit><yymmddhh>)" by yunion.io/x/pkg/util/version, GetShortString().
_VERSION = re.compile(r"(?P<branch>[^()]*)\((?P<commit>[^()]*?)(?P<built>\d{8})?\)")
_BY_STATUS = {
    403: Reason.USER_AGENT_REFUSED,
    404: Reason.NO_ENDPOINT,
    429: Reason.QUEUE_FULL,
    504: Reason.PROCESS_TIMEOUT,
}


@dataclass(frozen=True)
class StatusLimits:
    """Upper bounds for the entries of a document. A real region has 2,221 paths and 32 pools.

    paths: paths that are read. kept_paths: paths with requests in the document. workers: pools in the document.
    """

    paths: int = 20_000
    kept_paths: int = 2_000
    workers: int = 1_000


LIMITS = StatusLimits()


@dataclass(frozen=True)
class StatusReading:
    """Verdict on one response, and its document if it has one."""

    outcome: Verdict
    document: dict[str, Any] | None = None


def parse_response(
    endpoint: str,
    status: int,
    headers: dict[str, str],
    body: bytes,
    truncated_by: str = "",
    limits: StatusLimits = LIMITS,
) -> StatusReading:
    """Parse one response.

    truncated_by: why the body is incomplete ("size", "time", "end"), or "".
    """
    refusal = error_verdict(status, headers, body)
    if refusal is not None:
        return StatusReading(refusal)
    if truncated_by:
        return StatusReading(truncated_verdict(truncated_by, len(body)))
    try:
        document = _PARSERS[endpoint](body, limits)
    except BadValue as error:
        return StatusReading(verdict(Reason.NOT_JSON, str(error)))
    return StatusReading(verdict(Reason.RECORDED, _worth_saying(document)), document)


def error_verdict(status: int, headers: dict[str, str], body: bytes) -> Verdict | None:
    """Return the verdict on an unsuccessful response, or None for a successful one."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return verdict(Reason.REDIRECTED, f"{status} to {clean(headers.get('location', '?'), 120)}")
    reason = _BY_STATUS.get(status) or (Reason.SERVER_ERROR if status >= 500 else Reason.UNEXPECTED_STATUS)
    return verdict(reason, _said(status, body))


def _said(status: int, body: bytes) -> str:
    """Return the error text of a body: {"class", "code", "details"} as services write it, or any other text."""
    try:
        document = json_object(body[:65536])
        words = document.get("details") or document.get("message")
    except BadValue:
        words = body[:65536].decode("utf-8", "replace").strip()
    return f"{status} {peer_text(words, 160)}" if isinstance(words, str) and words else str(status)


def truncated_verdict(truncated_by: str, size: int) -> Verdict:
    """Return the verdict on a truncated body.

    size: bytes received. truncated_by: why there are no more.
    """
    if truncated_by == "size":
        return verdict(Reason.BODY_TOO_LARGE, f"only the first {size} bytes were read")
    why = "the deadline passed" if truncated_by == "time" else "the response ended early"
    return verdict(Reason.BODY_CUT, f"{why} after {size} bytes")


def _worth_saying(document: dict[str, Any]) -> str:
    left_out = document.get("paths_left_out") or document.get("workers_left_out")
    if left_out:
        return f"{left_out} more entries are only in the raw body"
    if document.get("databases") == []:
        return "the service has no such database"
    return ""


def _ping(_body: bytes, _limits: StatusLimits) -> dict[str, Any]:
    # Any successful response counts, because services answer with different texts.
    return {"answered": True}


def _version(body: bytes, _limits: StatusLimits) -> dict[str, Any]:
    """Parse a line such as release/4.0(2de295222d26082106). A line of another form is kept unparsed."""
    text = text_of(body).strip()
    if not text or len(text) > 200 or text != clean(text) or text[0] in "<{":
        raise BadValue(f"it is not a version: {clean(text, 60)!r}")
    match = _VERSION.fullmatch(text)
    parts = match.groupdict("") if match else {"branch": "", "commit": "", "built": ""}
    return {"text": text, **parts}


def _hits(fields: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in CLASSES:
        found[f"hits_{name}"] = fields.count(f"hit.{name.upper()}")
        found[f"duration_{name}_ms"] = fields.number(f"duration.{name.upper()}")
    return found


_IDLE = (0, 0, 0)


def _stats(body: bytes, limits: StatusLimits) -> dict[str, Any]:
    """Parse the totals since start. Only paths with requests are kept; most paths are never requested."""
    fields = Fields(json_object(body), "the document")
    entries = fields.items("paths")
    # Paths without requests need no checks. There are thousands of them, so they are skipped here for speed.
    used = [
        number
        for number, entry in enumerate(entries[: limits.paths])
        if not isinstance(entry, dict) or (entry.get("hit.2XX"), entry.get("hit.4XX"), entry.get("hit.5XX")) != _IDLE
    ]
    kept = [_path(Fields(entries[number], f"paths[{number}]")) for number in used[: limits.kept_paths]]
    left_out = len(used) - len(kept) + max(0, len(entries) - limits.paths)
    document = {**_hits(fields), "paths": kept, "paths_total": len(entries)}
    return {**document, "paths_left_out": left_out} if left_out else document


def _path(fields: Fields) -> dict[str, Any]:
    return {"method": fields.text("method"), "path": fields.text("path"), "name": fields.text("name"), **_hits(fields)}


def _worker_stats(body: bytes, limits: StatusLimits) -> dict[str, Any]:
    entries = Fields(json_object(body), "the document").items("workers")
    workers = [_worker(Fields(entry, f"workers[{number}]")) for number, entry in enumerate(entries[: limits.workers])]
    left_out = len(entries) - len(workers)
    return {"workers": workers, "workers_left_out": left_out} if left_out else {"workers": workers}


def _worker(fields: Fields) -> dict[str, Any]:
    worker: dict[str, Any] = {
        "name": fields.text("name"),
        "active": fields.count("active_worker_cnt"),
        "max": fields.count("max_worker_cnt"),
        "detached": fields.count("detach_worker_cnt"),
        "queue": fields.count("queue_cnt"),
        "backlog": fields.count("backlog"),
    }
    worker["queue_capacity"] = worker["max"] * worker["backlog"]
    # Older releases lack these fields.
    worker.update({name: fields.flag(name) for name in ("db_worker", "allow_overflow") if name in fields})
    return worker


_OPTIONAL_DB = ("max_idle_closed", "max_idle_time_closed", "max_lifetime_closed")


def _db_stats(body: bytes, _limits: StatusLimits) -> dict[str, Any]:
    """Parse the statistics of one database, or none if the service has no such database. wait_duration is in ns."""
    data = json_object(body)
    if data.get("db_stats", {}) == {}:
        return {"databases": []}
    inner = Fields(data, "the document").inner("db_stats")
    counts = ("max_open_connections", "open_connections", "in_use", "idle", "wait_count")
    database: dict[str, Any] = {name: inner.count(name) for name in counts}
    database["wait_duration_ns"] = inner.count("wait_duration")
    # Which of these exist depends on the Go release that built the service.
    database.update({name: inner.count(name) for name in _OPTIONAL_DB if name in inner})
    return {"databases": [{"name": "", **database}]}


_PROCESS: tuple[tuple[str, str, Callable[[Fields, str], Any]], ...] = (
    ("cpu_percent", "cpu_percent", Fields.number),
    ("mem_percent", "memory_percent", Fields.number),
    ("mem_size", "heap_alloc_bytes", Fields.count),
    ("goroutine_num", "goroutines", Fields.count),
)


def _process_stats(body: bytes, _limits: StatusLimits) -> dict[str, Any]:
    """Parse process statistics. cpu_percent: average since start. memory_percent: resident part of the machine's."""
    fields = Fields(json_object(body), "the document").inner("process_stats")
    found = {name: read_field(fields, key) for key, name, read_field in _PROCESS if key in fields}
    if not found:
        raise BadValue("the document: process_stats is empty")
    return found


_PARSERS: dict[str, Callable[[bytes, StatusLimits], dict[str, Any]]] = {
    "ping": _ping,
    "version": _version,
    "stats": _stats,
    "worker_stats": _worker_stats,
    "process_stats": _process_stats,
    "db_stats": _db_stats,
}
