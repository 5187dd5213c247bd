# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What profiles cost a service, and when that is too much. Pure.

A service of the common framework answers /debug/pprof in the pool of workers that serves its ordinary GET requests
(cloudpods pkg/appsrv): a profile of ten seconds takes one of its mostly eight workers for ten seconds. So one that has
no worker to spare is not asked, and of one whose workers cannot be seen nothing long is taken.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Iterable, Mapping, Sequence

from ...catalog import PPROF_EXACT, Http
from ...model import Instance
from ...pprof import Kind
from ...reasons import Reason, Verdict, verdict
from ...text import duration

GET_POOL = "HttpGetRequestWorkerManager"
WORKERS = "worker_stats"


@dataclass(frozen=True)
class Pool:
    """The workers for GET requests of one service at one moment.

    detached: workers that were given up over a request that never ended; they hold what they hold.
    """

    active: int
    max: int
    queue: int
    detached: int

    @property
    def details(self) -> dict[str, int]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.active} of {self.max} are busy, {self.queue} requests wait, {self.detached} are detached"


def has_pool(http: Http) -> bool:
    """Whether profiles take a worker there, and it can be asked how many are free. Services that register pprof on
    their own router (its exact paths) answer it outside of any pool."""
    return http.pprof != PPROF_EXACT and WORKERS in http.endpoints


def pool_of(document: Mapping[str, Any] | None) -> Pool | None:
    """The pool in a document of /worker_stats; None when it is not there."""
    for worker in (document or {}).get("workers", ()):
        if worker["name"] == GET_POOL:
            return Pool(worker["active"], worker["max"], worker["queue"], worker["detached"])
    return None


def refusal(pool: Pool | None, problem: Verdict | None, timed: bool) -> Verdict | None:
    """What speaks against a question now; None when nothing does.

    pool: None where it could not be seen, and then problem says why. timed: it would hold a worker for seconds, so it
    must not be the last free one.
    """
    if pool is None:
        return verdict(Reason.POOL_UNKNOWN, problem.message if problem else "") if timed else None
    spare = pool.max - pool.active
    if pool.queue or pool.detached >= max(1, pool.max) or spare < 1:
        return verdict(Reason.POOL_SATURATED, str(pool))
    if timed and spare < 2:
        return verdict(Reason.POOL_SATURATED, f"{pool}, and it would take the last one")
    return None


@dataclass(frozen=True)
class Plan:
    """What a run is going to do: about how many seconds it takes, and lines for people."""

    seconds: float
    lines: list[str]


def plan(
    asked: Sequence[tuple[Instance, Sequence[Kind]]],
    seconds: Mapping[str, int],
    at_once: int,
    gc: bool,
    deadline: float,
) -> Plan:
    """The plan for instances and the kinds that each is asked for. seconds: of the kinds that run for a time.

    at_once: how many replicas of a component run those at a time. deadline: of the run, in seconds.
    """
    replicas: Counter[tuple[str, str, str]] = Counter()
    kinds_of: dict[tuple[str, str, str], dict[str, Kind]] = {}
    for instance, kinds in asked:
        key = (instance.cluster, instance.namespace, instance.component)
        replicas[key] += bool(kinds)
        kinds_of.setdefault(key, {}).update((kind.name, kind) for kind in kinds)
    longest, lines = 0.0, []
    for key in sorted(replicas):
        if not replicas[key]:
            continue
        took = _seconds(kinds_of[key].values(), replicas[key], seconds, at_once)
        longest = max(longest, took)
        lines.append(_line(key[2], replicas[key], kinds_of[key].values(), seconds, at_once, took))
    if not lines:
        return Plan(0.0, ["Nothing is asked of any instance."])
    costs = ["A snapshot (goroutine, heap, …) stops a service for a moment"]
    named = {kind.name for kinds in kinds_of.values() for kind in kinds.values()}
    if "cpu" in named:
        costs.append("a CPU profile interrupts it a hundred times a second while it runs")
    if "trace" in named:
        costs.append("a trace slows it while it runs, and grows by megabytes a second where it is busy")
    if gc:
        costs.append("gc=1 makes it collect its garbage first")
    lines.append("; ".join(costs) + ". Each takes one of its workers for GET requests meanwhile.")
    if longest > deadline:
        lines.append(
            f"That takes about {duration(longest)}, and the deadline is {duration(deadline)}: what cannot end before "
            "it is not begun. Raise cloudpods_deadline or cloudpods_profile_replicas."
        )
    return Plan(longest, lines)


def _seconds(kinds: Iterable[Kind], replicas: int, seconds: Mapping[str, int], at_once: int) -> float:
    """The timed kinds one batch of replicas after the other, the others of all replicas at a time."""
    timed = sum(seconds.get(kind.name, 0) for kind in kinds if kind.timed)
    others = sum(seconds.get(kind.name, 0) for kind in kinds if not kind.timed)
    return float(others + timed * -(-replicas // at_once))


def _line(
    component: str, replicas: int, kinds: Iterable[Kind], seconds: Mapping[str, int], at_once: int, took: float
) -> str:
    words = [kind.name + (f" {seconds[kind.name]} s" if seconds.get(kind.name) else "") for kind in kinds]
    many = f"{replicas} instance{'' if replicas == 1 else 's'}"
    turns = f", cpu and trace {at_once} at a time" if replicas > at_once and any(kind.timed for kind in kinds) else ""
    return f"{component}: {many}: {', '.join(words)}{turns}; about {duration(took)}"
