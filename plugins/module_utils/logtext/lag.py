# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure how far the reader of a log is behind its writer. Sans-I/O."""

from __future__ import annotations

import math


class LagMeter:
    """Lag of the reader behind the writer, measured by the timestamps of lines.

    least: the smallest delay seen between a line's timestamp and its arrival, in seconds. It is the time that a line
    needs in any case, and the difference of the clocks.
    """

    def __init__(self) -> None:
        self.least = math.inf

    def of(self, moment: float, now: float) -> float:
        """Return how far the delay of a line exceeds the smallest delay seen, in seconds."""
        behind = now - moment
        self.least = min(self.least, behind)
        return behind - self.least


class LagMonitor:
    """Decision that a reader lags and does not catch up: it is more than `limit` behind for longer than `catch_up`.

    After a stall a reader is behind, too, but then it reads fast what was written meanwhile.
    """

    def __init__(self, limit: float, catch_up: float) -> None:
        self._limit = limit
        self._catch_up = catch_up
        self._meter = LagMeter()
        self._since: float | None = None

    @property
    def least(self) -> float:
        """Smallest delay seen, in seconds. See LagMeter."""
        return self._meter.least

    def is_too_far(self, moment: float, now: float, monotonic: float) -> bool:
        """Return True if the arrival of a line of that moment shows that the reader does not catch up."""
        if self._meter.of(moment, now) <= self._limit:
            self._since = None
            return False
        if self._since is None:
            self._since = monotonic
        return monotonic - self._since > self._catch_up
