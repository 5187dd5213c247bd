# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits of services in trouble: pools, database, requests, goroutines, memory, versions; and of an older release."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from audits import (
    ANSWERS,
    ELSEWHERE,
    FINDINGS,
    FLEET,
    INSTANCES,
    SERVICES,
    SILENT,
    UNKNOWN,
    Audited,
    audited,
    check,
    planted,
    remove,
)
from deploy.health import BY_NAME, NONE
from troubles import PLAN
from world import World


@pytest.fixture(scope="module")
def found(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    yield audited(world, tmp_path_factory.mktemp("audit"), SERVICES)
    remove(world, SERVICES)


def test_plans_cover_every_trouble():
    plans = (SERVICES, INSTANCES, ANSWERS, FLEET)
    everywhere = [*ELSEWHERE, *(trouble for plan in plans for trouble in planted(plan))]
    assert sorted([*everywhere, *planted(PLAN)]) == sorted([NONE, *BY_NAME])
    assert sorted([*ELSEWHERE, *FINDINGS, *UNKNOWN, *SILENT]) == sorted(everywhere)


@pytest.mark.parametrize("trouble", planted(SERVICES))
def test_reports_exactly_the_planted_trouble(found, trouble):
    check(found, trouble)


@pytest.mark.parametrize("cloud", SERVICES)
def test_reports_nothing_on_healthy_components(found, cloud):
    assert not found.elsewhere(cloud)
