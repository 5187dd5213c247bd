# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State of a worker pool, accumulated from its log lines. Pure; bounded for any input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..logtext import timestamps
from ..redact.redacted_line import redacted_line

WATCHDOG_SECONDS = 30.0  # interval at which the services check their pools
# A longer pause between two lines of one kind ends an episode. While a pool is busy, the watchdog logs it each round.
EPISODE_SECONDS = 5 * WATCHDOG_SECONDS
# Time between the start of a process and its message that it listens. Its pools may be busy by then.
BEFORE_START_SECONDS = 2 * WATCHDOG_SECONDS
MAX_TASKS = 20
MAX_POINTS = 120
MAX_REASONS = 10
# Shortest and longest interval that is taken for the watchdog's, in seconds.
_SHORTEST, _LONGEST = 0.05, 600.0
# Tasks that are named within this many seconds of each other are the oldest tasks of several pools.
_TOGETHER = 10.0


def is_after_pause(last: float | None, moment: float | None) -> bool:
    """Return whether a line at `moment` begins a new episode after a line at `last`."""
    return last is not None and moment is not None and moment - last > EPISODE_SECONDS


@dataclass
class Occurrences:
    """Count of lines of one kind, with the times of the first and the last one.

    run, began: the count and the start of the last episode, that is, of the lines since the last longer pause.
    """

    count: int = 0
    first: float | None = None
    last: float | None = None
    run: int = 0
    began: float | None = None

    def add(self, moment: float | None) -> bool:
        """Count a line; return whether it begins an episode."""
        begins = not self.count or is_after_pause(self.last, moment)
        if begins:
            self.run, self.began = 0, moment
        self.count += 1
        self.run += 1
        if moment is not None:
            self.began = moment if self.began is None else min(self.began, moment)
            self.first = moment if self.first is None else min(self.first, moment)
            self.last = moment if self.last is None else max(self.last, moment)
        return begins

    def document(self) -> dict[str, Any]:
        return {"count": self.count, "first": timestamps.utc(self.first), "last": timestamps.utc(self.last)}


@dataclass
class Series:
    """Values over time. If there are many, each kept value stands for `stride` of them."""

    points: list[tuple[float | None, int]] = field(default_factory=list)
    most: int = 0
    stride: int = 1
    _number: int = 0

    def add(self, moment: float | None, value: int) -> None:
        self.most = max(self.most, value)
        if self._number % self.stride == 0:
            self.points.append((moment, value))
            if len(self.points) > MAX_POINTS:
                self.points = self.points[::2]
                self.stride *= 2
        self._number += 1

    def document(self) -> dict[str, Any]:
        points = [{"time": timestamps.utc(moment), "value": value} for moment, value in self.points]
        return {"most": self.most, "stride": self.stride, "points": points}


@dataclass
class QueueLength:
    """Number of waiting tasks, from the pool's BUSY lines.

    reports: lines since the number last fell. first, last: (moment, tasks) of the first and last of these. workers: as
    in the last line. peak: the maximum of the last episode.
    """

    series: Series = field(default_factory=Series)
    reports: int = 0
    first: tuple[float | None, int] = (None, 0)
    last: tuple[float | None, int] = (None, 0)
    workers: int = 0
    peak: int = 0

    def add(self, moment: float | None, tasks: int, workers: int, begins: bool = False) -> None:
        """Add a line. begins: it begins an episode, so growth is measured from it."""
        if begins:
            self.restart()
        self.peak = max(self.peak, tasks)
        self.series.add(moment, tasks)
        if tasks < self.last[1]:
            self.reports = 0
        if not self.reports:
            self.first = (moment, tasks)
        self.last = (moment, tasks)
        self.workers = workers
        self.reports += 1

    def restart(self) -> None:
        """Begin anew for a new process, whose queue is empty."""
        self.reports, self.first, self.last, self.peak = 0, (None, 0), (None, 0), 0

    @property
    def seconds(self) -> float:
        """Time in seconds for which the number has not fallen."""
        (began, _tasks), (moment, _last) = self.first, self.last
        return 0.0 if began is None or moment is None else max(0.0, moment - began)


