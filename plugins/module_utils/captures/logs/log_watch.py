# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch the logs of all instances of an access point: first back in time, then live, to a verdict.

Each log has a thread that waits for its next bytes. What lines mean is decided in ../../watch; triggers.py starts
captures. One list call every few seconds shows which instances appear and disappear.
"""

from __future__ import annotations

import functools
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from ...bundle.store import Store
from ...capture_options import DURATION, FIRST_HIT, VERDICT, LogWatchOptions
from ...catalog import Selection
from ...deadline import Deadline
from ...log_patterns import CRITICAL, INFO
from ...model import Instance, InstanceKey, LedgerRow
from ...progress import Progress
from ...reasons import CaptureError, Reason, Verdict, verdict
from ...transports.base import Discovery, Transport
from ...transports.follow import Event, Gap
from ...vocabulary import NOT_READABLE, SKIPPED
from ...watch.liveness import Liveness
from ...watch.patterns import load_patterns
from ...watch.report import verdict_table
from ...watch.verdicts import VERDICTS, LogVerdict, by_weight, component_verdict
from ...watch.watcher import Hit
from ..engine.discovery import discovery_rows
from .followers import Followers, join_all
from .instance_cache import InstanceCache
from .liveness import ping_all
from .triggers import Triggers
from .watched_log import WatchedLog, not_followed_row

UNREACHABLE = "unreachable"


@dataclass
class LogWatchReport:
    """The result of a watch. verdicts: by component, the worst first. captures: those that hits started.

    table: lines for people. ended: why the watch ended, one of UNTIL, or UNREACHABLE if nothing could be listed.
    """

    rows: list[LedgerRow] = field(default_factory=list)
    verdicts: list[LogVerdict] = field(default_factory=list)
    table: list[str] = field(default_factory=list)
    captures: list[dict[str, Any]] = field(default_factory=list)
    changed: bool = False
    ended: str = DURATION

    @property
    def verdict(self) -> str:
        """Return the worst verdict."""
        return self.verdicts[0].verdict if self.verdicts else VERDICTS[1]


class LogWatch:
    """One watch of an access point. Call run() once. on_hit: called with each hit."""

    def __init__(
        self,
        transport: Transport,
        found: Discovery,
        selection: Selection,
        store: Store,
        options: LogWatchOptions,
        deadline: Deadline,
        progress: Progress | None = None,
        on_hit: Callable[[Instance, Hit], None] | None = None,
    ) -> None:
        self._transport = transport
        self._selection = selection
        self._store = store
        self._options = options
        self._limits = options.limits
        self._patterns = load_patterns(options.patterns)
        self._deadline = deadline
        self._watching = deadline.child(options.duration, "watch")
        self._progress = progress or Progress()
        self._on_hit = on_hit
        self._cache = InstanceCache(transport, selection, found, options.limits)
        self._triggers = Triggers(transport, selection, store, options.on_hit, deadline)
        self._watched: dict[InstanceKey, WatchedLog] = {}
        self._followers = Followers()
        self._end = threading.Event()
        self._ended = DURATION
        self._found = found
        self._left_out: set[InstanceKey] = set()

    def run(self) -> LogWatchReport:
        """Watch, wait for the captures that hits started, and account for every instance."""
        cluster = self._found.cluster_or(self._transport.cluster)
        self._store.record(discovery_rows(self._found, self._selection, cluster))
        lister = threading.Thread(target=self._list, name="lister", daemon=True)
        self._begin(self._found.instances)
        lister.start()
        begun = time.monotonic()
        retry = Deadline(self._limits.retrying, "retry")
        reporting = self._limits.reporting
        while not self._end.wait(min(reporting, self._watching.remaining())) and not self._watching.expired:
            self._judge_all()
            self._tell(time.monotonic() - begun)
            if retry.expired and not self._watched and self._problems():
                self._finish(UNREACHABLE)
        # Hits that are found from here on do not change the reason for the end.
        self._end.set()
        self._look_back()
        self._judge_all(at_once=True)
        ended = time.time()
        # Stopped before the cache closes: a follower whose look at its instance fails then knows why.
        threads = self._followers.stop()
        self._cache.close()
        join_all([*threads, lister], self._limits.grace)
        self._tell(time.monotonic() - begun)
        self._triggers.wait()
        return self._report(ended)

    def _look_back(self) -> None:
        """Before an early end, wait briefly until every open log has caught up."""
        left = Deadline(self._limits.look_back, "look back", parent=self._watching)
        for watched in list(self._watched.values()):
            if watched.opened:
                watched.follower.caught_up.wait(left.remaining())

    def stop(self) -> None:
        """End soon. May be called from any thread."""
        self._end.set()

    def _list(self) -> None:
        while not self._watching.expired and not self._cache.closed:
            self._begin(self._cache.refresh(self._watching))

    def _begin(self, instances: Sequence[Instance]) -> None:
        """Follow those of these instances that are not followed yet."""
        for instance in instances:
            if instance.key in self._watched or self._followers.is_stopped:
                continue
            if self._watching.expired:
                self._leave_out(instance, verdict(Reason.LOG_UNAVAILABLE, "the watching ended before its turn"))
            elif len(self._watched) >= self._limits.streams:
                self._leave_out(instance, verdict(Reason.ERROR, f"more than {self._limits.streams} logs at once"))
            else:
                self._follow(instance)

    def _follow(self, instance: Instance) -> None:
        since, look = self._options.since, functools.partial(self._cache.get, instance.key)
        try:
            follower = self._transport.follow_log(instance, since, look, self._watching)
        except CaptureError as error:
            self._leave_out(instance, error.verdict)
            return
        watched = WatchedLog(instance, self._patterns, follower, time.time() - since)
        take, fail = functools.partial(self._take, watched), functools.partial(self._fail, watched)
        if self._followers.begin(instance.key, follower, take, fail):
            self._watched[instance.key] = watched

    def _leave_out(self, instance: Instance, outcome: Verdict) -> None:
        if instance.key not in self._left_out:
            self._left_out.add(instance.key)
            self._store.record([not_followed_row(instance, outcome)])

    def _take(self, watched: WatchedLog, event: Event) -> None:
        for hit in watched.take(event):
            if self._on_hit is not None:
                self._on_hit(watched.instance, hit)
            if hit.severity == CRITICAL:
                self._trigger(watched, hit)
            if self._options.until == FIRST_HIT and hit.severity != INFO:
                self._finish(FIRST_HIT)
        self._judge(watched)

    def _fail(self, watched: WatchedLog, error: Exception) -> None:
        watched.take(Gap(NOT_READABLE, f"{type(error).__name__}: {error}"))
        watched.outcome = verdict(Reason.ERROR, f"{type(error).__name__}: {error}")

    def _judge_all(self, at_once: bool = False) -> None:
        """Judge each log with hits that came within a second of its last verdict and were not judged then."""
        for watched in list(self._watched.values()):
            self._judge(watched, at_once)

    def _judge(self, watched: WatchedLog, at_once: bool = False) -> None:
        hit = watched.certain_by(time.monotonic(), at_once)
        if hit is None:
            return
        if hit.severity != CRITICAL:
            self._trigger(watched, hit)
        if self._options.until == VERDICT:
            self._finish(VERDICT)

    def _trigger(self, watched: WatchedLog, hit: Hit) -> None:
        self._triggers.hit(watched.instance, hit.pool, hit.pattern_id, hit.moment, lambda: self._cache.instances)

    def _finish(self, why: str) -> None:
        if not self._end.is_set():
            self._ended = why
            self._end.set()

    def _tell(self, elapsed: float) -> None:
        watchers = [watched.watcher for watched in list(self._watched.values())]
        self._progress.report(
            streams=len(watchers),
            lines=sum(each.lines for each in watchers),
            bytes=sum(each.bytes for each in watchers),
            hits=sum(each.hits for each in watchers),
            **{"s watched": (int(elapsed), int(self._options.duration))},
        )

    def _report(self, now: float) -> LogWatchReport:
        """Return the report of a watch that ended at this moment."""
        report = LogWatchReport(ended=self._ended)
        instances: dict[str, list[LogVerdict]] = {}
        sparks: dict[str, str] = {}
        for watched, liveness in self._liveness(now):
            with watched.lock:
                found, spark = watched.account_for(self._store, now, liveness)
            instances.setdefault(watched.instance.component, []).append(found)
            sparks[watched.instance.name] = spark
        report.verdicts = by_weight(component_verdict(parts, name) for name, parts in instances.items())
        report.table = verdict_table(report.verdicts, sparks) or [self._why_nothing()]
        report.captures = [done.document() for done in self._triggers.done]
        report.changed = any(done.signals or done.touched for done in self._triggers.done)
        report.rows = self._triggers.rows(self._store.rows)
        self._store.finish(report.rows)
        return report

    def _liveness(self, now: float) -> list[tuple[WatchedLog, Liveness]]:
        """Return all watched logs with their signs of life. /ping is requested where its answer matters."""
        # The last list is often cut short by the end of the watch.
        newest = self._cache.seen_within(self._limits.recent)
        known: list[tuple[WatchedLog, Instance, Liveness]] = []
        for watched in sorted(self._watched.values(), key=lambda each: each.instance.key):
            with watched.lock:
                watched.watcher.flush()
                if watched.opened and not watched.follower.caught_up.is_set():
                    watched.watcher.gap(SKIPPED, "the watching ended before the log was read up to then", None, now)
            instance = newest.get(watched.instance.key)
            known.append((watched, instance or watched.instance, watched.liveness(instance)))
        asked = [
            number for number, (watched, _instance, liveness) in enumerate(known) if watched.wants_ping(now, liveness)
        ]
        result = [liveness for _watched, _instance, liveness in known]
        pinged = ping_all(self._transport, [known[number][1:] for number in asked], self._deadline, self._limits)
        for number, liveness in zip(asked, pinged):
            result[number] = liveness
        return [(each[0], liveness) for each, liveness in zip(known, result)]

    def _why_nothing(self) -> str:
        """Return why no log was watched, for people."""
        problems = [f"{place}: {problem.message}" if place else problem.message for place, problem in self._problems()]
        if problems:
            return f"No log was watched. {problems[0]}"
        return f"No log was watched: there is no instance of {', '.join(self._selection.names)}."

    def _problems(self) -> list[tuple[str, Verdict]]:
        """Return what could not be looked at in the newest list, or at the beginning if nothing was listed since."""
        return self._cache.problems or self._found.problems
