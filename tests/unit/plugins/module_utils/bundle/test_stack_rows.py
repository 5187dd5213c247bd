# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of replicas that share an image, and the spread of signals."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.stack_rows import (
    signal_spread,
    with_versions,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict

ONE = Instance("c1", "region", "region-1", image_id="image")
TWO = replace(ONE, name="region-2")
PROVEN = verdict(Reason.PROVEN)


def stack(instance: Instance, sent: str, sequence: int = 1):
    return row(instance, "stack", PROVEN, sequence, details={"signal_sent": sent})


def test_replica_of_the_same_image_refers_to_the_version_that_was_read():
    read = row(ONE, "version", verdict(Reason.RECORDED), details={"image_id": "image", "version": {"a": "1"}})
    rows = with_versions([read], [ONE, TWO])
    assert [(entry.instance, entry.reason) for entry in rows] == [("region-1", "recorded"), ("region-2", "same_image")]
    assert rows[1].details == read.details


def test_instance_without_a_version_of_its_image_has_a_row():
    assert [entry.reason for entry in with_versions([], [ONE])] == ["stack_not_taken"]


def test_spread_is_from_the_first_to_the_last_signal_of_each_round():
    rows = [
        stack(ONE, "2026-01-02T03:04:05.000Z"),
        stack(TWO, "2026-01-02T03:04:05.250Z"),
        stack(ONE, "2026-01-02T03:04:15.000Z", 2),
        row(TWO, "stack", verdict(Reason.GONE), 2),
    ]
    assert signal_spread(rows) == (3, [0.25, 0.0])
    assert signal_spread([]) == (0, [])
