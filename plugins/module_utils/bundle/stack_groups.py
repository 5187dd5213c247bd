# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Order groups of equal stacks by what they tell, and fold their frames. Pure; parsed dumps are untrusted input.

The largest groups are rarely the interesting ones: while one table of a region was locked, 8 workers held everything
up, and the two groups of 648 goroutines were requests that waited for them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterable, Sequence

# The function that a worker of a pool runs in, and that calls its task (cloudpods pkg/appsrv/workers.go).
WORKER = "pkg/appsrv.(*SWorker).run"
# A worker that waits for one of the database connections, all of which others hold (Go's database/sql/sql.go).
WAITS_FOR_CONNECTION = "database/sql.(*DB).conn"

# Functions in which a goroutine waits for data of a connection (Go's internal/poll).
_READS = "internal/poll.runtime_pollWait"
# (innermost, outermost function, "" for any) -> what such goroutines do. They wait for others, so they tell who is held
# up, and not by what. Sources: cloudpods pkg/appsrv/response.go; Go's net/http/server.go (a read beside each request
# that is worked on).
WAITING = {
    ("pkg/appsrv.(*responseWriterChannel).wait", ""): "requests that wait for a worker or for its answer",
    (_READS, "net/http.(*connReader).backgroundRead"): "reads beside requests that are worked on",
}

# Stacks of one frame that every service shows while it has nothing to do: watches in etcd, timers, helpers of open
# connections. With more frames they do something. Seen in a healthy, idle region (cloudpods master, Go 1.24).
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
# The same for deeper stacks, by their ends: (innermost, outermost).
_RECEIVES = "google.golang.org/grpc/internal/transport.(*recvBufferReader).readClient"
IDLE = (
    ("os/signal.signal_recv", "os/signal.loop"),
    (_READS, "net/http.(*persistConn).readLoop"),
    (_READS, "google.golang.org/grpc/internal/transport.(*http2Client).reader"),
    ("google.golang.org/grpc/internal/transport.(*controlBuffer).get", "transport.newHTTP2Client"),
    (_RECEIVES, "go.etcd.io/etcd/client/v3.(*watchGrpcStream).serveWatchClient"),
    (_RECEIVES, "go.etcd.io/etcd/client/v3.(*lessor).recvKeepAliveLoop"),
)
# The same wherever these functions are in a stack: a server that waits for its next connection, and what writes the
# dump itself, whether for SIGUSR1 or for /debug/pprof.
IDLE_WITHIN = ("net.(*TCPListener).Accept", "runtime/pprof.(*Profile).WriteTo")

# How many frames are shown of each kind. The innermost tell what a goroutine waits in; the outermost what it is.
INNERMOST, OUTERMOST = 3, 2
OWN_INNERMOST, OWN_OUTERMOST = 12, 6
MOST_SHOWN = 40
# A function literal, whose number differs from release to release: newHTTP2Client.func6.
_LITERAL = re.compile(r"(?:\.(?:func|gowrap)\d+(?:\.\d+)*)+\Z")
_RECEIVER = re.compile(r"[(\[]")  # of a method, or the types of a generic function: both may hold other import paths
_OWN = "yunion.io/x/"
_LIBRARIES = ("/vendor/", "/pkg/mod/", "@v")


@dataclass(frozen=True)
class StackGroup:
    """Goroutines with equal stacks. functions, locations: of each frame, the innermost first.

    count: goroutines in all dumps; dumps: in how many they are; state: "" where the dump does not tell it.
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
        """What WAITING says of their stack; "" where it is not in there."""
        return next((said for ends, said in WAITING.items() if self._has_ends(*ends)), "")

    @property
    def is_idle(self) -> bool:
        """Return whether these goroutines are ones that every idle service has."""
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
    """Yield the groups of a parsed dump that are well-formed: the file may come from anywhere."""
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
    """Return the groups of several dumps, equal stacks as one group. Those without any frame are left out."""
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
    """Return the groups in the order in which they are worth reading, without those that wait for others or are idle.

    First come those that hold a worker of a pool, and of these last the ones that wait for a database connection; then
    those that run other code of the service; then the rest. Among equals the larger group comes first.
    """
    shown = [group for group in groups if not group.waits_as and not group.is_idle]
    return sorted(shown, key=lambda group: (_rank(group), -group.count, group.functions))


def _rank(group: StackGroup) -> int:
    if group.in_worker:
        return 1 if _is(group.functions[0], WAITS_FOR_CONNECTION) else 0
    return 2 if any(map(is_own, group.functions, group.locations)) else 3


def is_own(function: str, location: str) -> bool:
    """Whether a function is of the services' own code: neither Go's standard library nor a third party's.

    Import paths of the standard library have no dot before the first slash; the files of third parties lie below
    vendor or in the module cache.
    """
    path = package_of(function).rpartition("/vendor/")[2]
    if path == "main" or path.startswith(_OWN):
        return True
    return "." in path.partition("/")[0] and not any(place in location for place in _LIBRARIES)


def shown_frames(functions: Sequence[str], locations: Sequence[str]) -> list[str]:
    """Return the lines of a stack that matter, the innermost first; each run of others becomes one line.

    Shown are the innermost and the outermost frames, the service's own, and of each other package the function that
    was called into it.
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
        # A single frame takes no more room than the line that would stand for it.
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
    # A stack that goes to and fro between packages would have as many calls as frames.
    room = max(0, MOST_SHOWN - len(ends))
    return ends | set(calls[:room])


def package_of(function: str) -> str:
    """The import path in a function's full name: "net/http" of "net/http.(*conn).serve"."""
    folder, slash, name = _RECEIVER.split(function, maxsplit=1)[0].rpartition("/")
    return folder + slash + name.partition(".")[0]


def innermost_own(functions: Sequence[str], locations: Sequence[str]) -> str:
    """The innermost function of the service's own code; "" where there is none."""
    return next((function for function, at in zip(functions, locations) if is_own(function, at)), "")


def _is(function: str, name: str) -> bool:
    """Return whether the function has this name, ignoring its import path."""
    plain = _LITERAL.sub("", function)
    return plain == name or plain.endswith("/" + name)


def _tails(function: str) -> Iterable[str]:
    """The name without the number of a function literal, and what is behind each slash in it."""
    tail = _LITERAL.sub("", function)
    while tail:
        yield tail
        tail = tail.partition("/")[2]
