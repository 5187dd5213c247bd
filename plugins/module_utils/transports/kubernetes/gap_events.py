# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gap events of a pod's followed log, with their messages. Pure."""

from __future__ import annotations

from typing import Iterator

from ...logtext.timestamps import timestamp_of
from ...model import Instance
from ...vocabulary import NOT_READABLE, ROTATION_MISSED, SKIPPED, STREAM_LOST
from ..follow import Gap

# A service writes its first line at once. If the log of a container begins later, its file may have been rotated
# before. The cluster reports the start in whole seconds.
FIRST_LINE_SECONDS = 3.0


def unread_end(since: float | None, why: str, until: float) -> Gap:
    """Return the gap at the end of a log that could not be read any more."""
    return Gap(STREAM_LOST, f"the log could not be read to the end: {why}", since, until)


def rotated(when: str, since: float | None, until: float | None) -> Gap:
    """Return the gap that a rotation left."""
    return Gap(ROTATION_MISSED, f"the file of the log was rotated {when}", since, until)


def files_missed(since: float | None, until: float | None) -> Gap:
    """Return the gap of files that were rotated away while their stream lived."""
    return Gap(ROTATION_MISSED, "files of the log may have been rotated away before they could be read", since, until)


def skipped(since: float | None, until: float | None) -> Gap:
    """Return the gap of a reader that skips to the newest line."""
    return Gap(SKIPPED, "more is written than can be read: only a sample of it was seen", since, until)


def previous_end_missing(since: float | None, until: float) -> Gap:
    """Return the gap of a previous container's log whose end or beginning is missing."""
    return Gap(STREAM_LOST, "the end of the log of the container before is missing", since, until)


def previous_unreadable(restarts: int, why: str, is_text: bool, since: float | None, until: float) -> Gap:
    """Return the gap of a previous container's log that could not be read. is_text: a text came in its place."""
    text = f"the end of the log of the container before restart {restarts} cannot be read: {why}"
    return Gap(NOT_READABLE if is_text else STREAM_LOST, text, since, until)


def unseen_containers(before: Instance, now: Instance, since: float | None, until: float) -> Iterator[Gap]:
    """Yield the gap of containers that came and went between these two, if there were any."""
    count = now.restarts - before.restarts - 1
    if before.container_id and count > 0:
        yield Gap(STREAM_LOST, f"{count} containers between this one and the one before were not seen", since, until)


def late_beginning(instance: Instance, oldest: float) -> Iterator[Gap]:
    """Yield the gap before the first line of a new container's log, if the container began long before that line."""
    started = timestamp_of(instance.started.encode())
    if started is not None and started.moment is not None and oldest - started.moment > FIRST_LINE_SECONDS:
        late = f"the log begins {oldest - started.moment:.0f} s after its container"
        text = f"{late}: what was written before may have been rotated away"
        yield Gap(ROTATION_MISSED, text, started.moment, oldest)
