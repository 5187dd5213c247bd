# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface of log followers: the events they give, and how they are stopped.

A log ends and goes on: streams are cut, files are rotated, containers restart. A follower goes on as well, gives each
line once, and reports a gap for lines that it could not read.
"""

from __future__ import annotations

import abc
import threading
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Optional, Union

from ..deadline import Deadline
from ..model import Instance
from ..reasons import Verdict

# A reader that lags more than this (seconds) does not catch up, and skips to the newest line of the log.
LAG_SECONDS = 30.0


@dataclass(frozen=True)
class Opened:
    """The log can be read from `since` on (seconds since 1970). is_empty: nothing was written yet."""

    since: float
    is_empty: bool = False


@dataclass(frozen=True)
class Lines:
    """Bytes of the log: whole lines, except for a line that is longer than logtext.lines.LONGEST_HELD."""

    data: bytes


@dataclass(frozen=True)
class Gap:
    """A part of the log that was not read. since and until: seconds since 1970, None if unknown."""

    kind: str
    message: str
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True)
class WriterChanged:
    """The following lines are of another container or process."""

    container_id: str
    restarts: int


@dataclass(frozen=True)
class Ended:
    """End of the log, with its reason: no event follows."""

    outcome: Verdict


Event = Union[Opened, Lines, Gap, WriterChanged, Ended]
# Returns the instance as it is now, None if it is gone. Raises CaptureError or DeadlineExceeded if the lookup fails.
InstanceLookup = Callable[[Deadline], Optional[Instance]]


class LogFollower(abc.ABC):
    """Follower of one instance's log: the history that was asked for, then live, until stop() or the deadline.

    timestamped: each line begins with an RFC 3339 timestamp and a blank. caught_up: set once all lines were given that
    existed when it began; lines before that are history.
    """

    timestamped = True

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._stopped = threading.Event()
        self.caught_up = threading.Event()

    @abc.abstractmethod
    def events(self) -> Iterator[Event]:
        """Yield events as they happen. Call it once. Whatever a target does raises no exception."""

    def stop(self) -> None:
        """Let events() end soon. Any thread may call it, also more than once."""
        self._stopped.set()
        self._cut_off()

    def _cut_off(self) -> None:
        """End a blocked read."""
        return

    @property
    def _is_over(self) -> bool:
        return self._stopped.is_set() or self._deadline.expired

    def _wait(self, seconds: float) -> None:
        self._stopped.wait(min(seconds, self._deadline.remaining()))

    def __enter__(self) -> LogFollower:
        return self

    def __exit__(self, *unused: Any) -> None:
        self.stop()
