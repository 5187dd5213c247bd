# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching logs without an end: every hit is told as it comes, until somebody says that it is enough.

For who acts on hits (Event-Driven Ansible); a watch with an end, a verdict and a ledger is another procedure. Nothing
is kept but the state of the watchers. What is told is bounded: of one pool of one instance once in a cool-down, unless
it got worse.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Hashable, Sequence

from ...bounds import check_bounds
from ...catalog import Selection
from ...deadline import Deadline
from ...log_patterns import WARNING
from ...logtext.timestamps import utc
from ...model import Instance, InstanceKey
from ...reasons import CaptureError, Reason
from ...redact.redacted_line import redacted_line
from ...transports.base import Transport
from ...transports.follow import Ended, Event, Gap, LogFollower
from ...watch.patterns import SEVERITIES, PatternSet
from ...watch.pools import READERS
from ...watch.verdicts import DROPPING, STUCK, UNKNOWN, VERDICTS
from ...watch.watcher import Hit, LogWatcher
from ..engine.discovery import discover
from . import watcher_events as events
from .instance_cache import LIST_SECONDS, Roster

HIT, GAP = "hit", "gap"
# More logs than these are not followed at once: one thread and one connection each.
MAX_FOLLOWED = 500
# How long the threads are waited for at the end; what still hangs then is a daemon.
GRACE_SECONDS = 5.0
# How often it is asked in a cool-down whether a pool got worse.
ASK_EVERY_SECONDS = 1.0
# A pod that appeared since the last look is followed from before it was seen.
OVERLAP_SECONDS = round(LIST_SECONDS) + 5
# Endings that are no gap: there is nothing to see any more.
EXPECTED = (Reason.GONE, Reason.RUN_DEADLINE)

Tell = Callable[[Dict[str, Any]], None]


@dataclass(frozen=True)
class EventStreamOptions:
    """since: seconds to look back at the start; severity: the least that is told of a pool that is neither stuck nor
    loses tasks; cooldown: seconds in which one pool is told of once. ValueError says what is wrong with an option."""

    since: int = 0
    severity: str = WARNING
    cooldown: float = 300.0

    def __post_init__(self) -> None:
        check_bounds({"since": self.since, "cooldown": self.cooldown})
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity has to be one of {', '.join(SEVERITIES)}, not {self.severity}")


@dataclass
class _Told:
    """Of one pool: when it was last told of, and how bad it was; when that was last asked, and at which patterns; how
    often it was not told."""

    moment: float = -math.inf
    weight: int = 0
    asked: float = -math.inf
    patterns: set[str] = field(default_factory=set)
    unsaid: int = 0


@dataclass
class Throttle:
    """Lets one of many pass: again after the cool-down, or when it is worse. clock: in seconds.

    Of one key only one thread may ask at a time.
    """

    cooldown: float
    clock: Callable[[], float] = time.monotonic
    _told: dict[tuple[Hashable, ...], _Told] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def may_pass(self, key: tuple[Hashable, ...], pattern: str) -> bool:
        """Whether to find out how bad it is now. In a flood of the same that is not done for every line."""
        now = self.clock()
        with self._lock:
            told = self._told.get(key)
            rest = min(ASK_EVERY_SECONDS, self.cooldown)
            if told is None or pattern not in told.patterns or now - told.asked >= rest:
                return True
            told.unsaid += 1
            return False

    def passes(self, key: tuple[Hashable, ...], weight: int, pattern: str = "") -> int | None:
        """None when it is not to be told; else how many were not told since the last that was.

        weight: how bad it is; 0 for what is not to be told however long nothing was.
        """
        now = self.clock()
        with self._lock:
            told = self._told.setdefault(key, _Told())
            if weight and (now - told.moment >= self.cooldown or weight > told.weight):
                self._told[key] = _Told(now, weight, now, {pattern})
                return told.unsaid
            told.unsaid += 1
            told.asked = now
            told.patterns.add(pattern)
            return None

    def forget(self, first: Hashable) -> None:
        """Keys are tuples; those that begin with this one are not needed any more."""
        with self._lock:
            for key in [key for key in self._told if key[0] == first]:
                del self._told[key]


