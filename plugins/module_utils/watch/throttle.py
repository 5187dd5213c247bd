# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limit how often an event is reported: once in a cool-down, or when it gets worse."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, Hashable


@dataclass
class _Reported:
    """State of one key.

    moment: when it was last reported; weight: how bad it was then. asked: when its weight was last determined;
    patterns: those that were seen since the last report. suppressed: events since the last report.
    """

    moment: float = -math.inf
    weight: int = 0
    asked: float = -math.inf
    patterns: set[str] = field(default_factory=set)
    suppressed: int = 0


class Throttle:
    """Decides which events are reported. Of one key, only one thread may ask at a time. clock: in seconds.

    asking: seconds between two times at which the weight of a key is determined.
    """

    def __init__(self, cooldown: float, asking: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._cooldown = cooldown
        self._asking = asking
        self._clock = clock
        self._reported: dict[tuple[Hashable, ...], _Reported] = {}
        self._lock = threading.Lock()

    def may_pass(self, key: tuple[Hashable, ...], pattern: str) -> bool:
        """Return whether to determine the weight now. In a flood, that is not done for each line."""
        now = self._clock()
        with self._lock:
            reported = self._reported.get(key)
            rest = min(self._asking, self._cooldown)
            if reported is None or pattern not in reported.patterns or now - reported.asked >= rest:
                return True
            reported.suppressed += 1
            return False

    def passes(self, key: tuple[Hashable, ...], weight: int, pattern: str = "") -> int | None:
        """Return the number of suppressed events since the last report, or None to suppress this one, too.

        weight: how bad it is; 0 for an event that is never reported.
        """
        now = self._clock()
        with self._lock:
            reported = self._reported.setdefault(key, _Reported())
            if weight and (now - reported.moment >= self._cooldown or weight > reported.weight):
                self._reported[key] = _Reported(now, weight, now, {pattern})
                return reported.suppressed
            reported.suppressed += 1
            reported.asked = now
            reported.patterns.add(pattern)
            return None

    def forget(self, first: Hashable) -> None:
        """Forget all keys that begin with this."""
        with self._lock:
            for key in [key for key in self._reported if key[0] == first]:
                del self._reported[key]
