# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EXAMPLES that need a cluster, run as by a user. For the others, see tests/contract/test_examples.py."""

from __future__ import annotations

import pytest
from examples import CLUSTER, at, examples, modules, run

REACHING = [module for module in modules() if at(CLUSTER, examples(module))]
# Number of replicas of each component in the healthy set.
REGIONS, KEYSTONES, HOSTS = 4, 2, 2


@pytest.fixture(scope="module")
def returned(healthy, tmp_path_factory):
    """Return the result of each task of a module's examples."""
    done = {}

    def results(module):
        if module not in done:
            tasks = at(CLUSTER, examples(module))
            folder = tmp_path_factory.mktemp(module)
            done[module] = run(tasks, folder, K8S_AUTH_KUBECONFIG=healthy.kubeconfig)
        return done[module]

    return results


@pytest.mark.parametrize("module", REACHING)
def test_examples_of_a_module_run(returned, module):
    for result in returned(module):
        assert not result.get("failed", False)
        assert not result.get("skipped", False)


def test_service_info_examples_list_the_services(returned):
    services, not_ready = returned("service_info")
    assert [one["component"] for one in services["instances"]] == ["keystone"] * KEYSTONES + ["region"] * REGIONS
    assert services["problems"] == []
    assert not_ready["msg"] == []


def test_stack_dump_examples_capture_the_services(returned):
    slow_system, three = returned("stack_dump")
    assert slow_system["signals"] == REGIONS + KEYSTONES
    assert three["signals"] == 3 * (REGIONS + HOSTS)
    assert len(three["spread_seconds"]) == 3
    for result in (slow_system, three):
        assert result["counts"]["complete"] == sum(result["counts"].values())
