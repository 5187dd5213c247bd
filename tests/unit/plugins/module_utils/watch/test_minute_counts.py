# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts of lines and hits by minute."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from service_lines import access, dropped, line
from watch_helpers import SHIPPED, peak_memory, watch


def test_takes_minutes_from_headers_without_timestamps():
    data = b"before any\n" + b"".join(line(second, " hello\nand more", timestamped=False) for second in (1, 59, 61))
    data += dropped(62)[31:] + b"[mysql] 2026/11/23 00:05:01 packets.go:37: invalid connection\n"
    rows = watch(data, timestamped=False).document()["minutes"]
    assert [(row["minute"], row["lines"], row["critical"]) for row in rows] == [
        ("", 1, 0),
        ("2026-11-23T00:00", 4, 0),
        ("2026-11-23T00:01", 3, 1),
        ("2026-11-23T00:05", 1, 1),
    ]


def test_converts_minutes_to_utc():
    data = (
        b"".join(access(second) for second in (1, 61))
        .replace(b"2026-11-23T00", b"2026-11-23T05")
        .replace(b"Z [", b"+05:00 [")
    )
    assert [row["minute"][-5:] for row in watch(data).document()["minutes"]] == ["00:00", "00:01"]


def test_bounds_the_number_of_minutes():
    watcher = LogWatcher(SHIPPED)
    days = [
        f"{year}-{month:02d}-{day:02d}T00"
        for year in range(1000, 1003)
        for month in range(1, 13)
        for day in range(1, 29)
    ]
    feeds = ["".join(f"{day}:{minute:02d}:00Z x\n" for minute in range(20)).encode() for day in days]
    assert peak_memory(watcher, feeds) < 2 << 20
    document = watcher.document()
    assert len(document["minutes"]) == 3000
    assert document["left_out"]["minutes"] == len(days) * 20 - 3000


@pytest.mark.parametrize("broken", [b"2026-11-23T00:01", b"2026-11-23T00:01:99Z x", b"2026-11-23T00:01:0", b"x", b""])
def test_broken_timestamps_give_the_same_minutes_in_any_split(broken):
    data = access(59) + broken + b"\n" + access(61) + access(62)
    for cut in range(len(data)):
        assert watch(data[:cut], data[cut:]).document()["minutes"] == watch(data).document()["minutes"]
