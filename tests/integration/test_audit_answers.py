# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits of services with wrong responses or certificates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from audits import ANSWERS, Audited, audited, check, planted, remove
from world import World


@pytest.fixture(scope="module")
def found(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    yield audited(world, tmp_path_factory.mktemp("audit"), ANSWERS)
    remove(world, ANSWERS)


@pytest.mark.parametrize("trouble", planted(ANSWERS))
def test_reports_exactly_the_planted_trouble(found, trouble):
    check(found, trouble)


@pytest.mark.parametrize("cloud", ANSWERS)
def test_reports_nothing_on_healthy_components(found, cloud):
    assert not found.elsewhere(cloud)
