# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job records each owed capture exactly once."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.engine.job import Job
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.fanout import CapacityLimiter
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict

from patience import patience

INSTANCE = Instance("c1", "region", "region-1")
RECORDED = verdict(Reason.RECORDED)


class Buffered(Job):
    writes_at_once = False


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path))


def job_of(store: Store, kind=Job) -> Job:
    job = kind(INSTANCE, ["heap", "cpu"], 3)
    job.bind(store, Deadline(patience()), CapacityLimiter(1))
    return job


def captures(store: Store) -> list[tuple[str, str, int]]:
    return [(entry.capture, entry.reason, entry.sequence) for entry in store.rows]


def test_records_a_capture_once(store):
    job = job_of(store)
    assert job.record(row(INSTANCE, "heap", RECORDED, 3))
    assert not job.record(row(INSTANCE, "heap", verdict(Reason.ERROR), 3))
    assert captures(store) == [("heap", "recorded", 3)]


def test_closing_records_what_is_missing_and_drops_later_rows(store):
    job = job_of(store)
    job.record(row(INSTANCE, "heap", RECORDED, 3))
    job.close(verdict(Reason.RUN_DEADLINE))
    job.close(verdict(Reason.NO_ANSWER))
    assert not job.record(row(INSTANCE, "cpu", RECORDED, 3))
    assert captures(store) == [("heap", "recorded", 3), ("cpu", "run_deadline", 3)]


def test_abandoned_job_says_that_it_was_left_behind(store):
    job_of(store).abandon()
    assert {entry.reason for entry in store.rows} == {"no_answer"}
    assert all("left behind" in entry.message for entry in store.rows)


def test_capture_that_turns_out_to_be_needed_is_owed(store):
    job = job_of(store)
    job.owe("version")
    job.close(RECORDED)
    assert [capture for capture, _reason, _sequence in captures(store)] == ["heap", "cpu", "version"]


def test_buffered_rows_are_written_when_the_job_is_closed(store):
    job = job_of(store, Buffered)
    job.record(row(INSTANCE, "heap", RECORDED, 3))
    assert captures(store) == []
    job.close(verdict(Reason.NOT_ASKED))
    assert captures(store) == [("heap", "recorded", 3), ("cpu", "not_asked", 3)]
