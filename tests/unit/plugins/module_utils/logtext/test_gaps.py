# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaps and rewinds of a followed log, found from its timestamps."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.gaps import GapDetector

START = datetime.datetime(2026, 11, 25, 10, tzinfo=datetime.timezone.utc)


def line(second: float) -> bytes:
    return f"{START + datetime.timedelta(seconds=second):%Y-%m-%dT%H:%M:%S.%fZ} text\n".encode()


def gaps(pause: float, late: float) -> int:
    """Return how many gaps are found in lines that are `pause` seconds apart, and read `late` seconds late."""
    detector = GapDetector()
    detector.see(line(0), START.timestamp())
    for number in range(1, 6):
        second = number * pause
        detector.see(line(second), START.timestamp() + second + late)
        if detector.gaps:
            return len(detector.gaps)
    return 0


@pytest.mark.parametrize("pause", [0.1, 1.001, 1.9])
def test_regular_lines_leave_no_gap_however_late(pause):
    assert gaps(pause, late=5.0) == 0


@pytest.mark.parametrize(("late", "found"), [(5.0, 1), (0.0, 0)])
def test_pause_is_a_gap_only_if_lines_are_late(late, found):
    """A lost file leaves at least this pause, see GAP_SECONDS."""
    assert gaps(3.0, late) == found


def test_finds_where_a_stream_goes_back():
    detector = GapDetector()
    detector.see(line(0), START.timestamp())
    first = b"".join(map(line, (10, 11, 12)))
    detector.see(first, START.timestamp() + 20)
    assert (detector.rewinds, detector.gaps[0][1].text) == ([], "2026-11-25T10:00:10Z")
    detector.see(line(13) + first, START.timestamp() + 21)
    assert detector.rewinds == [len(line(13))]


def test_lines_out_of_order_are_no_rewind():
    detector = GapDetector()
    detector.see(line(0), START.timestamp())
    detector.see(line(10) + line(9) + line(11), START.timestamp() + 20)
    assert detector.rewinds == []


def test_finds_no_gap_between_streams():
    detector = GapDetector()
    detector.see(line(0), START.timestamp())
    detector.see(line(1), START.timestamp() + 6)
    detector.begin()
    detector.see(line(60), START.timestamp() + 65)
    assert detector.gaps == []
