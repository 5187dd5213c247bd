# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the captures, with the bounds of their values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Sequence

from .bounds import check_bounds
from .catalog import ENDPOINTS, endpoint_path
from .log_patterns import WARNING
from .pprof import KINDS, Kind, profile_path
from .profiles.symbols import batches
from .status.samples import Question
from .watch.patterns import SEVERITIES, load_patterns

# Reasons for the end of a watch.
FIRST_HIT, VERDICT, DURATION = "first_hit", "verdict", "duration"
UNTIL = (FIRST_HIT, VERDICT, DURATION)
# Captures that a hit in a log may start.
CAPTURE_STACKS, CAPTURE_PROFILES, STATUS = "capture_stacks", "capture_profiles", "status"
ACTIONS = (CAPTURE_STACKS, CAPTURE_PROFILES, STATUS)
# Seconds of profiles; longer ones have to be forced.
LONGEST = {"cpu": 60, "trace": 10}
INDEX = KINDS["index"]


@dataclass(frozen=True)
class StackOptions:
    """Options of a stack dump. timeout: seconds per instance and dump; interval: seconds from dump to dump.

    max_bytes: of one log window. barrier_timeout: seconds that the first instance that is ready waits for the others.
    method: signal; pprof (goroutines from /debug/pprof instead); both; auto (the signal, and goroutines from
    /debug/pprof where they cost little).
    """

    timeout: float = 30.0
    count: int = 1
    interval: float = 10.0
    concurrency: int = 40
    node_concurrency: int = 20
    max_bytes: int = 256 << 20
    barrier_timeout: float = 5.0
    method: str = "signal"

    def __post_init__(self) -> None:
        check_bounds({name: getattr(self, name) for name in ("count", "concurrency", "node_concurrency", "max_bytes")})


@dataclass(frozen=True)
class StatusOptions:
    """Options of a status. timeout: seconds per instance and sample; interval: seconds from sample to sample.

    log_seconds: how far back to read the log; 0 for not at all. max_bytes: of one body and one window of log.
    bodies: which to keep, "all" or the "unread" ones that were not parsed. kept_of_bad_body: bytes to keep of those.
    logs_at_a_time: windows of log that are in memory at once. ValueError if an option makes no sense.
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
    kept_of_bad_body: int = 1 << 20
    logs_at_a_time: int = 8

    def __post_init__(self) -> None:
        numbers = ("samples", "concurrency", "node_concurrency", "max_bytes", "interval", "log_seconds")
        check_bounds({name: getattr(self, name) for name in numbers})
        for question in self.questions:
            endpoint_path(question.endpoint, question.database)

    @property
    def questions(self) -> list[Question]:
        """Return the questions, each once and in the catalog's order."""
        names = [name for name in ENDPOINTS if name in self.endpoints]
        names += [name for name in dict.fromkeys(self.endpoints) if name not in names]
        databases = [Question("db_stats", name) for name in dict.fromkeys(self.databases)]
        return [Question(name) for name in names] + (databases if "db_stats" in names else [])


@dataclass(frozen=True)
class ProfileOptions:
    """Options of profiles. timeout: seconds for one profile, besides those that it runs for.

    delta_seconds: duration of differences, 0 for none. addresses: to name by symbol. force: request profiles also where
    that may slow the service down. max_replicas_at_once: of a component, for CPU profiles and traces. max_bytes: of one
    profile. ValueError if an option makes no sense.
    """

    kinds: Sequence[str]
    cpu_seconds: int = 10
    trace_seconds: int = 1
    delta_seconds: int = 0
    gc: bool = False
    addresses: Sequence[int] = ()
    force: bool = False
    max_replicas_at_once: int = 1
    timeout: float = 30.0
    concurrency: int = 40
    node_concurrency: int = 20
    max_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        numbers = ("max_replicas_at_once", "concurrency", "node_concurrency", "max_bytes", "cpu_seconds",
                   "trace_seconds", "delta_seconds")  # fmt: skip
        check_bounds({name: getattr(self, name) for name in numbers})
        for kind, most in LONGEST.items():
            if self.seconds[kind] > most and not self.force:
                raise ValueError(f"{kind}_seconds over {most} slow a service down for long: they have to be forced")
        for kind in self.kinds:
            profile_path(kind, self.seconds.get(kind, 0))
        list(batches(self.addresses))

    @property
    def seconds(self) -> dict[str, int]:
        """Return the duration in seconds of each timed kind."""
        deltas = {name: self.delta_seconds for name, kind in KINDS.items() if kind.delta and self.delta_seconds}
        return {**deltas, "cpu": self.cpu_seconds, "trace": self.trace_seconds}

    @property
    def wanted(self) -> list[Kind]:
        """Return the wanted kinds in their order. The index is always one: it shows whether profiling is on."""
        return [kind for name, kind in KINDS.items() if name in self.kinds or kind is INDEX]

    def path(self, kind: Kind) -> str:
        """Return the path of a kind."""
        return profile_path(kind.name, self.seconds.get(kind.name, 0), self.gc and kind.name == "heap")


