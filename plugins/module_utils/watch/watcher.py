# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watcher of one instance's log: bytes in, hits and a verdict out. Sans-I/O.

The result does not depend on how the bytes are split into feeds. Memory is bounded for any input: only the beginning
and the end of an endless line are kept, and pools, tasks, contexts and minutes have limits.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from ..logtext import timestamps
from ..redact.redacted_line import redacted_line
from ..sanitize import clean
from ..text import counted, duration
from ..vocabulary import GAPS, NOT_READABLE
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
# Lines about pools beyond the limit count for this one.
OTHERS = "(others)"
NO_POOL = "no pool named"
STARTED = "started"


@dataclass(frozen=True)
class WatchLimits:
    """Limits of memory. min_window: seconds of watching before a quiet log counts as healthy."""

    pools: int = 100
    gaps: int = 100
    containers: int = 20
    min_window: float = FIRST_ROUNDS * WATCHDOG_SECONDS


@dataclass(frozen=True)
class Hit:
    """A line that matches a pattern.

    moment: seconds since 1970 (UTC), None if unknown. message: not redacted, so never shown; show text instead. number:
    cycles or waiting tasks, 0 if the line has neither.
    """

    pattern_id: str
    severity: str
    pool: str
    moment: float | None
    message: str
    number: int = 0

    @property
    def text(self) -> str:
        """The message as one printable line, redacted."""
        return redacted_line(self.message)


