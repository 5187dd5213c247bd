# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rank groups of equal stacks by their value for diagnosis, and fold their frames. Pure; parsed dumps are untrusted.

The largest groups are rarely the interesting ones: while one table of a region was locked, 8 workers blocked
everything, and two groups of 648 goroutines were requests that waited for them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterable, Sequence

# Main function of a pool worker, which calls its tasks (cloudpods pkg/appsrv/workers.go).
WORKER = "pkg/appsrv.(*SWorker).run"
# Function that waits for a free database connection (Go's database/sql/sql.go).
WAITS_FOR_CONNECTION = "database/sql.(*DB).conn"

# Functions in which a goroutine waits for data of a connection (Go's internal/poll).
_READS = "internal/poll.runtime_pollWait"
# (innermost, outermost function, "" for any) -> description. These goroutines wait for others: they show which requests
# are blocked, but not the cause. Sources: cloudpods pkg/appsrv/response.go; Go's net/http/server.go (a background read
# for each request in progress).
WAITING = {
    ("pkg/appsrv.(*responseWriterChannel).wait", ""): "requests that wait for a worker or for its answer",
    (_READS, "net/http.(*connReader).backgroundRead"): "background reads of requests in progress",
}

# Stacks of one frame in every idle service: watches in etcd, timers, helpers of open connections. With more frames they
# are at work. Seen in a healthy, idle region (cloudpods master, Go 1.24).
IDLE_ALONE = frozenset(
    (
        "clickhouse-go.init.0",
        "context.(*cancelCtx).propagateCancel",
        "database/sql.(*DB).connectionCleaner",
        "database/sql.(*DB).connectionOpener",
        "go-sql-driver/mysql.(*mysqlConn).startWatcher",
        "go.etcd.io/etcd/client/v3.(*lessor).deadlineLoop",
        "go.etcd.io/etcd/client/v3.(*lessor).keepAliveCtxCloser",
        "go.etcd.io/etcd/client/v3.(*lessor).sendKeepAliveLoop",
        "go.etcd.io/etcd/client/v3.(*watchGrpcStream).run",
        "go.etcd.io/etcd/client/v3.(*watchGrpcStream).serveSubstream",
        "go.opencensus.io/stats/view.(*worker).start",
        "google.golang.org/grpc.newClientStreamWithParams",
        "google.golang.org/grpc/internal/grpcsync.(*CallbackSerializer).run",
        "net/http.(*persistConn).writeLoop",
        "pkg/cloudcommon/cronman.(*SCronJobManager).run",
        "pkg/cloudcommon/etcd.(*SEtcdClient).Watch",
        "pkg/cloudcommon/etcd.(*SEtcdClient).startSession",
        "util/delayedwork.(*DelayedWorkManager).Start",
    )
)
# Deeper stacks of idle services, by (innermost, outermost) function.
_RECEIVES = "google.golang.org/grpc/internal/transport.(*recvBufferReader).readClient"
IDLE = (
    ("os/signal.signal_recv", "os/signal.loop"),
    (_READS, "net/http.(*persistConn).readLoop"),
    (_READS, "google.golang.org/grpc/internal/transport.(*http2Client).reader"),
    ("google.golang.org/grpc/internal/transport.(*controlBuffer).get", "transport.newHTTP2Client"),
    (_RECEIVES, "go.etcd.io/etcd/client/v3.(*watchGrpcStream).serveWatchClient"),
    (_RECEIVES, "go.etcd.io/etcd/client/v3.(*lessor).recvKeepAliveLoop"),
)
# Functions of idle services at any depth: a server that waits for its next connection, and the writer of the dump
# itself, for SIGUSR1 or /debug/pprof.
IDLE_WITHIN = ("net.(*TCPListener).Accept", "runtime/pprof.(*Profile).WriteTo")

# Frames shown of each kind. The innermost show where a goroutine waits, the outermost what started it.
INNERMOST, OUTERMOST = 3, 2
OWN_INNERMOST, OWN_OUTERMOST = 12, 6
MOST_SHOWN = 40
# Function literal, whose number changes with the release: newHTTP2Client.func6.
_LITERAL = re.compile(r"(?:\.(?:func|gowrap)\d+(?:\.\d+)*)+\Z")
_RECEIVER = re.compile(r"[(\[]")  # receiver, or type arguments: both may contain other import paths
_OWN = "yunion.io/x/"
_LIBRARIES = ("/vendor/", "/pkg/mod/", "@v")


@dataclass(frozen=True)
class StackGroup:
    """Goroutines with equal stacks. functions, locations: of each frame, the innermost first.

    count: goroutines in all dumps. dumps: number of dumps with the stack. state: "" if the dump does not state it.
    """

    count: int
    dumps: int
    state: str
    functions: tuple[str, ...]
    locations: tuple[str, ...]

    @property
    def in_worker(self) -> bool:
        """Return whether these goroutines run in workers of a pool."""
        return any(_is(function, WORKER) for function in self.functions[1:])

    @property
    def waits_as(self) -> str:
        """Return the description in WAITING of their stack, or ""."""
        return next((description for ends, description in WAITING.items() if self._has_ends(*ends)), "")

    @property
    def is_idle(self) -> bool:
        """Return whether every idle service has these goroutines."""
        alone = len(self.functions) == 1 and any(tail in IDLE_ALONE for tail in _tails(self.functions[0]))
        return (
            alone
            or any(self._has_ends(*ends) for ends in IDLE)
            or any(_is(function, name) for function in self.functions for name in IDLE_WITHIN)
        )

    def _has_ends(self, innermost: str, outermost: str) -> bool:
        first, last = self.functions[0], self.functions[-1]
        return _is(first, innermost) and (not outermost or _is(last, outermost))


