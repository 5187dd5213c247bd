# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a run that was interrupted claim no more than was captured, and blame no target."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.interrupted_rows import (
    interruption_row,
    is_interruption_row,
    mark_interrupted,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row, utc_text
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)


def made(reason: Reason, capture: str = "stack", after: float = 0.0, detail: str = ""):
    """A row of a capture that took two seconds, and ended so many seconds after the interruption."""
    started = utc_text(MOMENT + datetime.timedelta(seconds=after - 2))
    return row(Instance("c", "region", "r"), capture, verdict(reason, detail), started=started, duration=2.0)


@pytest.mark.parametrize(
    ("reason", "capture", "expected"),
    [
        (Reason.PROVEN, "stack", "proven"),
        (Reason.RECORDED, "status:ping", "recorded"),
        (Reason.RECORDED, "log_watch", "stopped_early"),
        (Reason.LOG_GAP, "log_watch", "log_gap"),
        (Reason.CUT_SHORT, "stack", "stopped_early"),
        (Reason.TIMEOUT, "stack", "interrupted"),
        (Reason.NO_ANSWER, "status:ping", "interrupted"),
        (Reason.RUN_DEADLINE, "stack", "interrupted"),
        (Reason.NOT_ASKED, "status:ping", "interrupted"),
        (Reason.NEVER_DUMPS, "stack", "never_dumps"),
        (Reason.NOT_DEPLOYED, "discovery", "not_deployed"),
    ],
)
def test_what_ended_after_the_interruption(reason, capture, expected):
    assert mark_interrupted(made(reason, capture, after=0.5), MOMENT).reason == expected
    before = made(reason, capture, after=-0.5)
    assert mark_interrupted(before, MOMENT) is before


def test_what_was_known_of_a_failure_stays_in_its_message():
    found = mark_interrupted(made(Reason.NO_ANSWER, after=1, detail="given 3 s"), MOMENT)
    assert found.status == "failed"
    assert "interrupted" in found.message
    assert "given 3 s" in found.message


def test_a_row_without_a_start_was_made_in_the_end():
    entry = row(Instance("c", "region", "r"), "stack", verdict(Reason.RUN_DEADLINE))
    assert mark_interrupted(entry, MOMENT).reason == "interrupted"


def test_the_row_of_a_run_is_known_again_and_blames_no_instance():
    entry = interruption_row("c", "SIGTERM", MOMENT)
    assert (entry.status, entry.cluster, entry.instance) == ("failed", "c", "")
    assert is_interruption_row(entry)
    assert not is_interruption_row(mark_interrupted(made(Reason.TIMEOUT, after=1), MOMENT))