class LogWatcher:
    """Reads the log of one instance: one container, over all its restarts.

    timestamped: each line begins with an RFC 3339 timestamp and a blank. Call opened() once the log is open. Without
    that, the watched time begins with the first dated line, and a quiet log counts as unread. Moments are seconds since
    1970 (UTC).
    """

    def __init__(self, patterns: PatternSet, timestamped: bool = True, limits: WatchLimits = WatchLimits()) -> None:
        self._patterns = patterns
        self._timestamped = timestamped
        self._limits = limits
        self._partial = _Partial()
        self._before = b"\n"  # the last whole lines; the newline precedes the first line
        self._contexts = ContextCollector(timestamped)
        self._minutes = MinuteCounts(timestamped)
        self._counted: dict[str, PatternCount] = {}
        self._pools: dict[str, Pool] = {}
        self._gaps: deque[dict[str, Any]] = deque(maxlen=limits.gaps)
        self._containers: deque[dict[str, Any]] = deque(maxlen=limits.containers)
        self._requests = RequestCounts()
        self._ends = rules.ProcessEnds()
        self._started: float | None = None
        self._foreign = ""
        self._is_log = not timestamped
        self._blind = -math.inf
        self._opened: float | None = None
        self._is_empty = False
        self._first: float | None = None
        self._last: float | None = None
        self.lines = self.bytes = self.hits = self.gaps = self.restarts = 0

    def opened(self, since: float, is_empty: bool = False) -> None:
        """Note that the log is readable from `since` on. is_empty: nothing was ever written to it."""
        self._opened = since if self._opened is None else min(self._opened, since)
        self._is_empty = is_empty

    def feed(self, data: bytes) -> list[Hit]:
        """Read the next bytes; return the hits in the lines completed by them."""
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
        """Read the rest of the log as a last line; return its hits."""
        return self._block(self._partial.take()) if self._partial else []

    def gap(self, kind: str, message: str, since: float | None = None, until: float | None = None) -> None:
        """Note a part of the log that was not read; until None: up to now. ValueError for a kind not in GAPS."""
        if kind not in GAPS:
            raise ValueError(f"'{kind}' is not a kind of gap; the kinds are {', '.join(GAPS)}")
        self.gaps += 1
        self._blind = max(self._blind, math.inf if until is None else until)
        times_of = {"since": timestamps.utc(since), "until": timestamps.utc(until)}
        self._gaps.append({"kind": kind, "message": clean(message), **times_of})

    def container_changed(self, container_id: str, restarts: int, moment: float | None = None) -> None:
        """Note that a new process writes from here on. Its pools begin anew; lost tasks stay counted."""
        self.restarts += 1
        # When an old log is read, the previous process ended right after the last line.
        self._started = self._last if self._last is not None else moment
        self._ends.restart(self._started)
        self._containers.append({"id": clean(container_id, 100), "restarts": restarts, "since": timestamps.utc(moment)})
        for pool in self._pools.values():
            pool.restart()

    def verdict(self, now: float | None = None, name: str = "", liveness: Liveness = UNKNOWN_LIVENESS) -> LogVerdict:
        """Return the verdict at a moment, by default the time of the last line."""
        context = self._rule_context(now, liveness)
        inferred = self._inferred()
        parts, findings = [], []
        for pool in self._pools.values():
            part = judge_pool(pool, context, None if pool.name else inferred)
            if part is not None:
                parts.append(part)
                label = pool.name or (f"{inferred.name} (inferred from the lines around)" if inferred else NO_POOL)
                findings += [replace(each, text=f"{label}: {each.text}") for each in part.findings]
        patterns = self._by_weight()
        findings += rules.end_findings(self._ends, patterns, liveness, context, self._last)
        findings += rules.trouble_findings(patterns, tuple(READERS), context)
        findings += rules.slow_findings(self._requests.slow(context.alive))
        findings += self._coverage(context.now, findings, liveness)
        return settle(findings, name, tuple(sorted(parts, key=lambda part: part.name)))

    def is_certain(self, now: float | None = None, liveness: Liveness = UNKNOWN_LIVENESS) -> bool:
        """Return whether further watching cannot change the verdict: tasks are lost, or a pool is stuck now.

        That all is well is only certain at the end.
        """
        return self.verdict(now, liveness=liveness).verdict in (STUCK, DROPPING)

    @property
    def foreign(self) -> str:
        """The text that came instead of a log, redacted; "" once a line had a timestamp."""
        return "" if self._is_log else self._foreign

    def document(self, now: float | None = None, liveness: Liveness = UNKNOWN_LIVENESS) -> dict[str, Any]:
        """Return the content of log.json."""
        found = self.verdict(now, liveness=liveness)
        judged = {part.name: part.document() for part in found.parts}
        pools = [{**pool.document(), **judged.get(name, {})} for name, pool in sorted(self._pools.items())]
        inferred = self._inferred()
        if inferred is not None:
            pools[0]["inferred"] = inferred.name  # the pool without a name sorts first
        return {
            "format": FORMAT,
            "version": VERSION,
            "clock": "stamps" if self._timestamped else "log",
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
        """Read a block of whole lines; return its hits."""
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
        hits = [self._hit(found, data) for found in log_line.find(data, self._patterns, start, self._timestamped)]
        self._before = data[-log_line.MAX_BACK - 1 :]
        return hits

    def _without_foreign(self, block: bytes) -> bytes:
        """Drop what precedes the first timestamped line, because it is not part of the log.

        The kubelet answers with such a text if it cannot read the log (kubernetes/kubernetes#107243).
        """
        begin = log_line.first_timestamped(block)
        foreign = block[:begin]
        text = redacted_line(log_line.shorten(foreign.lstrip().partition(b"\n")[0]).decode("utf-8", "replace"))
        if text and not self._foreign:
            blind, self._foreign = self._blind, text
            self.gap(NOT_READABLE, text)
            self._blind = blind  # until log lines come, _foreign itself marks the log as not read
        self._is_log = begin < len(block)
        return block[begin:]

    def _note_requests(self, data: bytes, start: int, minute: str | None) -> None:
        """Count the requests of a block. minute: the minute of all its lines, None if they are of several."""
        moment = timestamps.parse_rfc3339(minute + ":00Z") if minute else None
        if moment is not None:
            total = data.count(CALLER, start)
            if total:
                self._requests.add_minute(moment, total)
        elif minute is None:
            for each in log_line.moments_of(data, start, CALLER, self._timestamped):
                self._requests.add_minute(each, 1)
        for end in slow_lines(data, start - 1):
            begin = data.rfind(b"\n", 0, end) + 1
            when = log_line.moment_at(data, begin, self._timestamped)
            if when is not None and CALLER in data[begin:end]:
                self._requests.add_slow(when, data[begin:end])

    def _note_times(self, data: bytes, start: int) -> None:
        """Note the times of the first and the last dated line."""
        if self._first is None:
            self._first = log_line.first_moment(data, start, self._timestamped)
        last = log_line.last_moment(data, start, self._timestamped)
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
        context = pattern_count.add(found, name, data, self._timestamped)
        if context is not None:
            self._contexts.add(context, data, found.end + 1)
        crash = pattern_count.begin_crash()
        if crash is not None:
            self._contexts.add(crash, data, found.end + 1)
        self._minutes.add_hit(found.moment, pattern.severity)
        number = (found.groups.get("cycles") or found.groups.get("queue") or 0) if reader is not None else 0
        return Hit(pattern.id, pattern.severity, name, found.moment, found.message, int(number))

    def _start(self, moment: float | None) -> None:
        """Note that the service began to answer."""
        self._started = moment
        for pool in self._pools.values():
            pool.service_started(moment)

    def _interval(self) -> float:
        known = [pool.cycles.interval for pool in self._pools.values() if pool.cycles.interval is not None]
        return statistics.median(known) if known else WATCHDOG_SECONDS

    def _rule_context(self, now: float | None, liveness: Liveness = UNKNOWN_LIVENESS) -> RuleContext:
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
        """Return the pool that the lines without a pool name are about, or None."""
        unnamed = self._pools.get("")
        return infer(unnamed, self._pools.values()) if unnamed is not None else None

    def _coverage(self, now: float | None, findings: list[LogFinding], liveness: Liveness) -> list[LogFinding]:
        """Return the findings against `healthy` although no trouble was logged; else the finding `quiet`."""
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
        signs += f"; /ping {liveness.ping_result}" if liveness.ping and liveness.ping_result else ""
        return [LogFinding(HEALTHY, "quiet", signs + ("; ready" if liveness.ready else ""))]

    def _by_weight(self) -> list[PatternCount]:
        weight = SEVERITIES.index
        return sorted(
            self._counted.values(), key=lambda each: (-weight(each.pattern.severity), -each.seen.count, each.pattern.id)
        )


class _Partial:
    """An incomplete line. Of a line that is too long, only the beginning and the end are kept."""

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
        """Return the line, shortened as by log_line.shorten(), with a newline; begin a new one."""
        cut = self.size > log_line.LONGEST
        line = bytes(self._head + (log_line.MIDDLE + self._rest[-log_line.MAX_TAIL :] if cut else self._rest) + b"\n")
        self._head, self._rest, self.size = bytearray(), bytearray(), 0
        return line
