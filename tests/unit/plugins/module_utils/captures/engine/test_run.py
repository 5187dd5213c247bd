# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine accounts for whatever a collector forgets or does wrong."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.collector import (
    Batch,
    Collector,
    Plan,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.job import Job
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.run import Engine
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import select
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.progress import Progress
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.base import Discovery
from fake_transport import FakeTransport

from patience import patience


class Recorder(Collector[Job]):
    """Records its capture in two batches; other behaviours derive from it."""

    counted = "readings"

    def __init__(self) -> None:
        self.order: list[str] = []

    def plan(self, instance):
        return Plan(instance, [Job(instance, ["a"], 1), Job(instance, ["b"], 1)])

    def batches(self, jobs, deadline):
        del deadline
        first = Batch([job for job in jobs if job.owed == ["a"]])
        yield first
        assert first.ended.wait(patience())
        yield Batch([job for job in jobs if job.owed == ["b"]])

    def collect(self, job):
        self.order += job.owed
        job.record(row(job.instance, job.owed[0], verdict(Reason.RECORDED)))


class Forgetful(Recorder):
    def collect(self, job):
        del job


class Skipping(Recorder):
    def batches(self, jobs, deadline):
        del deadline
        yield Batch(jobs[:1])


class Broken(Recorder):
    def batches(self, jobs, deadline):
        del deadline
        yield Batch(jobs[:1])
        raise OSError(28, "No space left on device")


def run(collector, folder, progress=None):
    transport = FakeTransport()
    found = Discovery([transport.add("region", "r").instance])
    store = Store(str(folder))
    engine = Engine(transport, select(), store, Deadline(patience()), progress=progress)
    return {entry.capture: entry.reason for entry in engine.run([collector], found)}


def test_batches_run_in_order_and_are_counted(tmp_path):
    collector, progress = Recorder(), Progress()
    assert run(collector, tmp_path, progress) == {"a": "recorded", "b": "recorded"}
    assert collector.order == ["a", "b"]
    assert progress.counts() == {"readings": (2, 2)}


def test_job_without_a_result_is_an_error(tmp_path):
    assert run(Forgetful(), tmp_path) == {"a": "error", "b": "error"}


def test_job_that_no_batch_takes_has_its_row(tmp_path):
    assert run(Skipping(), tmp_path) == {"a": "recorded", "b": "run_deadline"}


def test_failure_of_a_collector_accounts_for_all_before_it_is_raised(tmp_path):
    with pytest.raises(OSError, match="No space left"):
        run(Broken(), tmp_path)
    assert (tmp_path / "ledger.jsonl").read_text().count('"reason": "error"') >= 1
