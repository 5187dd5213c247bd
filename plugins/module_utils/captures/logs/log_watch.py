# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching the logs of all instances of an access point at once: back in time, then live, to a verdict.

Each log has a thread that waits for its next bytes. What they say, and what it adds up to, is the room watch/; what it
sets off is reaction.py. One list call every few seconds shows which instances come and go.
"""

from __future__ import annotations

import functools
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from ...bounds import check_bounds
from ...bundle.store import Store
from ...catalog import Selection
from ...deadline import Deadline
from ...log_patterns import CRITICAL, INFO
from ...model import NOT_READABLE, SKIPPED, Instance, InstanceKey, LedgerRow
from ...progress import Progress
from ...reasons import CaptureError, Reason, Verdict, verdict
from ...transports.base import Discovery, Transport
from ...transports.follow import Gap
from ...watch.liveness import Liveness
from ...watch.patterns import load_patterns
from ...watch.report import verdict_table
from ...watch.verdicts import VERDICTS, LogVerdict, by_weight, component_verdict
from ...watch.watcher import Hit
from ..engine.discovery import discovery_rows
from .instance_cache import Roster
from .liveness import ping_all
from .triggers import Reaction, TriggerOptions
from .watched_log import Watched, left_out

FIRST_HIT, VERDICT, DURATION = "first_hit", "verdict", "duration"
UNTIL = (FIRST_HIT, VERDICT, DURATION)
UNREACHABLE = "unreachable"
# How often the counts are told, in seconds.
REPORT_SECONDS = 1.0
# So many seconds it is tried again to list instances where that failed and nothing is watched.
RETRY_SECONDS = 5.0
# So many seconds the threads have to end when they are told to.
GRACE_SECONDS = 5.0
LOOK_BACK_SECONDS = 10.0
MAX_STREAMS = 2000


@dataclass(frozen=True)
class LogWatchOptions:
    """How to watch. since: how far back to begin, duration: how long to watch live, both in seconds.

    until: when to end before that; see UNTIL. patterns: the user's own. on_hit: what a hit sets off.
    ValueError says what is wrong with an option.
    """

    since: int = 600
    duration: float = 60.0
    until: str = VERDICT
    patterns: Sequence[dict[str, Any]] = ()
    on_hit: TriggerOptions = field(default_factory=TriggerOptions)

    def __post_init__(self) -> None:
        check_bounds({"since": self.since, "duration": self.duration})
        if self.until not in UNTIL:
            raise ValueError(f"until has to be one of {', '.join(UNTIL)}")
        load_patterns(self.patterns)


@dataclass
class LogWatchReport:
    """What a watch saw: rows, the verdicts by component (the worst first), the table for people, and what hits set
    off. ended: why it ended, one of UNTIL, or UNREACHABLE where nothing could be listed."""

    rows: list[LedgerRow] = field(default_factory=list)
    verdicts: list[LogVerdict] = field(default_factory=list)
    table: list[str] = field(default_factory=list)
    captures: list[dict[str, Any]] = field(default_factory=list)
    changed: bool = False
    ended: str = DURATION

    @property
    def verdict(self) -> str:
        """The worst of all."""
        return self.verdicts[0].verdict if self.verdicts else VERDICTS[1]


class LogWatch:
    """One watch of an access point. run() once."""

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
        self._patterns = load_patterns(options.patterns)
        self._deadline = deadline
        self._watching = deadline.child(options.duration, "watch")
        self._progress = progress or Progress()
        self._told = on_hit
        self._roster = Roster(transport, selection, found)
        self._reaction = Reaction(transport, selection, store, options.on_hit, deadline)
        self._watched: dict[InstanceKey, Watched] = {}
        self._threads: list[threading.Thread] = []
        # Held while a follower is started, and while the roster is closed: after that, none is started.
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._ended = DURATION
        self._found = found
        self._left_out: set[InstanceKey] = set()

    def run(self) -> LogWatchReport:
        """Watch, capture what hits set off, and account for every instance."""
        cluster = self._found.cluster_or(self._transport.cluster)
        self._store.record(discovery_rows(self._found, self._selection, cluster))
        lister = threading.Thread(target=self._list, name="roster", daemon=True)
        self._begin(self._found.instances)
        lister.start()
        begun = time.monotonic()
        retry = Deadline(RETRY_SECONDS, "retry")
        while not self._end.wait(min(REPORT_SECONDS, self._watching.remaining())) and not self._watching.expired:
            self._judge_all()
            self._tell(time.monotonic() - begun)
            if retry.expired and not self._watched and self._problems():
                self._finish(UNREACHABLE)
        # Hits that are found from here on do not change the reason for the end.
        self._end.set()
        self._look_back()
        self._judge_all(at_once=True)
        ended = time.time()
        # A follower whose look fails because the roster is closed has to know that it is over.
        self._stop_followers()
        with self._lock:
            self._roster.close()
        self._stop_followers()  # also those that the lister began in between
        grace = Deadline(GRACE_SECONDS, "end")
        for thread in [*self._threads, lister]:
            thread.join(grace.remaining())
        self._tell(time.monotonic() - begun)
        self._reaction.wait()
        return self._report(ended)

    def _look_back(self) -> None:
        """Who ends early has seen the log of each up to now all the same, where that does not take long."""
        left = Deadline(LOOK_BACK_SECONDS, "look back", parent=self._watching)
        for watched in list(self._watched.values()):
            if watched.opened:
                watched.follower.caught_up.wait(left.remaining())

    def _stop_followers(self) -> None:
        for watched in list(self._watched.values()):
            watched.follower.stop()

    def stop(self) -> None:
        """End soon. From any thread."""
        self._end.set()

    def _list(self) -> None:
        while not self._watching.expired and not self._roster.closed:
            self._begin(self._roster.turn(self._watching))

    def _begin(self, instances: Sequence[Instance]) -> None:
        """Follow those of these instances that are not followed yet."""
        for instance in instances:
            key = instance.key
            if key in self._watched or self._roster.closed:
                continue
            if self._watching.expired:
                self._leave_out(instance, verdict(Reason.LOG_UNAVAILABLE, "the watching ended before its turn"))
                continue
            if len(self._watched) >= MAX_STREAMS:
                self._leave_out(instance, verdict(Reason.ERROR, f"more than {MAX_STREAMS} logs at once"))
                continue
            try:
                follower = self._transport.follow_log(
                    instance,
                    self._options.since,
                    functools.partial(self._roster.look, key),
                    self._watching,
                )
            except CaptureError as error:
                self._leave_out(instance, error.verdict)
                continue
            watched = Watched(instance, self._patterns, follower, time.time() - self._options.since)
            thread = threading.Thread(target=self._follow, args=(watched,), name=f"log-{instance.name}", daemon=True)
            with self._lock:
                # The lister may come here when the watch has ended meanwhile.
                if not self._roster.closed:
                    self._watched[key] = watched
                    self._threads.append(thread)
                    thread.start()

    def _leave_out(self, instance: Instance, outcome: Verdict) -> None:
        if instance.key not in self._left_out:
            self._left_out.add(instance.key)
            self._store.record([left_out(instance, outcome)])

    def _follow(self, watched: Watched) -> None:
        try:
            for event in watched.follower.events():
                for hit in watched.take(event):
                    self._hit(watched, hit)
                self._judge(watched)
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-except
            # Kept, not swallowed: the other logs are watched on, and the row says so.
            watched.take(Gap(NOT_READABLE, f"{type(error).__name__}: {error}"))
            watched.outcome = verdict(Reason.ERROR, f"{type(error).__name__}: {error}")

    def _hit(self, watched: Watched, hit: Hit) -> None:
        if self._told is not None:
            self._told(watched.instance, hit)
        if hit.severity == CRITICAL:
            self._react(watched, hit)
        if self._options.until == FIRST_HIT and hit.severity != INFO:
            self._finish(FIRST_HIT)

    def _judge_all(self, at_once: bool = False) -> None:
        """Judge each log with hits that came within a second of its last judgement and were not judged then."""
        for watched in list(self._watched.values()):
            self._judge(watched, at_once)

    def _judge(self, watched: Watched, at_once: bool = False) -> None:
        hit = watched.certain_by(time.monotonic(), at_once)
        if hit is None:
            return
        if hit.severity != CRITICAL:
            self._react(watched, hit)
        if self._options.until == VERDICT:
            self._finish(VERDICT)

    def _react(self, watched: Watched, hit: Hit) -> None:
        self._reaction.hit(watched.instance, hit.pool, hit.pattern_id, hit.moment, lambda: self._roster.instances)

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
        """What there is to say of the watching that ended at that moment."""
        report = LogWatchReport(ended=self._ended)
        instances: dict[str, list[LogVerdict]] = {}
        sparks: dict[str, str] = {}
        for watched, vitals in self._vitals(now):
            with watched.lock:
                found, spark = watched.account_for(self._store, now, vitals)
            instances.setdefault(watched.instance.component, []).append(found)
            sparks[watched.instance.name] = spark
        report.verdicts = by_weight(component_verdict(parts, name) for name, parts in instances.items())
        report.table = verdict_table(report.verdicts, sparks) or [self._why_nothing()]
        report.captures = [done.document() for done in self._reaction.done]
        report.changed = any(done.signals or done.touched for done in self._reaction.done)
        report.rows = self._reaction.rows(self._store.rows)
        self._store.finish(report.rows)
        return report

    def _vitals(self, now: float) -> list[tuple[Watched, Liveness]]:
        """Everything that was watched, each with its signs of life. /ping is asked of those of which it matters."""
        newest = {instance.key: instance for instance in self._roster.instances}
        known: list[tuple[Watched, Instance, Liveness]] = []
        for watched in sorted(self._watched.values(), key=lambda each: each.instance.key):
            with watched.lock:
                watched.watcher.flush()
                if watched.opened and not watched.follower.caught_up.is_set():
                    watched.watcher.gap(SKIPPED, "the watching ended before the log was read up to then", None, now)
            instance = newest.get(watched.instance.key)
            known.append((watched, instance or watched.instance, watched.vitals(instance)))
        asked = [number for number, (watched, _instance, vitals) in enumerate(known) if watched.wants_ping(now, vitals)]
        result = [vitals for _watched, _instance, vitals in known]
        pinged = ping_all(self._transport, [known[number][1:] for number in asked], self._deadline)
        for number, vitals in zip(asked, pinged):
            result[number] = vitals
        return [(each[0], vitals) for each, vitals in zip(known, result)]

    def _why_nothing(self) -> str:
        """Why no log was watched, for people."""
        problems = [f"{place}: {problem.message}" if place else problem.message for place, problem in self._problems()]
        if problems:
            return f"No log was watched. {problems[0]}"
        return f"No log was watched: there is no instance of {', '.join(self._selection.names)}."

    def _problems(self) -> list[tuple[str, Verdict]]:
        """What could not be looked at: the newest, or that of the beginning where nothing was listed since."""
        return self._roster.problems or self._found.problems
