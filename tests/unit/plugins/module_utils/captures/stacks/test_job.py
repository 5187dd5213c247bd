# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump that does not end is recorded with what is known of it."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.store import Store
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.captures.stacks.job import StackJob
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.fanout import CapacityLimiter
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, utc_now

from patience import patience

INSTANCE = Instance("c1", "region", "region-1")


BLOCKED_WORDS = "before the signal the process was in uninterruptible sleep in nfs_wait_bit_killable"


def test_abandoned_job_reports_the_process_state_before_the_signal(tmp_path):
    store = Store(str(tmp_path))
    job = StackJob(INSTANCE, 1)
    job.bind(store, Deadline(patience()), CapacityLimiter(1))
    job.sent, job.seen = utc_now(), BLOCKED_WORDS
    job.abandon()
    (row,) = store.rows
    assert (row.reason, BLOCKED_WORDS in row.message) == ("no_dump", True)


def test_abandoned_job_waits_for_an_earlier_dump(tmp_path):
    store = Store(str(tmp_path))
    first = StackJob(INSTANCE, 1)
    second = StackJob(INSTANCE, 2, first)
    second.bind(store, Deadline(patience()), CapacityLimiter(1))
    second.abandon()
    assert [(entry.sequence, entry.reason) for entry in store.rows] == [(2, "dump_awaited")]
