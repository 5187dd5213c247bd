# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that LogContinuity asks its driver to take, the clock reading it needs, and its limits. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generator, NamedTuple, TypeVar, Union

from ...model import Instance
from ..follow import LAG_SECONDS, Event


class Now(NamedTuple):
    """One reading of both clocks, in seconds.

    wall: since 1970, to compare with timestamps of a log; monotonic: for durations.
    """

    wall: float
    monotonic: float


@dataclass(frozen=True)
class PodFollowLimits:
    """Time limits of a follower, in seconds."""

    # A silent stream may be a dead one. After this long without a byte, open another one.
    silence: float = 60.0
    # Longest wait for the first byte of a stream that has something to show, and for a short answer.
    answer: float = 15.0
    # Pauses between two attempts: they double from the first to the longest.
    first_pause: float = 0.2
    longest_pause: float = 5.0
    # A stream that lasted longer than this resets the pause.
    steady: float = 5.0
    # Upper bound on the delay between a container restart and the API server reporting it.
    restart_visible: float = 10.0
    # An outage that is younger than this when the watch ends is not a gap.
    tolerated_outage: float = 2.0
    # A reader that is more than `lag` behind, and stays so for longer than `catch_up`, skips to the newest line. After
    # a stall, the lines written meanwhile are read fast.
    lag: float = LAG_SECONDS
    catch_up: float = 10.0


NORMAL_LIMITS = PodFollowLimits()


@dataclass(frozen=True)
class OpenStream:
    """Open a stream of the log, in place of the one that is open. Reply: None, or ApiProblem.

    since: the first second to be sent, in RFC 3339; "" for the whole log. previous: the log of the container before
    this one, which is not followed. timeout: for the first byte. silence: the stream ends after this long without one.
    """

    instance: Instance
    since: str
    timeout: float
    silence: float
    previous: bool = False

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the request for this stream."""
        query = {"previous": "true"} if self.previous else {"follow": "true"}
        return dict(query, sinceTime=self.since) if self.since else query


@dataclass(frozen=True)
class ReadStream:
    """Wait for more of the open stream. Reply: bytes, or StreamEnd."""


@dataclass(frozen=True)
class CloseStream:
    """Close the stream. Reply: None."""


@dataclass(frozen=True)
class ReadNewestLine:
    """Read the newest line of the log. Reply: bytes with the end of the line, b"" for an empty log, or ApiProblem."""

    instance: Instance


@dataclass(frozen=True)
class ReadOldestTimestamp:
    """Read the timestamp of the first line of the newest file. Reply: Timestamp, None (empty log) or ApiProblem."""

    instance: Instance


@dataclass(frozen=True)
class FindInstance:
    """Look the instance up in the cluster. Reply: Instance, None when it is gone, or LookupFailed."""


@dataclass(frozen=True)
class Wait:
    """Wait. Reply: None."""

    seconds: float


@dataclass(frozen=True)
class StreamEnd:
    """Reply to ReadStream: nothing more will come. broken: the connection ended before the body did."""

    broken: bool


class LookupFailed(Exception):
    """The cluster could not be asked for the instance."""


Step = Union[Event, OpenStream, ReadStream, CloseStream, ReadNewestLine, ReadOldestTimestamp, FindInstance, Wait]
Result = TypeVar("Result")
# A part of the state machine: yields steps, is sent the replies, and returns its result.
Steps = Generator[Step, Any, Result]
