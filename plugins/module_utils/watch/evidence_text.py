# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text for times and durations in the evidence of verdicts. Pure."""

from __future__ import annotations

from ..logtext import timestamps
from ..text import counted, duration

# Longer times (seconds) are given as a duration first, then in rounds of the watchdog.
LONG_SECONDS = 600.0


def between(first: float | None, last: float | None) -> str:
    """Return ", from T to T" or ", at T", in UTC; "" if the times are not known."""
    if first is None or last is None:
        return ""
    if int(first) == int(last):
        return f", at {timestamps.utc(last)}"
    return f", from {timestamps.utc(first)} to {timestamps.utc(last)}"


def rounds(count: int, interval: float) -> str:
    """Return the length of rounds of the watchdog: "9 cycles (4.5 min)", "95 h (11382 rounds of 30 s)"."""
    seconds = count * interval
    if seconds < LONG_SECONDS:
        return f"{counted(count, 'cycle')} ({duration(seconds)})"
    return f"{duration(seconds)} ({counted(count, 'round')} of {duration(interval)})"