def groups_of(document: dict[str, Any] | None) -> Iterable[dict[str, Any]]:
    """Yield the well-formed groups of a parsed dump. The file is untrusted."""
    groups = (document or {}).get("groups")
    for group in groups if isinstance(groups, list) else []:
        if (
            isinstance(group, dict)
            and isinstance(group.get("count"), int)
            and isinstance(group.get("state"), (str, type(None)))
        ):
            lists = group.get("functions"), group.get("locations")
            if all(isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in lists):
                yield group


def merge_groups(documents: Iterable[dict[str, Any] | None]) -> list[StackGroup]:
    """Merge the groups of several dumps by equal stacks. Groups without frames are left out."""
    counts: Counter[tuple[str, tuple[str, ...], tuple[str, ...]]] = Counter()
    dumps: Counter[tuple[str, tuple[str, ...], tuple[str, ...]]] = Counter()
    for document in documents:
        seen = set()
        for group in groups_of(document):
            key = group.get("state") or "", tuple(group["functions"]), tuple(group["locations"])
            counts[key] += group["count"]
            seen.add(key)
        dumps.update(seen)
    return [StackGroup(count, dumps[key], *key) for key, count in counts.items() if key[1]]


def rank_groups(groups: Iterable[StackGroup]) -> list[StackGroup]:
    """Sort groups by their value for diagnosis, without those that wait for others or are idle.

    First come groups in workers of a pool, and last of these the ones that wait for a database connection. Then come
    groups with other code of the service, then the rest. Among equals the larger group comes first.
    """
    shown = [group for group in groups if not group.waits_as and not group.is_idle]
    return sorted(shown, key=lambda group: (_rank(group), -group.count, group.functions))


def _rank(group: StackGroup) -> int:
    if group.in_worker:
        return 1 if _is(group.functions[0], WAITS_FOR_CONNECTION) else 0
    return 2 if any(map(is_own, group.functions, group.locations)) else 3


def is_own(function: str, location: str) -> bool:
    """Return whether a function is code of the services, not of the standard library or a third party.

    Import paths of the standard library have no dot before the first slash. Files of third parties are below vendor or
    in the module cache.
    """
    path = package_of(function).rpartition("/vendor/")[2]
    if path == "main" or path.startswith(_OWN):
        return True
    return "." in path.partition("/")[0] and not any(place in location for place in _LIBRARIES)


def shown_frames(functions: Sequence[str], locations: Sequence[str]) -> list[str]:
    """Return the lines of a stack that matter, the innermost first; each run of other frames becomes one line.

    Shown are the innermost and outermost frames, the frames of the service, and for each other package the function
    through which it was entered.
    """
    lines = [f"{function}  {location}" for function, location in zip(functions, locations)]
    keep = _kept(functions, locations)
    result: list[str] = []
    at = 0
    while at < len(lines):
        if at in keep:
            result.append(lines[at])
            at += 1
            continue
        end = next((index for index in range(at, len(lines)) if index in keep), len(lines))
        # A single frame takes no more room than the line that replaces it.
        result.append(lines[at] if end - at == 1 else f"... {end - at} more frames ...")
        at = end
    return result


def _kept(functions: Sequence[str], locations: Sequence[str]) -> set[int]:
    count = min(len(functions), len(locations))
    own = [index for index in range(count) if is_own(functions[index], locations[index])]
    ends = {*range(min(INNERMOST, count)), *range(max(0, count - OUTERMOST), count)}
    ends.update(own[:OWN_INNERMOST], own[-OWN_OUTERMOST:])
    packages = [package_of(function) for function in functions[:count]]
    calls = [index for index in range(count - 1) if index not in own and packages[index] != packages[index + 1]]
    # In a stack that alternates between packages every frame is such a call.
    room = max(0, MOST_SHOWN - len(ends))
    return ends | set(calls[:room])


def package_of(function: str) -> str:
    """Return the import path in the full name of a function: "net/http" of "net/http.(*conn).serve"."""
    folder, slash, name = _RECEIVER.split(function, maxsplit=1)[0].rpartition("/")
    return folder + slash + name.partition(".")[0]


def innermost_own(functions: Sequence[str], locations: Sequence[str]) -> str:
    """Return the innermost function of the service's own code, or ""."""
    return next((function for function, at in zip(functions, locations) if is_own(function, at)), "")


def _is(function: str, name: str) -> bool:
    """Return whether the function has this name, ignoring its import path."""
    plain = _LITERAL.sub("", function)
    return plain == name or plain.endswith("/" + name)


def _tails(function: str) -> Iterable[str]:
    """Yield the name without the number of a function literal, and its parts after each slash."""
    tail = _LITERAL.sub("", function)
    while tail:
        yield tail
        tail = tail.partition("/")[2]
