# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lag of a reader by the timestamps of lines."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.lag import LagMeter, LagMonitor


def test_difference_of_clocks_is_no_lag():
    meter = LagMeter()
    assert [meter.of(1000.0 + second, 4600.0 + second) for second in range(3)] == [0.0, 0.0, 0.0]
    assert meter.least == 3600.0
    assert meter.of(1003.0, 4608.0) == 5.0


def test_earlier_clock_of_reader_is_no_lag():
    meter = LagMeter()
    assert meter.of(1000.0, 900.0) == 0.0
    assert meter.of(1001.0, 903.0) == 2.0


def test_reader_may_lag_while_it_has_time_to_catch_up():
    monitor = LagMonitor(limit=30.0, catch_up=10.0)
    assert not monitor.is_too_far(1000.0, 1000.0, monotonic=0.0)
    assert not monitor.is_too_far(1001.0, 1032.0, monotonic=32.0)
    assert not monitor.is_too_far(1002.0, 1042.0, monotonic=42.0)
    assert monitor.is_too_far(1003.0, 1043.0, monotonic=42.1)


def test_reader_that_catches_up_has_its_time_anew():
    monitor = LagMonitor(limit=30.0, catch_up=10.0)
    monitor.is_too_far(1000.0, 1000.0, monotonic=0.0)
    monitor.is_too_far(1001.0, 1040.0, monotonic=40.0)
    assert not monitor.is_too_far(1040.0, 1045.0, monotonic=45.0)
    assert not monitor.is_too_far(1041.0, 1080.0, monotonic=80.0)
    assert not monitor.is_too_far(1042.0, 1090.0, monotonic=90.0)
    assert monitor.is_too_far(1043.0, 1091.0, monotonic=91.0)