@dataclass
class BusyCycles:
    """The watchdog's "busy for N cycles". N grows by one each round and restarts at one after the pool was idle.

    reports: lines since the pool was last idle. first, last: (moment, N) of the first and last of these. drained: how
    often N fell. interval: seconds between rounds as the lines show it, None if unknown. opening: the first N of all.
    """

    seen: Occurrences = field(default_factory=Occurrences)
    reports: int = 0
    first: tuple[float | None, int] = (None, 0)
    last: tuple[float | None, int] = (None, 0)
    most: int = 0
    drained: int = 0
    series: Series = field(default_factory=Series)
    interval: float | None = None
    opening: int = 0

    def add(self, moment: float | None, number: int) -> None:
        if not self.seen.count:
            self.opening = number
        self.seen.add(moment)
        self.series.add(moment, number)
        if number <= self.last[1]:
            self.drained += 1
            self.reports = 0
        if not self.reports:
            self.first = (moment, number)
        self.last = (moment, number)
        began, value = self.first
        if moment is not None and began is not None and number > value:
            # Measured over all reports, because a header has whole seconds only.
            interval = (moment - began) / (number - value)
            if _SHORTEST <= interval <= _LONGEST:
                self.interval = interval
        self.most = max(self.most, number)
        self.reports += 1

    def restart(self) -> None:
        """Begin anew for a new process, which counts from one."""
        self.reports, self.first, self.last = 0, (None, 0), (None, 0)

    def document(self) -> dict[str, Any]:
        ends = {
            name: {"time": timestamps.utc(moment), "cycles": number}
            for name, (moment, number) in (("first", self.first), ("last", self.last))
        }
        count = {"lines": self.seen.count, "since_idle": self.reports, "most": self.most, "drained": self.drained}
        return {**count, **ends, "interval": self.interval, "series": self.series.document()}


@dataclass
class OldestTask:
    """A task that was logged as the oldest running one. started: when it began, from the line."""

    text: str
    started: float | None
    seen: Occurrences = field(default_factory=Occurrences)

    @property
    def span(self) -> float:
        """Time in seconds between the first and the last line that names it."""
        if self.seen.first is None or self.seen.last is None:
            return 0.0
        return self.seen.last - self.seen.first

    @property
    def age(self) -> float:
        """Runtime in seconds at the last line that names it: from its start if known, else the span."""
        if self.started is None or self.seen.last is None:
            return self.span
        return max(self.span, self.seen.last - self.started)

    def document(self) -> dict[str, Any]:
        return {
            "task": self.text,
            "started": timestamps.utc(self.started),
            "age": round(self.age, 3),
            **self.seen.document(),
        }


@dataclass
class OldestTasks:
    """The oldest tasks, from "stucking for a while" lines. Hundreds of lines may name one task."""

    seen: Occurrences = field(default_factory=Occurrences)
    different: int = 0
    _tasks: dict[tuple[str, str], OldestTask] = field(default_factory=dict)

    def add(self, moment: float | None, since: str, text: str) -> None:
        self.seen.add(moment)
        key = (since, text[:500])
        task = self._tasks.get(key)
        if task is None:
            self.different += 1
            if len(self._tasks) >= MAX_TASKS:
                del self._tasks[min(self._tasks, key=lambda each: self._tasks[each].span)]
            task = self._tasks[key] = OldestTask(redacted_line(text.strip()), timestamps.parse_go_time(since))
        task.seen.add(moment)

    @property
    def oldest(self) -> OldestTask | None:
        """The longest-running task among those named at the end, or None."""
        end = self.seen.last
        current = [
            task
            for task in self._tasks.values()
            if end is None or (task.seen.last is not None and end - task.seen.last <= _TOGETHER)
        ]
        return max(current, key=lambda task: task.age, default=None)

    def restart(self) -> None:
        self._tasks.clear()

    def document(self) -> dict[str, Any]:
        tasks = sorted(self._tasks.values(), key=lambda task: (-task.age, task.text))
        return {**self.seen.document(), "different": self.different, "tasks": [task.document() for task in tasks]}


