# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of an interrupted run: nothing passes for complete, and no target is blamed."""

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
    """Return the row of a capture of two seconds that ended `late` seconds after the interruption."""
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
def test_marks_captures_that_ended_after_the_interruption(reason, capture, expected):
    assert mark_interrupted(made(reason, capture, after=0.5), MOMENT).reason == expected
    before = made(reason, capture, after=-0.5)
    assert mark_interrupted(before, MOMENT) is before


def test_keeps_the_detail_of_a_failure():
    found = mark_interrupted(made(Reason.NO_ANSWER, after=1, detail="given 3 s"), MOMENT)
    assert found.status == "failed"
    assert "interrupted" in found.message
    assert "given 3 s" in found.message


def test_marks_rows_without_a_start():
    entry = row(Instance("c", "region", "r"), "stack", verdict(Reason.RUN_DEADLINE))
    assert mark_interrupted(entry, MOMENT).reason == "interrupted"


def test_recognizes_the_interruption_row():
    entry = interruption_row("c", "SIGTERM", MOMENT)
    assert (entry.status, entry.cluster, entry.instance) == ("failed", "c", "")
    assert is_interruption_row(entry)
    assert not is_interruption_row(mark_interrupted(made(Reason.TIMEOUT, after=1), MOMENT))
