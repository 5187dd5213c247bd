# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A collector that implements only plan and collect gets the engine's defaults."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.collector import (
    Batch,
    Collector,
    Plan,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.job import Job
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict

from patience import patience

INSTANCE = Instance("c1", "region", "region-1")


class Smallest(Collector):
    def plan(self, instance):
        return Plan(instance, [Job(instance, ["heap"])])

    def collect(self, job):
        raise NotImplementedError


def test_all_jobs_start_at_once_by_default():
    jobs = [Job(INSTANCE, ["heap"]), Job(INSTANCE, ["cpu"])]
    (batch,) = Smallest().batches(jobs, Deadline(patience()))
    assert (list(batch.jobs), batch.concurrency, batch.ended.is_set()) == (jobs, None, False)


def test_batches_with_the_same_jobs_are_told_apart():
    assert Batch([]) != Batch([])


def test_check_mode_says_that_nothing_was_requested():
    assert Smallest().preview(INSTANCE, Deadline(patience())).reason is Reason.CHECK_MODE


def test_rows_stay_as_they_are_and_no_instance_is_listed_again():
    collector = Smallest()
    plans = [collector.plan(INSTANCE)]
    rows = [row(INSTANCE, "heap", verdict(Reason.RECORDED))]
    assert collector.look_again_at(plans) == ()
    assert collector.finish(rows, plans, {}) == rows


class WithoutPlan(Collector):
    def collect(self, job):
        raise NotImplementedError


class WithoutCollect(Collector):
    def plan(self, instance):
        return Plan(instance)


@pytest.mark.parametrize(("kind", "lacks"), [(WithoutPlan, "plan"), (WithoutCollect, "collect")])
def test_a_collector_has_to_plan_and_to_collect(kind, lacks):
    with pytest.raises(TypeError, match=lacks):
        kind()
