# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches the log of one instance: bytes in, hits and a verdict out. Sans-I/O.

What comes out does not depend on how the bytes are cut into feeds. Memory is bounded whatever comes: of a line without
end only its beginning and its end are kept, of pools, tasks, samples and minutes so many as there are limits for.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from ..logtext import timestamps
from ..model import GAPS, NOT_READABLE
from ..redact.redacted_line import redacted_line
from ..text import clean, counted, duration
from . import instance_rules as rules
from . import log_line
from .hit_context import ContextCollector, PatternCount
from .liveness import UNKNOWN_LIVENESS, Liveness
from .minute_counts import MinuteCounts
from .patterns import SEVERITIES, PatternSet
from .pool_inference import infer
from .pool_rules import FIRST_ROUNDS, RuleContext, busy_since, judge_pool
from .pools import READERS, WATCHDOG_SECONDS, Pool
from .slow_requests import CALLER, RequestCounts, slow_lines
from .verdicts import BUSY, DROPPING, HEALTHY, STUCK, UNKNOWN, VERDICTS, LogFinding, LogVerdict, settle

FORMAT, VERSION = "cloudpods.diagnostics/log", 1
# What is said of pools beyond the limit is said of this one.
OTHERS = "(others)"
NO_POOL = "no pool named"
STARTED = "started"


@dataclass(frozen=True)
class WatchLimits:
    """How much is kept, and from how many seconds of watching on nothing bad may be called healthy."""

    pools: int = 100
    gaps: int = 100
    containers: int = 20
    min_window: float = FIRST_ROUNDS * WATCHDOG_SECONDS


@dataclass(frozen=True)
class Hit:
    """A line that says a pattern's text.

    moment: in seconds since 1970 (UTC), None where it tells none. message: as it was said, so not to be shown; text
    may be. number: cycles, or how many tasks wait; 0 where it tells neither.
    """

    pattern_id: str
    severity: str
    pool: str
    moment: float | None
    message: str
    number: int = 0

    @property
    def text(self) -> str:
        """The message for people: one printable line without secrets."""
        return redacted_line(self.message)