@dataclass
class Pool:
    """One worker pool. Lines without a pool name (oldest task, detached workers) belong to the pool "".

    lost: tasks dropped because the queue was full. refused: requests answered with 429 for the same reason.
    """

    name: str
    lost: Occurrences = field(default_factory=Occurrences)
    refused: Occurrences = field(default_factory=Occurrences)
    waiting: Occurrences = field(default_factory=Occurrences)
    queue: QueueLength = field(default_factory=QueueLength)
    most_workers: int = 0
    cycles: BusyCycles = field(default_factory=BusyCycles)
    detached: Occurrences = field(default_factory=Occurrences)
    detached_now: Occurrences = field(default_factory=Occurrences)
    reasons: dict[str, int] = field(default_factory=dict)
    longest: float = 0.0
    tasks: OldestTasks = field(default_factory=OldestTasks)

    def queue_full(self, moment: float | None, _groups: dict[str, str]) -> None:
        self.lost.add(moment)

    def request_queue_full(self, moment: float | None, _groups: dict[str, str]) -> None:
        self.refused.add(moment)

    def busy(self, moment: float | None, groups: dict[str, str]) -> None:
        begins = self.waiting.add(moment)
        self.queue.add(moment, int(groups["queue"]), int(groups["max"]), begins)
        self.most_workers = max(self.most_workers, int(groups["max"]))

    def busy_cycles(self, moment: float | None, groups: dict[str, str]) -> None:
        self.cycles.add(moment, int(groups["cycles"]))

    def stucking(self, moment: float | None, groups: dict[str, str]) -> None:
        self.tasks.add(moment, groups.get("since", ""), groups.get("task", ""))

    def detach(self, moment: float | None, groups: dict[str, str]) -> None:
        self.detached.add(moment)
        self.detached_now.add(moment)
        reason = redacted_line(groups["reason"], 60)
        if reason in self.reasons or len(self.reasons) < MAX_REASONS:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
        self.longest = max(self.longest, timestamps.parse_go_duration(groups.get("after", "")) or 0.0)

    def restart(self) -> None:
        """Begin anew for a new process: waiting tasks are gone, lost tasks stay counted."""
        self.cycles.restart()
        self.queue.restart()
        self.tasks.restart()
        self.detached_now = Occurrences()

    def service_started(self, moment: float | None) -> None:
        """Note that the service began to answer. Lines from long before belong to the previous process."""
        if moment is not None and self.last is not None and moment - self.last > BEFORE_START_SECONDS:
            self.restart()

    @property
    def last(self) -> float | None:
        """Time of the last line about the pool, or None."""
        parts = (self.lost, self.refused, self.waiting, self.cycles.seen, self.detached, self.tasks.seen)
        return max((part.last for part in parts if part.last is not None), default=None)

    def document(self) -> dict[str, Any]:
        made: dict[str, Any] = {"name": self.name}
        for name in ("lost", "refused", "waiting", "detached"):
            seen: Occurrences = getattr(self, name)
            if seen.count:
                made[name] = seen.document()
        if self.waiting.count:
            made["waiting"].update(workers=self.most_workers, queue=self.queue.series.document())
        if self.detached.count:
            made["detached"].update(reasons=self.reasons, longest=self.longest)
        if self.cycles.seen.count:
            made["cycles"] = self.cycles.document()
        if self.tasks.seen.count:
            made["oldest_tasks"] = self.tasks.document()
        return made


# Pattern id -> the method that reads its lines. Other patterns are only counted.
READERS = {
    "queue_full": Pool.queue_full,
    "cancel_queue_full": Pool.queue_full,
    "request_queue_full": Pool.request_queue_full,
    "busy": Pool.busy,
    "busy_cycles": Pool.busy_cycles,
    "stucking": Pool.stucking,
    "detached": Pool.detach,
}
