# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holes in a stream of a log, as its timestamps show them."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.course import Course

START = datetime.datetime(2026, 11, 25, 10, tzinfo=datetime.timezone.utc)


def line(second: float) -> bytes:
    return f"{START + datetime.timedelta(seconds=second):%Y-%m-%dT%H:%M:%S.%fZ} text\n".encode()


def holes(pause: float, late: float) -> int:
    """Return how many holes are found in lines that are `pause` seconds apart, and read `late` seconds late."""
    course = Course()
    course.see(line(0), START.timestamp())
    for number in range(1, 6):
        second = number * pause
        course.see(line(second), START.timestamp() + second + late)
        if course.holes:
            return len(course.holes)
    return 0


@pytest.mark.parametrize("pause", [0.1, 1.001, 1.9])
def test_lines_that_come_regularly_leave_no_hole_however_late(pause):
    assert holes(pause, late=5.0) == 0


@pytest.mark.parametrize(("late", "found"), [(5.0, 1), (0.0, 0)])
def test_the_pause_of_a_lost_file_is_a_hole_where_lines_come_late(late, found):
    """The shortest that a kubelet leaves, see HOLE_SECONDS."""
    assert holes(3.0, late) == found
