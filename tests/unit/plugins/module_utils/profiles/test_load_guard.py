# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile is requested only of a service that has a free worker."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import component_of, http_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.load_guard import (
    GET_POOL,
    WorkerPool,
    has_pool,
    load_refusal,
    pool_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict


def pool(active: int = 1, most: int = 8, queue: int = 0, detached: int = 0) -> WorkerPool:
    return WorkerPool(active, most, queue, detached)


@pytest.mark.parametrize(
    ("found", "snapshot", "timed"),
    [
        (pool(), None, None),
        (pool(active=7), None, Reason.POOL_SATURATED),
        (pool(active=8), Reason.POOL_SATURATED, Reason.POOL_SATURATED),
        (pool(queue=1), Reason.POOL_SATURATED, Reason.POOL_SATURATED),
        (pool(detached=8), Reason.POOL_SATURATED, Reason.POOL_SATURATED),
        (None, None, Reason.POOL_UNKNOWN),
    ],
)
def test_refuses_a_busy_pool_and_the_last_free_worker(found, snapshot, timed):
    problem = verdict(Reason.NO_ANSWER) if found is None else None
    outcomes = [load_refusal(found, problem, timed=is_timed) for is_timed in (False, True)]
    assert [outcome.reason if outcome else None for outcome in outcomes] == [snapshot, timed]


def test_finds_the_pool_for_get_requests():
    worker = {"name": GET_POOL, "active": 2, "max": 8, "queue": 3, "detached": 1}
    assert pool_of({"workers": [dict(worker, name="other"), worker]}) == WorkerPool(2, 8, 3, 1)
    assert pool_of({"workers": []}) is pool_of(None) is None


@pytest.mark.parametrize(("component", "expected"), [("region", True), ("scheduler", False)])
def test_services_with_their_own_router_answer_outside_of_a_pool(component, expected):
    http = http_of(component_of(component), ())
    assert http is not None
    assert has_pool(http) is expected
