# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The estimate counts batches of replicas, and warns of a short deadline."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.pprof import KINDS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.cost_estimate import estimate

THREE = [(Instance("c1", "region", f"region-{number}"), [KINDS["heap"], KINDS["cpu"]]) for number in range(3)]


def test_timed_kinds_take_one_batch_of_replicas_after_the_other():
    assert estimate(THREE, {"cpu": 10}, 1, False, 300.0).seconds == 30.0
    found = estimate(THREE, {"cpu": 10}, 2, False, 300.0)
    assert found.seconds == 20.0
    assert found.lines[0].startswith("region: 3 instances: heap, cpu 10 s, cpu and trace 2 at a time")


def test_warns_if_the_deadline_is_shorter():
    assert "cloudpods_deadline" in estimate(THREE, {"cpu": 10}, 1, False, 29.0).lines[-1]
    assert "cloudpods_deadline" not in estimate(THREE, {"cpu": 10}, 1, False, 30.0).lines[-1]


def test_names_the_garbage_collection():
    assert any("gc=1" in line for line in estimate(THREE, {"cpu": 10}, 1, True, 300.0).lines)


def test_nothing_asked_is_said():
    assert estimate([], {}, 1, False, 300.0).lines == ["Nothing is asked of any instance."]
