# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schemas of the documents that an audit reads: status.json of an instance, cluster.json of an access point.

Rules see only the keys that are listed here. Units are in the names, as in the documents.
docs/schemas describes the documents as they are written. These schemas are wider where an audit also reads documents
of older releases.
"""

from __future__ import annotations

from ..catalog import ENDPOINTS
from ..vocabulary import State
from .schema_checks import Schema, choice, each, flag, name, number, record, text

STATUS_FORMAT = "cloudpods.diagnostics/status"
CLUSTER_FORMAT = "cloudpods.diagnostics/cluster-status"
VERSION = 1

# Collected of an instance besides its endpoints.
CERTIFICATE, LOG = "certificate", "log"
WINDOW = "window"
SAMPLED = ENDPOINTS


def _numbers(*keys: str) -> dict[str, Schema]:
    return dict.fromkeys(keys, number)


def _texts(*keys: str) -> dict[str, Schema]:
    return dict.fromkeys(keys, text)


_INSTANCE_TEXTS = (
    "namespace",
    "node",
    "container",
    "owner",
    "state_detail",
    "image",
    "image_id",
    "started",
    "last_end",
    "last_started",
    "last_ended",
)
# Only what shows that a process does not run. Set by the host transport.
_PROCESS = record({}, _texts("state", "waits_in"), state="", waits_in="")
INSTANCE = record(
    {"cluster": name, "component": name, "name": name, "state": choice(*(state.value for state in State))},
    dict(_texts(*_INSTANCE_TEXTS), ready=flag, restarts=number, read_only=flag, process=_PROCESS),
    ready=False,
    restarts=0,
    read_only=False,
    **dict.fromkeys(_INSTANCE_TEXTS, ""),
)
EXPECTED = each(text)
MISSING = each(record({"endpoint": text, "reason": text}, {"sample": number, "message": text}, sample=1, message=""))

SAMPLE: dict[str, Schema] = {
    "ping": record({"answered": flag}, {"duration_ms": number}),
    "version": record({"text": text}, _texts("branch", "commit", "built"), branch="", commit="", built=""),
    # Without its paths: they are most of the document, and their totals since the start say little. The window has the
    # paths that were called between the samples.
    "stats": record(
        _numbers("hits_2xx", "hits_4xx", "hits_5xx"), _numbers("duration_2xx_ms", "duration_4xx_ms", "duration_5xx_ms")
    ),
    "worker_stats": record(
        {
            "workers": each(
                record(
                    dict(_numbers("active", "max", "detached", "queue", "queue_capacity"), name=text),
                    {"backlog": number, "db_worker": flag, "allow_overflow": flag},
                    db_worker=False,
                    allow_overflow=False,
                )
            )
        }
    ),
    "db_stats": record(
        {
            "databases": each(
                record(
                    dict(_numbers("max_open_connections", "in_use"), name=text),
                    _numbers(
                        "open_connections",
                        "idle",
                        "wait_count",
                        "wait_duration_ns",
                        "max_idle_closed",
                        "max_idle_time_closed",
                        "max_lifetime_closed",
                    ),
                )
            )
        }
    ),
    "process_stats": record(_numbers("goroutines", "heap_alloc_bytes"), _numbers("cpu_percent", "memory_percent")),
}

_RATES = ("requests", "requests_per_second", "errors_5xx", "errors_5xx_per_second", "error_ratio", "mean_duration_ms")
_ENDS = ("goroutines_first", "goroutines_last", "heap_alloc_bytes_first", "heap_alloc_bytes_last")
WINDOW_SCHEMA = record(
    {"seconds": number, "reset": flag},
    dict(
        _numbers(*_RATES, *_ENDS),
        restarted=flag,
        paths=each(
            record(
                dict(_texts("method", "path"), requests=number),
                dict(
                    _numbers("requests_per_second", "errors_4xx", "errors_5xx", "error_ratio", "mean_duration_ms"),
                    name=text,
                ),
            )
        ),
        databases=each(record({"name": text}, _numbers("waits", "waits_per_second", "mean_wait_ms"))),
        workers=each(
            record(
                dict(_numbers("queue_first", "queue_last", "max", "queue_capacity"), name=text),
                _numbers("queue_min", "active_first", "active_last", "detached_first", "detached_last"),
            )
        ),
    ),
)
# Endpoint -> the key of the window that is null if the endpoint could not be compared between the samples.
WINDOW_SIGN = {
    "stats": "requests",
    "worker_stats": "workers",
    "db_stats": "databases",
    "process_stats": "goroutines_first",
}

CERTIFICATE_SCHEMA = record(
    {"not_after": text, "days_left": number}, _texts("subject", "issuer"), subject="", issuer=""
)
# The last lines of one pattern without a long pause between two. Optional: older releases did not write it.
_EPISODE = record({"count": number}, _texts("first", "last", "line"), first="", last="", line="")
_BUSY = ("cycles_first", "cycles_last", "cycles_max", "queue_first", "queue_last", "queue_most", "queue_reports")
LOG_SCHEMA = record(
    {
        "seconds": number,
        "patterns": each(
            record(
                {"id": text, "count": number},
                {
                    "first": text,
                    "last": text,
                    "pools": each(record({"name": text, "count": number})),
                    "samples": each(text),
                    "episode": _EPISODE,
                },
                first="",
                last="",
                pools=[],
                samples=[],
            )
        ),
    },
    {
        "bytes": number,
        "lines": number,
        "last": text,
        "starts": each(text),
        "truncated": flag,
        "busy": each(
            record(
                {"name": text}, dict(_numbers(*_BUSY), seconds=number, last=text), last="", **dict.fromkeys(_BUSY, 0)
            )
        ),
    },
    last="",
    starts=[],
    truncated=False,
    busy=[],
)

WORKLOADS = each(
    record(
        dict(_texts("kind", "name", "component"), desired=number, ready=number),
        {"namespace": text, "read_only": flag},
        namespace="",
        read_only=False,
    )
)
CLUSTER = record(
    {"cluster": name, "transport": text, "components": each(text), "named": flag},
    {
        "workloads": WORKLOADS,
        "workloads_known": flag,
        "problems": each(record({"place": text, "reason": text}, {"message": text}, message="")),
    },
    workloads=[],
    workloads_known=False,
    problems=[],
)