@dataclass(frozen=True)
class TriggerOptions:
    """Options of triggered captures. actions: of ACTIONS. timeout: seconds per instance and capture.

    cooldown: seconds in which an instance is not captured again, whatever hits. ValueError if an option makes no sense.
    """

    actions: Sequence[str] = ()
    cooldown: float = 300.0
    timeout: float = 30.0
    concurrency: int = 40
    node_concurrency: int = 20

    def __post_init__(self) -> None:
        unknown = sorted(set(self.actions) - set(ACTIONS))
        if unknown:
            raise ValueError(f"on_hit does not know {', '.join(unknown)}; there are {', '.join(ACTIONS)}")
        check_bounds({"cooldown": self.cooldown})


@dataclass(frozen=True)
class FollowLimits:
    """Limits of following logs, in seconds. Users do not set them; tests do.

    listing: between two lists of instances. shortest_listing: at least between two lists, however many followers ask
    for one: when an API server comes back, hundreds ask at once. recent: how old the readiness in a list may be at the
    end of a watch. reporting: between two reports of progress. retrying: how long to try again if nothing could be
    listed at the start. look_back: how long an early end waits for logs to catch up. grace: how long to wait for
    threads at the end. ping, pings: for one request to /ping, and for all of them. asking: between two verdicts on one
    pool during a cool-down. streams: logs that are followed at once.
    """

    listing: float = 10.0
    shortest_listing: float = 1.0
    recent: float = 30.0
    reporting: float = 1.0
    retrying: float = 5.0
    look_back: float = 10.0
    grace: float = 5.0
    ping: float = 5.0
    pings: float = 10.0
    asking: float = 1.0
    streams: int = 2000

    @property
    def overlap(self) -> int:
        """Return how far to look back in the log of an instance that appeared since the last list."""
        return round(self.listing) + 5


# For event sources: one thread and one connection for each log, without an end.
EVENT_STREAM_LIMITS = FollowLimits(streams=500)


@dataclass(frozen=True)
class LogWatchOptions:
    """Options of a watch. since: seconds to look back; duration: seconds to watch live.

    until: when to end before that, one of UNTIL. patterns: the user's own. on_hit: captures that a hit starts.
    ValueError if an option makes no sense.
    """

    since: int = 600
    duration: float = 60.0
    until: str = VERDICT
    patterns: Sequence[dict[str, Any]] = ()
    on_hit: TriggerOptions = field(default_factory=TriggerOptions)
    limits: FollowLimits = field(default_factory=FollowLimits)

    def __post_init__(self) -> None:
        check_bounds({"since": self.since, "duration": self.duration})
        if self.until not in UNTIL:
            raise ValueError(f"until has to be one of {', '.join(UNTIL)}")
        load_patterns(self.patterns)


@dataclass(frozen=True)
class EventStreamOptions:
    """Options of an event stream. since: seconds to look back at the start; cooldown: seconds for one pool.

    severity: the least that is reported of a pool that is neither stuck nor drops tasks. ValueError if an option makes
    no sense.
    """

    since: int = 0
    severity: str = WARNING
    cooldown: float = 300.0

    def __post_init__(self) -> None:
        check_bounds({"since": self.since, "cooldown": self.cooldown})
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity has to be one of {', '.join(SEVERITIES)}, not {self.severity}")
