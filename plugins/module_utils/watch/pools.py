# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lines about a worker pool add up to. Pure; bounded whatever comes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..logtext import timestamps
from ..redact.redacted_line import redacted_line

WATCHDOG_SECONDS = 30.0  # the services look at their pools so often
# A longer pause between two lines of one kind ends an episode: five rounds of the watchdog, which speaks at each of
# them as long as a pool is busy.
EPISODE_SECONDS = 5 * WATCHDOG_SECONDS
# A service works so long before it says that it listens, and its pools may have something to do by then.
BEFORE_START_SECONDS = 2 * WATCHDOG_SECONDS
MAX_TASKS = 20
MAX_POINTS = 120
MAX_REASONS = 10
# Shorter or longer intervals are no watchdog's.
_SHORTEST, _LONGEST = 0.05, 600.0
# Tasks that are named within so many seconds are the oldest of several pools at the same time.
_TOGETHER = 10.0


def is_after_pause(last: float | None, moment: float | None) -> bool:
    """Return whether a line of that moment begins another episode of what was said last at the other one."""
    return last is not None and moment is not None and moment - last > EPISODE_SECONDS


@dataclass
class Occurrences:
    """How often something was said, first and last when.

    run and began are the count and the beginning of the last episode: the lines since the last longer pause.
    """

    count: int = 0
    first: float | None = None
    last: float | None = None
    run: int = 0
    began: float | None = None

    def add(self, moment: float | None) -> bool:
        """Count a line; return whether an episode begins with it."""
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
    """Values over time, thinned out where they are many: each of the kept ones stands for `stride`."""

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
    """How many tasks waited, as the pool's BUSY lines tell.

    reports: lines since the number fell last; first and last: (moment, tasks) of them; workers: as the last line says.
    peak: the most of the last episode.
    """

    series: Series = field(default_factory=Series)
    reports: int = 0
    first: tuple[float | None, int] = (None, 0)
    last: tuple[float | None, int] = (None, 0)
    workers: int = 0
    peak: int = 0

    def add(self, moment: float | None, tasks: int, workers: int, begins: bool = False) -> None:
        """Take a line. begins: an episode begins with it, so what was before is no part of its growth."""
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
        """The process is another one, and so is the queue."""
        self.reports, self.first, self.last, self.peak = 0, (None, 0), (None, 0), 0

    @property
    def seconds(self) -> float:
        """For how long the number has not fallen."""
        (began, _tasks), (moment, _last) = self.first, self.last
        return 0.0 if began is None or moment is None else max(0.0, moment - began)


@dataclass
class BusyCycles:
    """The watchdog's "busy for N cycles": N grows by one each round, and begins anew once the pool was idle.

    reports: lines since the last time it was idle; first and last: (moment, N) of them; drained: how often N fell.
    interval: seconds from round to round as the lines show it; None before they do. opening: the first N of all.
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
            # Over all reports, since a header tells only whole seconds.
            interval = (moment - began) / (number - value)
            if _SHORTEST <= interval <= _LONGEST:
                self.interval = interval
        self.most = max(self.most, number)
        self.reports += 1

    def restart(self) -> None:
        """The process is another one, which counts from the beginning."""
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
    """A task that was named as the oldest that runs. started: when it began, as the line says."""

    text: str
    started: float | None
    seen: Occurrences = field(default_factory=Occurrences)

    @property
    def span(self) -> float:
        """For how long it has been named, in seconds."""
        if self.seen.first is None or self.seen.last is None:
            return 0.0
        return self.seen.last - self.seen.first

    @property
    def age(self) -> float:
        """How long it ran, when it was named last: from its start, where the line tells it."""
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
    """The oldest tasks that "stucking for a while" names: hundreds of lines may name one."""

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
        """Of those that were named at the end, the one that ran longest; None where there is none."""
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
    """One worker pool. The name is "" for what is said without one: the oldest task, detached workers.

    lost: tasks that found the queue full; refused: clients that were told so.
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
        """The process is another one: what waited is gone with the old one, what was lost stays lost."""
        self.cycles.restart()
        self.queue.restart()
        self.tasks.restart()
        self.detached_now = Occurrences()

    def began_anew(self, moment: float | None) -> None:
        """The service says that it began to answer. What was said long before that is of the process before."""
        if moment is not None and self.last is not None and moment - self.last > BEFORE_START_SECONDS:
            self.restart()

    @property
    def last(self) -> float | None:
        """When anything was said about it last."""
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


# Which pattern tells a pool what; other patterns are only counted.
READERS = {
    "queue_full": Pool.queue_full,
    "cancel_queue_full": Pool.queue_full,
    "request_queue_full": Pool.request_queue_full,
    "busy": Pool.busy,
    "busy_cycles": Pool.busy_cycles,
    "stucking": Pool.stucking,
    "detached": Pool.detach,
}
