# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A flood of hits is reported once in a cool-down, and again when it gets worse."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.throttle import Throttle


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_determines_the_weight_once_a_second_in_a_flood():
    clock = Clock()
    throttle = Throttle(60.0, clock=clock)
    key = ("region-1", "A")
    assert throttle.may_pass(key, "full")
    assert throttle.passes(key, 4, "full") == 0
    assert [throttle.may_pass(key, "full") for _time in range(1000)] == [False] * 1000
    clock.now += 1.0
    assert throttle.may_pass(key, "full")
    assert throttle.passes(key, 4, "full") is None
    assert not throttle.may_pass(key, "full")
    clock.now += 60.0
    assert throttle.may_pass(key, "full")
    assert throttle.passes(key, 1, "full") == 1002


def test_reports_a_forgotten_key_again():
    throttle = Throttle(60.0, clock=Clock())
    assert throttle.passes(("region-1", "A"), 4) == throttle.passes(("region-2", "A"), 4) == 0
    throttle.forget("region-1")
    assert throttle.passes(("region-1", "A"), 4) == 0
    assert throttle.passes(("region-2", "A"), 4) is None


def test_counts_suppressed_events_until_one_is_reported():
    throttle = Throttle(60.0, clock=Clock())
    assert throttle.passes(("region-1", "A"), 0, "busy_cycles") is None
    assert not throttle.may_pass(("region-1", "A"), "busy_cycles")
    assert throttle.passes(("region-1", "A"), 1, "busy") == 2
