# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaps in the followed log of a pod, and the words for them. Pure."""

from __future__ import annotations

from typing import Iterator

from ...model import ROTATION_MISSED, STREAM_LOST, Instance
from ..follow import Gap
from ..seam import stamp_of

# Services write their first line at once. The log of a container that begins later may have been rotated before. The
# cluster tells the start in whole seconds.
FIRST_LINE_SECONDS = 3.0


def unread(since: float | None, why: str, until: float) -> Gap:
    """Return the gap at the end of a log that could not be read any more."""
    return Gap(STREAM_LOST, f"the log could not be read to the end: {why}", since, until)


def rotated(when: str, since: float | None, until: float | None) -> Gap:
    """Return the gap that a rotation left."""
    return Gap(ROTATION_MISSED, f"the file of the log was rotated {when}", since, until)


def unseen_containers(before: Instance, now: Instance, since: float | None, until: float) -> Iterator[Gap]:
    """Yield the gap that containers left which came and went between these two, where there were any."""
    count = now.restarts - before.restarts - 1
    if before.container_id and count > 0:
        yield Gap(STREAM_LOST, f"{count} containers between this one and the one before were not seen", since, until)


def late_beginning(instance: Instance, oldest: float) -> Iterator[Gap]:
    """Yield the gap before the first line of a new container's log, where the container began long before."""
    started = stamp_of(instance.started.encode())
    if started is not None and started.moment is not None and oldest - started.moment > FIRST_LINE_SECONDS:
        late = f"the log begins {oldest - started.moment:.0f} s after its container"
        text = f"{late}: what was written before may have been rotated away"
        yield Gap(ROTATION_MISSED, text, started.moment, oldest)
