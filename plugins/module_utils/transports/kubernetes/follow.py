# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follower of a pod's log through the API server: performs the steps that continuity.py decides on."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, Iterator

from ...deadline import Deadline, DeadlineExceeded
from ...model import Instance
from ...reasons import CaptureError
from ..follow import Ended, Event, Gap, InstanceLookup, Lines, LogFollower, Opened, WriterChanged
from .api import Api, Stream
from .continuity import LogContinuity
from .continuity_steps import (
    NORMAL_LIMITS,
    CloseStream,
    FindInstance,
    LookupFailed,
    Now,
    OpenStream,
    PodFollowLimits,
    ReadNewestLine,
    ReadOldestTimestamp,
    ReadStream,
    StreamEnd,
    Wait,
)
from .log_requests import PodLogRequests
from .problem import ApiProblem

Clock = Callable[[], Now]


def system_clock() -> Now:
    """Return the time by both clocks of this machine."""
    return Now(time.time(), time.monotonic())


class PodLogFollower(LogFollower):
    """Log of a pod's container, followed through restarts. seconds: how far back to begin."""

    def __init__(
        self,
        api: Api,
        instance: Instance,
        seconds: int,
        look: InstanceLookup,
        deadline: Deadline,
        limits: PodFollowLimits = NORMAL_LIMITS,
        clock: Clock = system_clock,
    ) -> None:
        super().__init__(deadline)
        self._log = PodLogRequests(api, deadline, limits.answer)
        self._look = look
        self._clock = clock
        self._continuity = LogContinuity(instance, clock().wall - seconds, limits)
        self._open_stream = contextlib.ExitStack()
        self._stream: Stream | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._performers: dict[type, Callable[[Any], Any]] = {
            OpenStream: self._open,
            ReadStream: self._read,
            CloseStream: self._close,
            ReadNewestLine: lambda step: self._log.newest(step.instance),
            ReadOldestTimestamp: lambda step: self._log.oldest(step.instance),
            FindInstance: self._find_instance,
            Wait: lambda step: self._wait(step.seconds),
        }

    def events(self) -> Iterator[Event]:
        reply: Any = None
        with self._open_stream:
            while True:
                if self._is_over:
                    self._continuity.stop()
                step = self._continuity.step(self._clock(), reply)
                if self._continuity.caught_up:
                    self.caught_up.set()
                if step is None:
                    return
                reply = None
                if isinstance(step, (Opened, Lines, Gap, WriterChanged, Ended)):
                    yield step
                else:
                    reply = self._perform(step)

    def _perform(self, step: Any) -> Any:
        """Return the reply to a step: its result, or the exception that ended it."""
        try:
            return self._performers[type(step)](step)
        except (ApiProblem, LookupFailed) as error:
            return error
        except DeadlineExceeded as error:
            return ApiProblem(0, str(error))

    def _open(self, step: OpenStream) -> None:
        self._open_stream.close()
        stream = self._open_stream.enter_context(self._log.opening(step.instance, step.query, step.timeout))
        self._stream, self._chunks = stream, stream.chunks(silence=step.silence)

    def _read(self, _step: ReadStream) -> bytes | StreamEnd:
        chunk = next(self._chunks, None)
        return StreamEnd(self._stream is None or self._stream.broken) if chunk is None else chunk

    def _close(self, _step: CloseStream) -> None:
        self._open_stream.close()
        self._stream = None

    def _find_instance(self, _step: FindInstance) -> Instance | None:
        try:
            return self._look(self._deadline)
        except (CaptureError, DeadlineExceeded) as error:
            raise LookupFailed(str(error)) from error

    def _cut_off(self) -> None:
        self._log.cut_off()
