# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles of faulty services: each fault has its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from deploy import apply
from deploy.faults import FAULT_LABEL
from deploy.sets import regions
from profile_clouds import SWITCHED_ON, Taken, take
from world import World

TROUBLED = "onecloud-profile-faults"
# The deadlines of an instance and of the run: a hung service uses the first, and would otherwise use the second.
TIMEOUT, DEADLINE = 20, 300


@dataclass(frozen=True)
class Trouble:
    """Fault of a region with the expected reason by profile kind; a missing kind has the reason of a healthy region."""

    behaviour: dict[str, Any]
    reasons: dict[str, str]


def fault(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"http_fault": name, "http_fault_path": f"/debug/pprof/{path}", **more}


ASKED = ("index", "heap", "goroutine", "cpu", "trace")
LIMIT = 16 << 20
TROUBLES = {
    "well": Trouble({}, {}),
    "forbidden": Trouble(fault("forbidden", ""), dict.fromkeys(ASKED, "user_agent_refused")),
    "cut": Trouble(fault("cut", "heap"), {"heap": "body_cut"}),
    # The API server does not pass on such a small part of a response.
    "short": Trouble(fault("short", "profile", spin=40), {"cpu": "connection_broken"}),
    "die": Trouble(fault("die", "profile", spin=40), {"cpu": "body_cut", "trace": ""}),
    "big": Trouble(fault("random", "heap", http_fault_size=200), {"heap": "body_too_large"}),
    "bomb": Trouble(fault("bomb", "heap", http_fault_size=300), {"heap": "profile_too_large"}),
    "hostile": Trouble(fault("hostile", "heap"), {"heap": "profile_bad"}),
    "endless": Trouble(fault("endless", "trace"), {"trace": "body_too_large"}),
    "hang": Trouble(fault("hang", "heap"), {kind: "no_answer" for kind in ASKED if kind != "index"}),
    "html": Trouble(fault("html", "heap"), {"heap": "profile_bad"}),
    "empty": Trouble(fault("empty", "heap"), {"heap": "profile_cut"}),
    "reset": Trouble(fault("reset", "heap"), {"heap": "connection_broken"}),
    "redirect": Trouble(fault("redirect", "heap"), {"heap": "redirected"}),
    "unavailable": Trouble(fault("unavailable", "heap"), {"heap": "server_error"}),
    "saturated": Trouble(
        {"db_latency": "forever", "http_storm": 760, "http_timeout": "forever"}, dict.fromkeys(ASKED, "pool_saturated")
    ),
    "blind": Trouble(
        {"http_fault": "hang", "http_fault_path": "/worker_stats"}, dict.fromkeys(("cpu", "trace"), "pool_unknown")
    ),
}


@pytest.fixture(scope="module")
def faults(
    world: World, cluster: apply.Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Taken, dict[str, str]]]:
    """Profile all of them in one call; return the result and the pod of each fault."""
    behaviours = {name: trouble.behaviour for name, trouble in TROUBLES.items()}
    with apply.deployed(cluster, regions(TROUBLED, behaviours, SWITCHED_ON)):
        pods = {pod["metadata"]["labels"][FAULT_LABEL]: pod["metadata"]["name"] for pod in world.pods(TROUBLED)}
        options = {"namespaces": [TROUBLED], "components": ["region"], "kinds": list(ASKED), "max_bytes": LIMIT}
        options.update(cpu_seconds=1, timeout=TIMEOUT, max_replicas_at_once=20, deadline=DEADLINE)
        yield take(world.kubeconfig, tmp_path_factory.mktemp("faults"), **options), pods


@pytest.mark.parametrize("name", TROUBLES)
def test_each_fault_has_its_reason_and_affects_no_other_row(faults, name):
    taken, pods = faults
    reasons = taken.reasons(pods[name])
    assert set(reasons) == set(ASKED)
    healthy = {"index": "recorded", "heap": "profile_whole", "goroutine": "profile_whole", "trace": "profile_whole"}
    # An idle service uses no processor.
    healthy["cpu"] = "profile_whole" if TROUBLES[name].behaviour.get("spin") else reasons["cpu"]
    expected = {**healthy, **TROUBLES[name].reasons}
    if name == "die":
        # The container restarts, and the test may see it before or after the restart.
        expected["trace"] = reasons["trace"]
        assert reasons["trace"] in ("connection_broken", "connection_refused", "profile_whole", "gone", "profiling_off")
    assert reasons == expected
    if "cpu" not in TROUBLES[name].reasons:
        assert reasons["cpu"] in ("profile_whole", "profile_empty")


def test_keeps_received_bytes_within_the_size_limit(faults):
    taken, pods = faults
    by_pod = {pod: name for name, pod in pods.items()}
    kept = {}
    for row in taken.rows:
        assert row["bytes"] <= LIMIT
        assert row["message"].isprintable()
        assert row["status"] == "complete" or "Next:" in row["message"]
        if row["path"]:
            assert (taken.folder / row["path"]).stat().st_size == row["bytes"]
            kept[by_pod[row["instance"]], row["capture"].removeprefix("profile:")] = row["bytes"]
    assert kept["big", "heap"] == LIMIT
    assert kept["endless", "trace"] == LIMIT
    assert kept["cut", "heap"] > 0
    assert kept["die", "cpu"] > 0
    assert kept["bomb", "heap"] < LIMIT
    assert ("saturated", "heap") not in kept


def test_hung_service_uses_only_its_own_deadline(faults):
    taken, pods = faults
    spent = {pod: sum(row["duration"] for row in taken.rows if row["instance"] == pod) for pod in pods.values()}
    assert spent[pods["hang"]] > TIMEOUT * 0.9
    assert max(spent.values()) < DEADLINE / 2


def test_sends_no_further_request_to_a_saturated_service(world, faults):
    _taken, pods = faults
    log = world.kubectl("-n", TROUBLED, "logs", pods["saturated"])
    assert "pprof" not in log


def test_force_sends_requests_to_a_saturated_service(world, faults, tmp_path):
    _taken, pods = faults
    instance = {"cluster": "c1", "component": "region", "name": pods["blind"], "namespace": TROUBLED}
    options = {"instances": [instance], "kinds": ["cpu"], "cpu_seconds": 1, "timeout": TIMEOUT, "force": True}
    taken = take(world.kubeconfig, tmp_path, **options)
    assert taken.reasons(pods["blind"])["cpu"] in ("profile_whole", "profile_empty")
