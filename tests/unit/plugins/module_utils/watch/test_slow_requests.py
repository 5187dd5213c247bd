# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow requests in the request log."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from service_lines import access, line
from watch_helpers import ANSWERS, SHIPPED, START, watch


def request(second: float, milliseconds: float, url: str = "/servers") -> bytes:
    return access(second, url).replace(b" 12.34ms", b" %.2fms" % milliseconds)


def test_finds_slow_requests():
    """A database that takes 500 ms a query: nothing else in the log tells of it."""
    found = watch(*(request(second, 1500 + 10 * second) for second in range(43)), request(43, 5000, "/hosts"))
    judged = found.verdict(START + 61, "region-1", ANSWERS)
    assert (judged.verdict, judged.rule, judged.over) == ("busy", "requests_slow", False)
    assert judged.evidence[0] == ("requests take 1.7 s (median of 44; slowest 5 s: GET /hosts), at 2026-11-23T00:00Z")


@pytest.mark.parametrize(
    ("fast", "slow", "holds"), [(0, 5, True), (0, 4, False), (15, 5, True), (16, 5, False), (500, 0, False)]
)
def test_needs_a_number_and_a_share_of_slow_requests(fast, slow, holds):
    lines = [request(1, 499.99)] * fast + [request(1, 500)] * slow + [access(59)] * (fast == 0)
    found = watch(*sorted(lines)).verdict(START + 60, liveness=ANSWERS)
    assert (found.rule == "requests_slow") == holds


def test_marks_slow_requests_that_have_ended():
    found = watch(*(request(second, 900) for second in range(9)), access(400)).verdict(START + 401, liveness=ANSWERS)
    assert (found.verdict, found.over) == ("busy", True)
    assert found.evidence[0].endswith("; over since 2026-11-23T00:01:00Z")


def test_ignores_streamed_images():
    lines = [request(second, 60_000, "/v1/images/8a2f") for second in range(50)]
    assert watch(*lines).verdict(START + 60, liveness=ANSWERS).verdict == "healthy"


def test_ignores_durations_outside_the_request_log():
    lines = [line(second, " sync took 9999.00ms", "info") for second in range(50)]
    assert watch(*lines).verdict(START + 60, liveness=ANSWERS).verdict == "healthy"


@pytest.mark.parametrize("cut", [1, 57, 300, 4000, 100_000])
def test_counts_requests_the_same_in_any_split(cut):
    data = b"".join(request(second / 10, 400 + second) for second in range(1500))
    parts = [data[start : start + cut] for start in range(0, len(data), cut)]
    watcher = LogWatcher(SHIPPED)
    for part in parts:
        watcher.feed(part)
    assert watcher.document()["slow_requests"] == watch(data).document()["slow_requests"]
    assert sum(row["requests"] for row in watcher.document()["slow_requests"]) == 1500
