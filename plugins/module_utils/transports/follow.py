# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a log for long: what a follower tells, whichever transport it is of, and what all of them share.

A log ends and goes on: streams are cut, files are rotated, containers restart. A follower goes on as well, gives each
line once, and names what it could not see.
"""

from __future__ import annotations

import abc
import math
import threading
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Optional, Union

from ..deadline import Deadline
from ..model import Instance
from ..reasons import Verdict

# Who reads so many seconds behind what is written will not catch up: he goes on with what is written now.
LAG_SECONDS = 30.0


@dataclass(frozen=True)
class Opened:
    """The log is proved to be readable, from that moment on (seconds since 1970). is_empty: nothing was written yet."""

    since: float
    is_empty: bool = False


@dataclass(frozen=True)
class Lines:
    """Bytes of the log: whole lines, but for one that is longer than logtext.lines.LONGEST_HELD."""

    data: bytes


@dataclass(frozen=True)
class Gap:
    """A part of the log that was not seen; since and until are seconds since 1970 where they are known."""

    kind: str
    message: str
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True)
class Changed:
    """From here on another container or process writes."""

    container_id: str
    restarts: int


@dataclass(frozen=True)
class Ended:
    """Nothing more will come, and why."""

    outcome: Verdict


Event = Union[Opened, Lines, Gap, Changed, Ended]
# How the instance is now; None where it is gone. CaptureError and DeadlineExceeded where that cannot be seen.
Look = Callable[[Deadline], Optional[Instance]]


class LogFollow(abc.ABC):
    """The log of one instance, as far back as was asked for and then live, until it is stopped or the deadline passes.

    stamped: whether each line begins with a stamp of RFC 3339 and a blank. present: set once all is passed on that was
    written before it began; until then what is seen is history.
    """

    stamped = True

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._stopped = threading.Event()
        self.present = threading.Event()

    @abc.abstractmethod
    def events(self) -> Iterator[Event]:
        """What happens, as it happens; to be called once. Nothing that a target does is an exception."""

    def stop(self) -> None:
        """Let events() end soon. From any thread; may be called more than once."""
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

    def __enter__(self) -> LogFollow:
        return self

    def __exit__(self, *unused: Any) -> None:
        self.stop()


class Lag:
    """How far reading is behind writing. Sans-I/O.

    least: what lies between the stamp of a line and the moment when it is read in any case, in seconds: its way, and
    the difference of the clocks.
    """

    def __init__(self) -> None:
        self.least = math.inf

    def of(self, moment: float, now: float) -> float:
        """So many seconds more than the least is a line of that moment late that is read now."""
        behind = now - moment
        self.least = min(self.least, behind)
        return behind - self.least