class LogWatcher:
    """Fed with the log of one instance (one container, over all its restarts).

    stamped: each line begins with a stamp of RFC 3339 and a blank. Call opened() when the log can be read: without it
    the time that was watched begins with the first line that tells its time, and a quiet log is an unread one.
    Moments are seconds since 1970 (UTC).
    """

    def __init__(self, patterns: PatternSet, stamped: bool = True, limits: WatchLimits = WatchLimits()) -> None:
        self._patterns = patterns
        self._stamped = stamped
        self._limits = limits
        self._partial = _Partial()
        self._before = b"\n"  # the end of the whole lines so far; the newline stands before the first
        self._contexts = ContextCollector(stamped)
        self._minutes = MinuteCounts(stamped)
        self._counted: dict[str, PatternCount] = {}
        self._pools: dict[str, Pool] = {}
        self._gaps: deque[dict[str, Any]] = deque(maxlen=limits.gaps)
        self._containers: deque[dict[str, Any]] = deque(maxlen=limits.containers)
        self._requests = RequestCounts()
        self._ends = rules.ProcessEnds()
        self._started: float | None = None
        self._foreign = ""
        self._is_log = not stamped
        self._blind = -math.inf
        self._opened: float | None = None
        self._is_empty = False
        self._first: float | None = None
        self._last: float | None = None
        self.lines = self.bytes = self.hits = self.gaps = self.restarts = 0

    def opened(self, since: float, is_empty: bool = False) -> None:
        """The log can be read from that moment on. is_empty: nothing was ever written to it."""
        self._opened = since if self._opened is None else min(self._opened, since)
        self._is_empty = is_empty

    def feed(self, data: bytes) -> list[Hit]:
        """Take the next bytes; the hits in the lines that are whole by now."""
        self.bytes += len(data)
        end = data.rfind(b"\n") + 1
        if not end:
            self._partial.add(data)
            return []
        first = data.find(b"\n") + 1 if self._partial else 0
        hits = []
        if first:
            self._partial.add(data[: first - 1])
            hits = self._block(self._partial.take())
        if end > first:
            hits += self._block(data[first:end])
        self._partial.add(data[end:])
        return hits

    def flush(self) -> list[Hit]:
        """The log ends here: what is left of it is a line, too."""
        return self._block(self._partial.take()) if self._partial else []

    def gap(self, kind: str, message: str, since: float | None = None, until: float | None = None) -> None:
        """A part of the log was not seen, up to now where until is None. ValueError for a kind not in GAPS."""
        if kind not in GAPS:
            raise ValueError(f"'{kind}' is no kind of gap; there are {', '.join(GAPS)}")
        self.gaps += 1
        self._blind = max(self._blind, math.inf if until is None else until)
        times_of = {"since": timestamps.utc(since), "until": timestamps.utc(until)}
        self._gaps.append({"kind": kind, "message": clean(message), **times_of})

    def container_changed(self, container_id: str, restarts: int, moment: float | None = None) -> None:
        """From here on another process writes: its pools begin anew, what was lost stays lost."""
        self.restarts += 1
        # If the log is read back in time, it was right after the last line that the other process stopped writing.
        self._started = self._last if self._last is not None else moment
        self._ends.restart(self._started)
        self._containers.append({"id": clean(container_id, 100), "restarts": restarts, "since": timestamps.utc(moment)})
        for pool in self._pools.values():
            pool.restart()

    def verdict(self, now: float | None = None, name: str = "", liveness: Liveness = UNKNOWN_LIVENESS) -> LogVerdict:
        """What the log tells at that moment, by default that of its last line, and what else is known."""
        situation = self._situation(now, liveness)
        inferred = self._inferred()
        parts, findings = [], []
        for pool in self._pools.values():
            part = judge_pool(pool, situation, None if pool.name else inferred)
            if part is not None:
                parts.append(part)
                spoken = pool.name or (f"{inferred.name} (inferred from the lines around)" if inferred else NO_POOL)
                findings += [replace(each, text=f"{spoken}: {each.text}") for each in part.findings]
        patterns = self._by_weight()
        findings += rules.end_findings(self._ends, patterns, liveness, situation, self._last)
        findings += rules.trouble_findings(patterns, tuple(READERS), situation)
        findings += rules.slow_findings(self._requests.slow(situation.alive))
        findings += self._coverage(situation.now, findings, liveness)
        return settle(findings, name, tuple(sorted(parts, key=lambda part: part.name)))

    def is_certain(self, now: float | None = None, liveness: Liveness = UNKNOWN_LIVENESS) -> bool:
        """Whether the question is answered: tasks are lost, or a pool is stuck at this moment.

        That all is well is only sure at the end.
        """
        return self.verdict(now, liveness=liveness).verdict in (STUCK, DROPPING)

    @property
    def foreign(self) -> str:
        """What came instead of a log, as it may be shown; "" once a line had the stamp that each was to have."""
        return "" if self._is_log else self._foreign

    def document(self, now: float | None = None, liveness: Liveness = UNKNOWN_LIVENESS) -> dict[str, Any]:
        """For log.json."""
        found = self.verdict(now, liveness=liveness)
        judged = {part.name: part.document() for part in found.parts}
        pools = [{**pool.document(), **judged.get(name, {})} for name, pool in sorted(self._pools.items())]
        inferred = self._inferred()
        if inferred is not None:
            pools[0]["inferred"] = inferred.name  # the one without a name is the first
        return {
            "format": FORMAT,
            "version": VERSION,
            "clock": "stamps" if self._stamped else "log",
            "opened": timestamps.utc(self._opened),
            "first": timestamps.utc(self._first),
            "last": timestamps.utc(self._last),
            "lines": self.lines,
            "bytes": self.bytes,
            "hits": self.hits,
            "unfinished_line_bytes": self._partial.size,
            **found.document(),
            "watchdog_seconds": self._interval(),
            "pools": pools,
            "patterns": [each.document() for each in self._by_weight()],
            "slow_requests": self._requests.document(),
            "minutes": self._minutes.document(),
            "gaps": list(self._gaps),
            "gap_count": self.gaps,
            "containers": list(self._containers),
            "container_changes": self.restarts,
            "left_out": {"minutes": self._minutes.left_out},
        }

    def _block(self, block: bytes) -> list[Hit]:
        """Take whole lines."""
        if not self._is_log:
            block = self._without_foreign(block)
            if not block:
                return []
        start = len(self._before)
        data = self._before + block
        count = block.count(b"\n")
        self.lines += count
        self._contexts.begin(data, start)
        minute = self._minutes.add_lines(data, start, len(data), count)
        self._note_times(data, start)
        self._note_requests(data, start, minute)
        hits = [self._hit(found, data) for found in log_line.find(data, self._patterns, start, self._stamped)]
        self._before = data[-log_line.MAX_BACK - 1 :]
        return hits

    def _without_foreign(self, block: bytes) -> bytes:
        """Leave out what comes before the first line with a stamp: where each is to have one, it is no log.

        The kubelet answers with such a line where it cannot read the log (kubernetes/kubernetes#107243).
        """
        begin = log_line.first_stamped(block)
        foreign = block[:begin]
        text = redacted_line(log_line.shorten(foreign.lstrip().partition(b"\n")[0]).decode("utf-8", "replace"))
        if text and not self._foreign:
            blind, self._foreign = self._blind, text
            self.gap(NOT_READABLE, text)
            self._blind = blind  # as long as nothing else comes, the text itself tells that nothing is seen
        self._is_log = begin < len(block)
        return block[begin:]

    def _note_requests(self, data: bytes, start: int, minute: str | None) -> None:
        """Count the requests of a block. minute: that all its lines are of; None where there are several."""
        moment = timestamps.parse_rfc3339(minute + ":00Z") if minute else None
        if moment is not None:
            total = data.count(CALLER, start)
            if total:
                self._requests.add_minute(moment, total)
        elif minute is None:
            for each in log_line.moments_of(data, start, CALLER, self._stamped):
                self._requests.add_minute(each, 1)
        for end in slow_lines(data, start - 1):
            begin = data.rfind(b"\n", 0, end) + 1
            when = log_line.moment_at(data, begin, self._stamped)
            if when is not None and CALLER in data[begin:end]:
                self._requests.add_slow(when, data[begin:end])

    def _note_times(self, data: bytes, start: int) -> None:
        """Remember the first and the last time that lines tell."""
        if self._first is None:
            self._first = log_line.first_moment(data, start, self._stamped)
        last = log_line.last_moment(data, start, self._stamped)
        self._last = self._last if last is None else last

    def _hit(self, found: log_line.LineMatch, data: bytes) -> Hit:
        pattern = found.pattern
        self.hits += 1
        name = clean(found.groups.get("pool", ""), 100)
        reader = READERS.get(pattern.id)
        if reader is not None:
            if name not in self._pools and len(self._pools) >= self._limits.pools:
                name = OTHERS
            reader(self._pools.setdefault(name, Pool(name)), found.moment, found.groups)
        if pattern.ends_process:
            self._ends.crash(found.moment)
        elif pattern.id == STARTED:
            self._start(found.moment)
        pattern_count = self._counted.setdefault(pattern.id, PatternCount(pattern))
        sample = pattern_count.add(found, name, data, self._stamped)
        if sample is not None:
            self._contexts.add(sample, data, found.end + 1)
        place = pattern_count.opens_place()
        if place is not None:
            self._contexts.add(place, data, found.end + 1)
        self._minutes.add_hit(found.moment, pattern.severity)
        told = (found.groups.get("cycles") or found.groups.get("queue") or 0) if reader is not None else 0
        return Hit(pattern.id, pattern.severity, name, found.moment, found.message, int(told))

    def _start(self, moment: float | None) -> None:
        """The service says that it began to answer."""
        self._started = moment
        for pool in self._pools.values():
            pool.began_anew(moment)

    def _interval(self) -> float:
        known = [pool.cycles.interval for pool in self._pools.values() if pool.cycles.interval is not None]
        return statistics.median(known) if known else WATCHDOG_SECONDS

    def _situation(self, now: float | None, liveness: Liveness = UNKNOWN_LIVENESS) -> RuleContext:
        now = self._last if now is None else now
        starts = [each for each in (self._started, liveness.started) if each is not None]
        blind = math.inf if self._foreign and not self._is_log else self._blind
        sign = None if now is None else rules.sign_of_life(liveness, now, self._last)
        still = RuleContext(
            now, self._interval(), now if liveness.ping else sign, None, blind, max(starts, default=None)
        )
        busy = [since for pool in self._pools.values() for since in [busy_since(pool, still)] if since is not None]
        return replace(still, busy_since=min(busy, default=None))

    def _inferred(self) -> Pool | None:
        """The pool that the lines without a pool's name are about."""
        unnamed = self._pools.get("")
        return infer(unnamed, self._pools.values()) if unnamed is not None else None

    def _coverage(self, now: float | None, findings: list[LogFinding], liveness: Liveness) -> list[LogFinding]:
        """What speaks against calling the instance healthy although nothing bad was said; else that nothing does."""
        found = [
            LogFinding(UNKNOWN, "gap", f"not seen: {gap['message']} ({gap['kind']})") for gap in list(self._gaps)[-3:]
        ]
        is_read = self._opened is not None or self.bytes > 0
        since = self._first if self._opened is None else self._opened
        writes = not (self._is_empty and not self.bytes)
        found += rules.life_findings(liveness, now, self._last, since, writes) if is_read else []
        if any(VERDICTS.index(each.verdict) >= VERDICTS.index(BUSY) for each in findings):
            return found
        window = 0.0 if since is None or now is None else now - since
        if not is_read:
            found.append(LogFinding(UNKNOWN, "not_read", "nothing of the log was read"))
        elif not writes:
            text = "nothing was ever written to the log: it may go to a file (log_file_prefix)"
            found.append(LogFinding(UNKNOWN, "nothing_written", text))
        elif window < self._limits.min_window:
            found.append(LogFinding(UNKNOWN, "too_short", f"only {duration(max(window, 0.0))} were watched"))
        if any(each.verdict != HEALTHY for each in [*findings, *found]):
            return found
        signs = f"{counted(self.lines, 'line')} in {duration(window)}"
        signs += f"; /ping {liveness.said}" if liveness.ping and liveness.said else ""
        return [LogFinding(HEALTHY, "quiet", signs + ("; ready" if liveness.ready else ""))]

    def _by_weight(self) -> list[PatternCount]:
        weight = SEVERITIES.index
        return sorted(
            self._counted.values(), key=lambda each: (-weight(each.pattern.severity), -each.seen.count, each.pattern.id)
        )


class _Partial:
    """A line that has not ended: whole as long as it is not too long, then its beginning and its end."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._rest = bytearray()
        self.size = 0

    def __bool__(self) -> bool:
        return self.size > 0

    def add(self, data: bytes) -> None:
        self.size += len(data)
        room = log_line.MAX_HEAD - len(self._head)
        self._head += data[:room]
        self._rest += data[room:]
        if len(self._rest) > 2 * log_line.LONGEST:
            del self._rest[: -log_line.MAX_TAIL]

    def take(self) -> bytes:
        """The line, as log_line.shorten() makes it, and a newline."""
        cut = self.size > log_line.LONGEST
        line = bytes(self._head + (log_line.MIDDLE + self._rest[-log_line.MAX_TAIL :] if cut else self._rest) + b"\n")
        self._head, self._rest, self.size = bytearray(), bytearray(), 0
        return line
