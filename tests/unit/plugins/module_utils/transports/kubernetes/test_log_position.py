# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Position in one container's log."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.gaps import GapDetector
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.timestamps import timestamp_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Gap
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.log_position import (
    LogPosition,
    NotContinued,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import ROTATION_MISSED
from kubelet import log_line

POD = Instance("c1", "region", "region-a", "cloud")
BEGIN = 1_795_608_000.0
ONE, TWO, THREE = (log_line(text, BEGIN + number) for number, text in enumerate(("one", "two", "three")))


def run(steps):
    """Return the result of a method, and the events that it yields."""
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return end.value, events


def take(position: LogPosition, block: bytes):
    return run(position.take(block, POD, BEGIN + 3))


@pytest.fixture
def position() -> LogPosition:
    """A position after the line one."""
    made = LogPosition(GapDetector(), BEGIN - 60)
    made.begin_stream()
    assert take(made, ONE) == (ONE, [])
    return made


def test_stream_begins_with_window_then_with_last_second():
    made = LogPosition(GapDetector(), BEGIN)
    assert made.since == "2026-11-25T12:00:00Z"
    made.begin_stream()
    take(made, ONE + TWO)
    assert made.since == "2026-11-25T12:00:01Z"


def test_stream_of_new_container_begins_with_first_line():
    assert LogPosition(GapDetector(), None).since == ""


def test_stream_that_repeats_last_line_joins(position):
    position.begin_stream()
    assert position.is_joining
    assert take(position, ONE + TWO) == (TWO, [])
    assert not position.is_joining


def test_stream_without_last_line_is_not_continued_and_position_is_restored(position):
    position.begin_stream()
    with pytest.raises(NotContinued):
        take(position, THREE)
    position.restore()
    position.begin_stream()
    assert take(position, ONE + TWO) == (TWO, [])


def test_stream_after_known_rotation_leaves_a_gap(position):
    position.is_rotated = True
    position.begin_stream()
    new, (gap,) = take(position, THREE)
    assert new == THREE
    assert (gap.kind, gap.since, gap.until) == (ROTATION_MISSED, BEGIN, BEGIN + 2)
    assert not position.is_rotated


def test_first_line_after_newest_line_of_first_look_is_not_continued():
    made = LogPosition(GapDetector(), BEGIN - 60)
    made.note_first_look(ONE, timestamp_of(ONE), BEGIN - 5)
    made.begin_stream()
    with pytest.raises(NotContinued):
        take(made, TWO)
    made.is_rotated = True
    new, (gap,) = take(made, TWO)
    assert new == TWO
    assert gap == Gap(ROTATION_MISSED, "the file of the log was rotated just when it was opened", BEGIN - 5, BEGIN + 1)


def test_newest_line_before_window_marks_its_beginning():
    made = LogPosition(GapDetector(), BEGIN + 0.5)
    made.note_first_look(ONE, timestamp_of(ONE), BEGIN)
    made.begin_stream()
    assert made.is_joining
    assert take(made, ONE + TWO) == (TWO, [])


def test_rest_of_previous_log_repeats_nothing(position):
    position.begin_previous()
    assert run(position.take_previous(ONE + TWO)) == (TWO, [])
    assert position.is_joined
