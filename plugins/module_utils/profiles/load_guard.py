# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide whether a service has a free worker for a profile request. Pure.

A service of the common framework answers /debug/pprof in the worker pool that serves its ordinary GET requests
(cloudpods pkg/appsrv). A profile of ten seconds takes one of its workers, mostly eight, for ten seconds. A service
without a free worker is not asked. If its workers cannot be seen, nothing long is requested.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Mapping

from ..catalog import PPROF_EXACT, Http
from ..reasons import Reason, Verdict, verdict

GET_POOL = "HttpGetRequestWorkerManager"
WORKERS = "worker_stats"


@dataclass(frozen=True)
class WorkerPool:
    """Workers for GET requests of one service at one moment.

    detached: workers that were given up over a request that never ended, with all that they hold.
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
    """Return whether profiles take a worker of a pool that can be looked at.

    Services that register pprof on their own router (its exact paths) answer it outside of any pool.
    """
    return http.pprof != PPROF_EXACT and WORKERS in http.endpoints


def pool_of(document: Mapping[str, Any] | None) -> WorkerPool | None:
    """Return the pool in a document of /worker_stats; None if it is not there."""
    for worker in (document or {}).get("workers", ()):
        if worker["name"] == GET_POOL:
            return WorkerPool(worker["active"], worker["max"], worker["queue"], worker["detached"])
    return None


def load_refusal(pool: WorkerPool | None, problem: Verdict | None, timed: bool) -> Verdict | None:
    """Return why a request is refused now; None if it is not.

    pool: None if it could not be seen; problem then says why. timed: the request holds a worker for seconds, so it must
    not take the last free one.
    """
    if pool is None:
        return verdict(Reason.POOL_UNKNOWN, problem.message if problem else "") if timed else None
    spare = pool.max - pool.active
    if pool.queue or pool.detached >= max(1, pool.max) or spare < 1:
        return verdict(Reason.POOL_SATURATED, str(pool))
    if timed and spare < 2:
        return verdict(Reason.POOL_SATURATED, f"{pool}, and it would take the last one")
    return None
