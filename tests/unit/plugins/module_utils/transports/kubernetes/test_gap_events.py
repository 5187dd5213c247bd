# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gap events of a followed log."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import Gap
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes import gap_events
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.vocabulary import (
    NOT_READABLE,
    ROTATION_MISSED,
    STREAM_LOST,
)

POD = Instance("c1", "region", "region-a", "cloud", container_id="containerd://1", started="2026-01-02T03:04:05Z")
STARTED = 1767323045.0


@pytest.mark.parametrize(("restarts", "unseen"), [(1, 0), (2, 1), (4, 3)])
def test_counts_containers_between_two(restarts, unseen):
    now = dataclasses.replace(POD, restarts=restarts)
    gaps = list(gap_events.unseen_containers(POD, now, 1.0, 2.0))
    text = f"{unseen} containers between this one and the one before were not seen"
    assert gaps == ([Gap(STREAM_LOST, text, 1.0, 2.0)] if unseen else [])


def test_first_container_follows_no_other():
    waiting = dataclasses.replace(POD, container_id="")
    assert list(gap_events.unseen_containers(waiting, dataclasses.replace(POD, restarts=3), None, 2.0)) == []


@pytest.mark.parametrize(("started", "late"), [("2026-01-02T03:04:05Z", 3.0), ("", 900.0)])
def test_log_that_begins_with_its_container_has_no_gap(started, late):
    assert list(gap_events.late_beginning(dataclasses.replace(POD, started=started), STARTED + late)) == []


def test_log_that_begins_late_has_a_gap():
    (gap,) = gap_events.late_beginning(POD, STARTED + 12.4)
    assert (gap.kind, gap.since, gap.until) == (ROTATION_MISSED, STARTED, STARTED + 12.4)
    assert gap.message.startswith("the log begins 12 s after its container")


@pytest.mark.parametrize(("is_text", "kind"), [(True, NOT_READABLE), (False, STREAM_LOST)])
def test_kind_tells_error_text_from_lost_stream(is_text, kind):
    gap = gap_events.previous_unreadable(2, "why", is_text, 1.0, 2.0)
    text = "the end of the log of the container before restart 2 cannot be read: why"
    assert gap == Gap(kind, text, 1.0, 2.0)
