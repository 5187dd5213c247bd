# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service in memory that has /debug/pprof, with the smallest valid answer of each kind.

Of a trace only the beginning: what makes a whole one is in the tests with real services.
"""

from __future__ import annotations

import gzip
import json

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import HttpAnswer, HttpTarget
from fake_transport import JSON, dump_text, healthy

BINARY = {"content-type": "application/octet-stream"}
TEXT = {"content-type": "text/plain; charset=utf-8"}
ROOT = "/debug/pprof/"
GET_POOL = "HttpGetRequestWorkerManager"
TYPES = {
    "goroutine": [("goroutine", "count")],
    "threadcreate": [("threadcreate", "count")],
    "block": [("contentions", "count"), ("delay", "nanoseconds")],
    "profile": [("samples", "count"), ("cpu", "nanoseconds")],
    "heap": [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ],
}
TYPES["allocs"], TYPES["mutex"] = TYPES["heap"], TYPES["block"]
DEBUG2 = (
    b"goroutine 7 [running]:\nruntime/pprof.writeGoroutineStacks({0x1, 0x2})\n\t/go/pprof.go:9 +0x6a\n"
    b"created by net/http.(*Server).Serve in goroutine 1\n\t/go/server.go:3 +0x4b\n\n"
    b"goroutine 1 [chan receive, 5 minutes]:\nmain.main()\n\t/src/main.go:7 +0x1d\n"
)
CMDLINE = b"/opt/yunion/bin/region\0--config\0/etc/yunion/region.conf\0--sql-password\0very-secret"
INDEX = (
    b"<html>\n<head>\n<title>/debug/pprof/</title>\n</head>\n<body>\n/debug/pprof/\n<table>\n"
    b"<tr><td>3</td><td><a href='goroutine?debug=1'>goroutine</a></td></tr>\n"
    b"<tr><td>0</td><td><a href='profile?debug=1'>profile</a></td></tr>\n</table>\n</body>\n</html>\n"
)


def number(value: int) -> bytes:
    """Return a varint."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def value(field: int, content: int) -> bytes:
    return number(field << 3) + number(content)


def message(field: int, content: bytes) -> bytes:
    return number(field << 3 | 2) + number(len(content)) + content


def profile(path: str, empty: bool = False) -> bytes:
    """Return a profile of one sample (or none) in main.work, in pprof's profile.proto."""
    words = ["", "main.work", "/src/main.go"]
    made = b""
    for name, unit in TYPES[path]:
        made += message(1, value(1, len(words)) + value(2, len(words) + 1))
        words += [name, unit]
    if not empty:
        values = b"".join(number(5) for _type in TYPES[path])
        made += message(2, message(1, number(1)) + message(2, values))
        made += message(4, value(1, 1) + message(4, value(1, 1) + value(2, 7)))
        made += message(5, value(1, 1) + value(2, 1) + value(3, 1) + value(4, 2))
    made += b"".join(message(6, word.encode()) for word in words)
    return gzip.compress(made)


def workers(active: int = 0, queue: int = 0, detached: int = 0, most: int = 8) -> bytes:
    """Return the /worker_stats answer for the pool that serves GET requests."""
    pool = {"name": GET_POOL, "backlog": 80, "queue_cnt": queue, "max_worker_cnt": most, "active_worker_cnt": active}
    pool.update(detach_worker_cnt=detached, db_worker=True, allow_overflow=False)
    return json.dumps({"workers": [pool]}).encode()


def profiling(target: HttpTarget) -> HttpAnswer:
    """Return the answers of an idle service with pprof enabled."""
    if target.path == "/worker_stats":
        return HttpAnswer(200, JSON, workers())
    if not target.path.startswith(ROOT):
        return healthy(target)
    name, _mark, words = target.path[len(ROOT) :].partition("?")
    if name == "symbol":
        named = b"".join(address + b" main.work\n" for address in target.body.split(b"+") if address == b"0x401000")
        return HttpAnswer(200, TEXT, b"num_symbols: 1\n" + named)
    if "debug" in words:
        return HttpAnswer(200, TEXT, DEBUG2 if words == "debug=2" else dump_text())
    if name in TYPES:
        return HttpAnswer(200, BINARY, profile(name, empty=name in ("block", "mutex")))
    bodies = {"": INDEX, "cmdline": CMDLINE, "trace": b"go 1.23 trace\0\0\0"}
    return HttpAnswer(200, BINARY if name == "trace" else TEXT, bodies[name])


def exact_only(target: HttpTarget) -> HttpAnswer:
    """Return the answers of a service that has only the exact paths."""
    name = target.path[len(ROOT) :].partition("?")[0]
    return healthy(HttpTarget("", 0, "/nothing")) if name in set(TYPES) - {"profile"} else profiling(target)
