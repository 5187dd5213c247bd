# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of following logs, as values that are passed in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FollowLimits:
    """Times in seconds.

    listing: between two lists of instances. shortest_listing: at least between two lists, however many followers ask
    for one: when an API server comes back, hundreds ask at once. reporting: between two reports of progress. retrying:
    how long to try again if nothing could be listed at the start. look_back: how long an early end waits for logs to
    catch up. grace: how long to wait for threads at the end. ping, pings: for one request to /ping, and for all of
    them. asking: between two verdicts on one pool during a cool-down. streams: logs that are followed at once.
    """

    listing: float = 10.0
    shortest_listing: float = 1.0
    reporting: float = 1.0
    retrying: float = 5.0
    look_back: float = 10.0
    grace: float = 5.0
    ping: float = 5.0
    pings: float = 10.0
    asking: float = 1.0
    streams: int = 2000

    @property
    def overlap(self) -> int:
        """Return how far to look back in the log of an instance that appeared since the last list."""
        return round(self.listing) + 5


# For event sources: one thread and one connection for each log, without an end.
EVENT_STREAM_LIMITS = FollowLimits(streams=500)
