# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One watched log: what was read of it, and the artifacts, ledger row and verdict that it leaves."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

from ...bundle.store import Store, json_bytes
from ...capture_names import LOG_WATCH
from ...model import Instance, LedgerRow, row, utc_now, utc_text
from ...reasons import Reason, Verdict, verdict
from ...transports.follow import Ended, Event, Lines, LogFollower, Opened
from ...watch.liveness import Liveness, liveness_of
from ...watch.patterns import PatternSet
from ...watch.report import windows_text
from ...watch.timeline_svg import sparkline, timeline_svg
from ...watch.verdicts import LogVerdict
from ...watch.watcher import Hit, LogWatcher
from ..engine.discovery import refuse_by_state
from .followers import feed

# Seconds between two verdicts on a log in trouble.
JUDGE_SECONDS = 1.0


class WatchedLog:
    """One instance whose log is followed. lock: of all but the follower. heard: when a line was last read live.

    unjudged: the newest hit since the last verdict.
    """

    def __init__(self, instance: Instance, patterns: PatternSet, follower: LogFollower, since: float) -> None:
        self.instance = instance
        self.follower = follower
        self.lock = threading.Lock()
        self.watcher = LogWatcher(patterns, follower.timestamped)
        self.opened = False
        self.outcome: Verdict | None = None
        self.started = utc_now()
        self.clock = time.monotonic()
        self.judged = 0.0
        self.unjudged: Hit | None = None
        self.heard: float | None = None
        self._since = since

    def take(self, event: Event) -> list[Hit]:
        """Note an event of the log; return the hits in it."""
        with self.lock:
            if isinstance(event, Opened):
                self.opened = True
            elif isinstance(event, Ended):
                self.outcome = event.outcome
            elif isinstance(event, Lines) and self.follower.caught_up.is_set():
                self.heard = time.time()
            hits = feed(self.watcher, event)
            self.unjudged = hits[-1] if hits else self.unjudged
            return hits

    def certain_by(self, now: float, at_once: bool = False) -> Hit | None:
        """Return the newest hit if the log is certain to tell of trouble by now (see LogWatcher.is_certain).

        A log is judged when there are new hits, and at most once a second unless `at_once`. now: time.monotonic().
        """
        with self.lock:
            if self.unjudged is None or (not at_once and now - self.judged < JUDGE_SECONDS):
                return None
            hit, self.unjudged, self.judged = self.unjudged, None, now
            # Judged at this moment, not that of the last line: while history is read, a trouble may be over.
            return hit if self.watcher.is_certain(time.time(), self.liveness(self.instance)) else None

    def liveness(self, newest: Instance | None) -> Liveness:
        """Return the signs of life that need no request.

        newest: the instance in a recent list; None if it is not there, and then its readiness is unknown.
        """
        known = liveness_of(newest or self.instance, self._since, self.heard)
        if newest is None:
            known = replace(known, ready=None)
        if self.outcome is not None and self.outcome.reason is Reason.GONE:
            known = replace(known, state="gone")
        return known

    def wants_ping(self, now: float, known: Liveness) -> bool:
        """Return whether an answer of /ping matters: with one, the log would be healthy, or its trouble over."""
        with self.lock:
            found = self.watcher.verdict(now, liveness=Liveness(ping=True, started=known.started))
        return found.over or found.rule == "quiet"

    def account_for(self, store: Store, now: float, liveness: Liveness) -> tuple[LogVerdict, str]:
        """Keep the artifacts and record the row; return the verdict, and the minutes as characters."""
        instance, watcher = self.instance, self.watcher
        found = watcher.verdict(now, instance.name, liveness)
        document: dict[str, Any] = {"instance": instance.as_dict(), **watcher.document(now, liveness)}
        folders = instance.folders
        artifact = store.keep(folders, "log.json", json_bytes(document))
        if watcher.hits:
            store.keep(folders, "log-windows.txt", windows_text(document).encode("utf-8", "replace"))
        counts = {"minutes": document["minutes"], "gaps": document["gaps"], "left_out": document["left_out"]}
        store.keep(folders, "counts.json", json_bytes(counts))
        drawn = timeline_svg(f"{instance.component} {instance.name}", document["minutes"], document["gaps"])
        store.keep(folders, "picture.svg", drawn.encode("utf-8", "replace"))
        details = {
            "verdict": found.verdict,
            "rule": found.rule,
            "over": found.over,
            "evidence": list(found.evidence),
            "lines": watcher.lines,
            "bytes": watcher.bytes,
            "hits": watcher.hits,
            "gaps": watcher.gaps,
            "container_changes": watcher.restarts,
        }
        begun, took = utc_text(self.started), time.monotonic() - self.clock
        store.record([row(instance, LOG_WATCH, self._outcome(), 1, artifact, begun, took, details)])
        return found, sparkline(document["minutes"])

    def _outcome(self) -> Verdict:
        """Return the verdict on the watching of this log."""
        if self.outcome is not None and self.outcome.reason not in (Reason.GONE,):
            return self.outcome
        if self.watcher.foreign and not self.watcher.lines:
            return verdict(Reason.LOG_UNAVAILABLE, self.watcher.foreign)
        if not self.opened and not self.watcher.bytes:
            refusal = refuse_by_state(self.instance)
            if refusal is not None:
                return refusal.verdict
            return self.outcome or verdict(Reason.LOG_UNAVAILABLE, "it could not be opened in time")
        if self.watcher.gaps:
            return verdict(Reason.LOG_GAP, f"{self.watcher.gaps} times")
        return verdict(Reason.RECORDED, "it went while it was watched" if self.outcome else "")


def not_followed_row(instance: Instance, outcome: Verdict) -> LedgerRow:
    """Return the row of an instance whose log is not followed."""
    return row(instance, LOG_WATCH, outcome, started=utc_text(utc_now()))
