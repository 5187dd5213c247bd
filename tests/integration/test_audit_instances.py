# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits of a cloud in which pods crash, were restarted or are missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from audits import INSTANCES, Audited, audited_between_crashes, check, planted, remove
from world import World


@pytest.fixture(scope="module")
def found(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    yield audited_between_crashes(world, tmp_path_factory.mktemp("audit"), INSTANCES)
    remove(world, INSTANCES)


@pytest.mark.parametrize("trouble", planted(INSTANCES))
def test_a_trouble_is_named_and_nothing_else(found, trouble):
    check(found, trouble)


@pytest.mark.parametrize("cloud", INSTANCES)
def test_components_without_a_trouble_have_no_findings(found, cloud):
    assert not found.elsewhere(cloud)
