# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A follower of a pod's log in simulated time: no thread, no waiting, and one order of all that happens."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.deadline import Deadline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.follow import (
    Ended,
    Gap,
    Lines,
    Opened,
    WriterChanged,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.continuity import (
    LogContinuity,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.continuity_steps import (
    NORMAL_LIMITS,
    CloseStream,
    FindInstance,
    LookupFailed,
    OpenStream,
    PodFollowLimits,
    ReadNewestLine,
    ReadOldestTimestamp,
    ReadStream,
    Step,
    StreamEnd,
    Wait,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.log_requests import (
    PodLogRequests,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.problem import (
    ApiProblem,
    NoBytes,
)
from kubelet import Kubelet, LogBody

from patience import patience

POD = Instance("c1", "region", "region-a", "cloud", container="region", container_id="containerd://1")
MOST_STEPS = 20_000
# Reply to a step that has begun and may have to wait: a test can let something happen in between.
PENDING = object()


def second_of(moment: float) -> str:
    """Return a moment as a cluster reports it: RFC 3339, in whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


class SimulatedFollower:
    """Takes the steps of LogContinuity one by one, against a kubelet with a simulated clock.

    instance: as the cluster shows it; None if it is gone, an exception if it cannot be looked up. part_bytes: the most
    bytes that come at once. stream_ends: of the next streams the bytes after which each ends, and whether it breaks.
    Time passes only when a step has to wait: then all of its wait.
    """

    def __init__(
        self, kubelet: Kubelet, seconds: int = 60, instance: Instance = POD, limits: PodFollowLimits = NORMAL_LIMITS
    ) -> None:
        self.kubelet = kubelet
        self.instance: Instance | Exception | None = instance
        self.lookups = 0
        self.waits: list[float] = []
        self.events: list[Any] = []
        self.continuity = LogContinuity(instance, kubelet.time() - seconds, limits)
        self._log = PodLogRequests(kubelet, Deadline(patience()))  # type: ignore[arg-type]
        self._stream: LogBody | None = None
        self._opening: LogBody | None = None
        self._parts: deque[bytes] = deque()
        self._silence = 0.0
        self.part_bytes = 1 << 20
        self.stream_ends: deque[tuple[int, bool]] = deque()
        self._end: tuple[int, bool] | None = None
        self._performers: dict[type, Callable[[Any], Any]] = {
            OpenStream: self._open,
            ReadStream: self._read,
            CloseStream: self._close,
            ReadNewestLine: lambda step: self._log.newest(step.instance),
            ReadOldestTimestamp: lambda step: self._log.oldest(step.instance),
            FindInstance: self._find_instance,
            Wait: self._wait,
        }
        self.next_step: Step | None = self.continuity.step(kubelet.clock())

    def restart(self, *texts: str, times: int = 1, started: float = 0.0, **options: Any) -> None:
        """Let another container take the place, and write that. started: when it started; 0 for now."""
        assert isinstance(self.instance, Instance)
        restarts = self.instance.restarts + times
        begun = second_of(started or self.kubelet.time())
        self.instance = dataclasses.replace(
            self.instance, restarts=restarts, container_id=f"containerd://{restarts + 1}", started=begun
        )
        self.kubelet.restart(*texts, **options)

    @property
    def texts(self) -> list[str]:
        data = b"".join(event.data for event in self.events if isinstance(event, Lines))
        assert data.endswith(b"\n") or not data
        return [line.partition(b" ")[2].decode() for line in data.splitlines()]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def is_quiet(self) -> bool:
        """The next step waits for a stream that has nothing to give now."""
        waits = isinstance(self.next_step, ReadStream) and not self._parts
        return waits and self._stream is not None and not self._stream.has_something

    def await_true(self, holds: Callable[[], Any]) -> None:
        for _number in range(MOST_STEPS):
            if holds():
                return
            assert self.next_step is not None, f"it ended: {self.events[-5:]}"
            self.take_step()
        raise AssertionError(f"it did not happen: {self.next_step}, {self.events[-5:]}")

    def until(self, text: str) -> None:
        self.await_true(lambda: text in self.texts)

    def until_quiet(self) -> None:
        self.await_true(lambda: self.is_quiet)

    def until_asked(self, times: int) -> None:
        asked = len(self.kubelet.asked)
        self.await_true(lambda: len(self.kubelet.asked) > asked + times)

    def until_passed(self, seconds: float) -> None:
        """Wait until more time has passed."""
        begun = self.kubelet.time()
        self.await_true(lambda: self.kubelet.time() - begun > seconds)

    def end(self) -> list[Any]:
        """Stop it, as a watch that ends does: what it waits for is cut off."""
        self.continuity.stop()
        self.kubelet.cut(broken=True)
        return self.join()

    def join(self) -> list[Any]:
        self.await_true(lambda: self.next_step is None)
        return self.events

    def take_step(self) -> None:
        step, reply = self.next_step, None
        if isinstance(step, (Opened, Lines, Gap, WriterChanged, Ended)):
            self.events.append(step)
        else:
            try:
                reply = self._performers[type(step)](step)
            except (ApiProblem, LookupFailed) as error:
                reply = error
        if reply is not PENDING:
            self.next_step = self.continuity.step(self.kubelet.clock(), reply)

    def _open(self, step: OpenStream) -> Any:
        stream, self._opening = self._opening, None
        if stream is None:
            self._close(step)
            query = dict(step.query, container=step.instance.container, timestamps="true")
            stream = self.kubelet.new_stream(query)
            if not stream.has_something:
                self._opening = stream
                return PENDING
        if not stream.has_something:
            stream.close()
            self._pass(step.timeout)
            raise NoBytes(0, f"no answer within {step.timeout:.0f} s")
        self._stream, self._silence = stream, step.silence
        self._end = self.stream_ends.popleft() if self.stream_ends and not step.previous else None
        return None

    def _read(self, _step: ReadStream) -> bytes | StreamEnd:
        stream = self._stream
        assert stream is not None
        if not self._parts and not stream.is_finished:
            self.kubelet.pace()
            if not stream.has_something:
                self._pass(self._silence)
                return StreamEnd(broken=True)
            self._parts.extend(stream.take())
        if not self._parts:
            return StreamEnd(stream.broken)
        part = self._next_part()
        if self._end is not None:
            left, broken = self._end
            if not left:
                return StreamEnd(broken)
            part = part[:left]
            self._end = (left - len(part), broken)
        return part

    def _next_part(self) -> bytes:
        part = self._parts.popleft()
        if len(part) > self.part_bytes:
            self._parts.appendleft(part[self.part_bytes :])
        return part[: self.part_bytes]

    def _close(self, _step: Any) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        self._parts.clear()

    def _find_instance(self, _step: FindInstance) -> Instance | None:
        self.lookups += 1
        if isinstance(self.instance, Exception):
            raise LookupFailed(str(self.instance)) from self.instance
        return self.instance

    def _wait(self, step: Wait) -> None:
        self.waits.append(step.seconds)
        self._pass(step.seconds)

    def _pass(self, seconds: float) -> None:
        self.kubelet.clock.advance(seconds)  # type: ignore[attr-defined]