class HitWatch:
    """Follows the logs of all instances of a selection. tell: called with one event at a time per thread, from many."""

    def __init__(
        self,
        transport: Transport,
        selection: Selection,
        patterns: PatternSet,
        options: EventStreamOptions,
        deadline: Deadline,
        tell: Tell,
    ) -> None:
        self._transport = transport
        self._selection = selection
        self._patterns = patterns
        self._options = options
        self._deadline = deadline
        self._tell = tell
        self._least = SEVERITIES.index(options.severity)
        self._throttle = Throttle(options.cooldown)
        self._lock = threading.Lock()
        self._known: set[InstanceKey] = set()
        self._followed: dict[InstanceKey, tuple[threading.Thread, LogFollower]] = {}

    def run(self) -> None:
        """Until the deadline passes or is cancelled. All threads have ended then, or were given up."""
        found = discover(self._transport, self._selection, self._deadline)
        roster = Roster(self._transport, self._selection, found)
        seconds = self._options.since
        instances = found.instances
        with self._deadline.guard(roster.close):
            try:
                while not self._deadline.expired:
                    self._follow_all(roster, instances, seconds)
                    seconds = OVERLAP_SECONDS
                    instances = roster.turn(self._deadline)
            finally:
                self._end()

    def _end(self) -> None:
        with self._lock:
            followed = list(self._followed.values())
        for _thread, follow in followed:
            follow.stop()
        end = Deadline(GRACE_SECONDS, "end")
        for thread, _follow in followed:
            thread.join(end.remaining())

    def _follow_all(self, roster: Roster, instances: Sequence[Instance], seconds: int) -> None:
        """Follow those that are not followed yet; forget those that are gone."""
        for place, problem in roster.problems:
            self._tell_gap(None, problem.reason.value, f"{place}: {problem.message}" if place else problem.message)
        present = {instance.key for instance in instances}
        if not roster.problems:
            for gone in self._known - present:
                self._throttle.forget(gone)
            self._known = present
        with self._lock:
            missing = [instance for instance in instances if instance.key not in self._followed]
            room = max(0, MAX_FOLLOWED - len(self._followed))
        if len(missing) > room:
            self._tell_gap(None, "left_out", f"{len(missing) - room} logs beyond {MAX_FOLLOWED} are not followed")
        for instance in missing[:room]:
            self._begin(roster, instance, seconds)

    def _begin(self, roster: Roster, instance: Instance, seconds: int) -> None:
        try:
            follow = self._transport.follow_log(
                instance, seconds, functools.partial(roster.look, instance.key), self._deadline
            )
        except CaptureError as error:
            self._tell_gap(instance, error.verdict.reason.value, error.verdict.message)
            return
        thread = threading.Thread(target=self._follow, args=(instance, follow), name="hits", daemon=True)
        with self._lock:
            self._followed[instance.key] = thread, follow
            # Started before anybody can join it.
            thread.start()

    def _follow(self, instance: Instance, follow: LogFollower) -> None:
        watcher = LogWatcher(self._patterns, follow.timestamped)
        try:
            for event in follow.events():
                self._take(instance, watcher, event)
        except Exception as error:  # noqa: BLE001  # pylint: disable=broad-except
            # Told, not swallowed: this log is not followed any more, until the next look for instances.
            self._tell_gap(instance, Reason.ERROR.value, f"{type(error).__name__}: {error}")
        finally:
            with self._lock:
                self._followed.pop(instance.key, None)

    def _take(self, instance: Instance, watcher: LogWatcher, event: Event) -> None:
        for hit in events.take(watcher, event):
            self._tell_hit(instance, watcher, hit)
        if isinstance(event, Gap):
            self._tell_gap(instance, event.kind, event.message)
        elif isinstance(event, Ended) and event.outcome.reason not in EXPECTED:
            self._tell_gap(instance, event.outcome.reason.value, event.outcome.message)

    def _tell_hit(self, instance: Instance, watcher: LogWatcher, hit: Hit) -> None:
        key = instance.key, hit.pool or hit.pattern_id
        if not self._throttle.may_pass(key, hit.pattern_id):
            return
        judged = watcher.verdict(time.time())
        # What is not about a pool is judged by the instance as a whole: a pool without a name is another matter.
        parts = judged.parts if hit.pattern_id in READERS else ()
        verdict = next((part.verdict for part in parts if part.name == hit.pool), judged.verdict)
        # A watchdog that goes on counting is no trouble by its line, and one by what it adds up to.
        matters = verdict in (STUCK, DROPPING) or SEVERITIES.index(hit.severity) >= self._least
        unsaid = self._throttle.passes(key, 1 + VERDICTS.index(verdict) if matters else 0, hit.pattern_id)
        if unsaid is None:
            return
        event = _about(HIT, instance, self._transport.cluster)
        event.update(pattern=hit.pattern_id, severity=hit.severity, pool=hit.pool, verdict=verdict)
        self._tell(dict(event, text=hit.text, moment=utc(hit.moment), unsaid=unsaid))

    def _tell_gap(self, instance: Instance | None, kind: str, message: str) -> None:
        """A part of what was to be watched is not seen: who acts on silence has to know."""
        key = instance.key if instance else None
        unsaid = self._throttle.passes((key, GAP, kind), 1)
        if unsaid is None:
            return
        event = _about(GAP, instance, self._transport.cluster)
        event.update(pattern=kind, severity=WARNING, pool="", verdict=UNKNOWN)
        self._tell(dict(event, text=redacted_line(message), moment=utc(time.time()), unsaid=unsaid))


def _about(kind: str, instance: Instance | None, cluster: str) -> dict[str, Any]:
    if instance is None:
        return {"kind": kind, "cluster": cluster, "namespace": "", "component": "", "instance": "", "node": ""}
    return {
        "kind": kind,
        "cluster": instance.cluster or cluster,
        "namespace": instance.namespace,
        "component": instance.component,
        "instance": instance.name,
        "node": instance.node,
    }
