# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch logs without an end, and report each hit as it comes: the source of events for Event-Driven Ansible.

A watch with an end, a verdict and a ledger is log_watch.py. Nothing is kept but the state of the watchers. Of one pool
of one instance, a hit is reported once in a cool-down, unless the pool gets worse.
"""

from __future__ import annotations

import functools
import time
from typing import Any, Callable, Dict, Sequence

from ...capture_options import EVENT_STREAM_LIMITS, EventStreamOptions, FollowLimits
from ...catalog import Selection
from ...deadline import Deadline
from ...log_patterns import WARNING
from ...logtext.timestamps import utc
from ...model import Instance, InstanceKey
from ...reasons import CaptureError, Reason
from ...redact.redacted_line import redacted_line
from ...transports.base import Transport
from ...transports.follow import Ended, Event, Gap
from ...watch.patterns import SEVERITIES, PatternSet
from ...watch.pools import READERS
from ...watch.throttle import Throttle
from ...watch.verdicts import DROPPING, STUCK, UNKNOWN, VERDICTS
from ...watch.watcher import Hit, LogWatcher
from ..engine.discovery import discover
from .followers import Followers, feed, join_all
from .instance_cache import InstanceCache

HIT, GAP = "hit", "gap"
# Ends that are no gap: there is nothing to see any more.
EXPECTED = (Reason.GONE, Reason.RUN_DEADLINE)

Report = Callable[[Dict[str, Any]], None]


class EventStream:
    """Follows the logs of all instances of a selection. report: called with each event, from many threads."""

    def __init__(
        self,
        transport: Transport,
        selection: Selection,
        patterns: PatternSet,
        options: EventStreamOptions,
        deadline: Deadline,
        report: Report,
        limits: FollowLimits = EVENT_STREAM_LIMITS,
    ) -> None:
        self._transport = transport
        self._selection = selection
        self._patterns = patterns
        self._options = options
        self._deadline = deadline
        self._report = report
        self._limits = limits
        self._least = SEVERITIES.index(options.severity)
        self._throttle = Throttle(options.cooldown, limits.asking)
        self._known: set[InstanceKey] = set()
        self._followers = Followers()

    def run(self) -> None:
        """Watch until the deadline passes or is cancelled. All threads have ended then, or were left behind."""
        found = discover(self._transport, self._selection, self._deadline)
        cache = InstanceCache(self._transport, self._selection, found, self._limits)
        seconds = self._options.since
        instances = found.instances
        with self._deadline.guard(cache.close):
            try:
                while not self._deadline.expired:
                    self._follow_all(cache, instances, seconds)
                    # An instance that appeared since the last list is followed from before that.
                    seconds = self._limits.overlap
                    instances = cache.refresh(self._deadline)
            finally:
                join_all(self._followers.stop(), self._limits.grace)

    def _follow_all(self, cache: InstanceCache, instances: Sequence[Instance], seconds: int) -> None:
        """Follow the instances that are not followed yet; forget those that are gone."""
        for place, problem in cache.problems:
            self._report_gap(None, problem.reason.value, f"{place}: {problem.message}" if place else problem.message)
        present = {instance.key for instance in instances}
        if not cache.problems:
            for gone in self._known - present:
                self._throttle.forget(gone)
            self._known = present
        missing = [instance for instance in instances if instance.key not in self._followers]
        most = self._limits.streams
        room = max(0, most - len(self._followers))
        if len(missing) > room:
            self._report_gap(None, "left_out", f"{len(missing) - room} logs beyond {most} are not followed")
        for instance in missing[:room]:
            self._follow(cache, instance, seconds)

    def _follow(self, cache: InstanceCache, instance: Instance, seconds: int) -> None:
        look = functools.partial(cache.get, instance.key)
        try:
            follower = self._transport.follow_log(instance, seconds, look, self._deadline)
        except CaptureError as error:
            self._report_gap(instance, error.verdict.reason.value, error.verdict.message)
            return
        watcher = LogWatcher(self._patterns, follower.timestamped)
        take, fail = functools.partial(self._take, instance, watcher), functools.partial(self._fail, instance)
        self._followers.begin(instance.key, follower, take, fail)

    def _fail(self, instance: Instance, error: Exception) -> None:
        self._report_gap(instance, Reason.ERROR.value, f"{type(error).__name__}: {error}")

    def _take(self, instance: Instance, watcher: LogWatcher, event: Event) -> None:
        for hit in feed(watcher, event):
            self._report_hit(instance, watcher, hit)
        if isinstance(event, Gap):
            self._report_gap(instance, event.kind, event.message)
        elif isinstance(event, Ended) and event.outcome.reason not in EXPECTED:
            self._report_gap(instance, event.outcome.reason.value, event.outcome.message)

    def _report_hit(self, instance: Instance, watcher: LogWatcher, hit: Hit) -> None:
        key = instance.key, hit.pool or hit.pattern_id
        if not self._throttle.may_pass(key, hit.pattern_id):
            return
        judged = watcher.verdict(time.time())
        # A hit that is not about a pool gets the verdict of the instance; a pool without a name is another matter.
        parts = judged.parts if hit.pattern_id in READERS else ()
        verdict = next((part.verdict for part in parts if part.name == hit.pool), judged.verdict)
        # A line of the watchdog alone is no trouble; what its counts add up to may be one.
        matters = verdict in (STUCK, DROPPING) or SEVERITIES.index(hit.severity) >= self._least
        suppressed = self._throttle.passes(key, 1 + VERDICTS.index(verdict) if matters else 0, hit.pattern_id)
        if suppressed is None:
            return
        event = _about(HIT, instance, self._transport.cluster)
        event.update(pattern=hit.pattern_id, severity=hit.severity, pool=hit.pool, verdict=verdict)
        self._report(dict(event, text=hit.text, moment=utc(hit.moment), unsaid=suppressed))

    def _report_gap(self, instance: Instance | None, kind: str, message: str) -> None:
        """Report that a part of the logs is not seen, which a rule that acts on silence has to know."""
        key = instance.key if instance else None
        suppressed = self._throttle.passes((key, GAP, kind), 1)
        if suppressed is None:
            return
        event = _about(GAP, instance, self._transport.cluster)
        event.update(pattern=kind, severity=WARNING, pool="", verdict=UNKNOWN)
        self._report(dict(event, text=redacted_line(message), moment=utc(time.time()), unsaid=suppressed))


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
