# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job leaves of questions that were answered, were not answered, and were not put."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.status.job import StatusJob
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.fanout import CapacityLimiter
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.samples import Question, SampledInstance

from patience import patience

INSTANCE = Instance("c1", "region", "region-1")
PING, WORKERS, LOG = Question("ping"), Question("worker_stats"), Question("log")


@pytest.fixture
def sampled() -> SampledInstance:
    return SampledInstance(INSTANCE, ["ping", "worker_stats"], iter(range(100)).__next__)


@pytest.fixture
def make(tmp_path, sampled):
    store = Store(str(tmp_path))

    def job_of(*questions, previous=None, is_sample=True):
        job = StatusJob(sampled, questions, 1, previous, is_sample)
        job.bind(store, Deadline(patience()), CapacityLimiter(1))
        return job

    return job_of


def test_abandoned_job_tells_unanswered_from_unasked_questions(make, sampled):
    job = make(PING, WORKERS)
    job.begin()
    job.ask(PING)
    job.abandon()
    assert {entry.capture: entry.reason for entry in job.store.rows} == {
        "status:ping": "no_answer", "status:worker_stats": "not_asked"}  # fmt: skip
    missing = sampled.document(None, None)["missing"]
    assert [(each["endpoint"], each["reason"]) for each in missing] == [
        ("ping", "no_answer"), ("worker_stats", "not_asked")]  # fmt: skip


def test_answer_is_kept_in_the_sample(make, sampled):
    job = make(PING)
    job.begin()
    job.ask(PING)
    job.answer(PING, row(INSTANCE, PING.capture, verdict(Reason.RECORDED)), {"ok": True})
    job.close(verdict(Reason.ERROR))
    document = sampled.document(None, None)
    assert [sample["ping"] for sample in document["samples"]] == [{"ok": True}]
    assert document["missing"] == []
    assert [entry.reason for entry in job.store.rows] == ["recorded"]


def test_answer_after_the_end_is_dropped(make, sampled):
    job = make(PING)
    job.begin()
    job.ask(PING)
    job.abandon()
    job.answer(PING, row(INSTANCE, PING.capture, verdict(Reason.RECORDED)), {"ok": True})
    assert "ping" not in sampled.document(None, None)["samples"][0]
    assert [entry.reason for entry in job.store.rows] == ["no_answer"]


def test_log_is_beside_the_samples_and_ranks_count_the_jobs_before(make, sampled):
    log = make(LOG, is_sample=False)
    second = make(PING, previous=make(WORKERS))
    assert (log.is_log, second.is_log, second.rank) == (True, False, 1)
    log.begin()
    log.answer(LOG, row(INSTANCE, LOG.capture, verdict(Reason.RECORDED)), {"keywords": []})
    log.close(verdict(Reason.ERROR))
    document = sampled.document(None, None)
    assert (document["samples"], document["log"]) == ([], {"keywords": []})
