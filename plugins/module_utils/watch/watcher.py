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

from ..log_patterns import CRITICAL
from ..model import GAPS
from ..text import clean
from . import lines, times
from .minutes import Minutes
from .patterns import SEVERITIES, Patterns
from .pools import READERS, WATCHDOG_SECONDS, Pool
from .redact import shown
from .samples import Contexts, Counted
from .verdicts import (
    DROPPING,
    FIRST_ROUNDS,
    OTHER_RULES,
    STUCK,
    Judgement,
    Situation,
    by_weight,
    judge_pool,
)

FORMAT, VERSION = "cloudpods.diagnostics/log", 1
# What is said of pools beyond the limit is said of this one.
OTHERS = "(others)"
NO_POOL = "no pool named"
MAX_EVIDENCE = 10


@dataclass(frozen=True)
class Limits:
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
        return shown(self.message)


class Watcher:
    """Fed with the log of one instance (one container, over all its restarts).

    stamped: each line begins with a stamp of RFC 3339 and a blank. Call opened() when the log can be read: without it
    the time that was watched begins with the first line that tells its time, and a quiet log is an unread one.
    Moments are seconds since 1970 (UTC).
    """

    def __init__(self, patterns: Patterns, stamped: bool = True, limits: Limits = Limits()) -> None:
        self._patterns = patterns
        self._stamped = stamped
        self._limits = limits
        self._partial = _Partial()
        self._before = b"\n"  # the end of the whole lines so far; the newline stands before the first
        self._contexts = Contexts(stamped)
        self._minutes = Minutes(stamped)
        self._counted: dict[str, Counted] = {}
        self._pools: dict[str, Pool] = {}
        self._gaps: deque[dict[str, Any]] = deque(maxlen=limits.gaps)
        self._containers: deque[dict[str, Any]] = deque(maxlen=limits.containers)
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
        times_of = {"since": times.utc(since), "until": times.utc(until)}
        self._gaps.append({"kind": kind, "message": clean(message), **times_of})

    def container_changed(self, container_id: str, restarts: int, moment: float | None = None) -> None:
        """From here on another process writes: its pools begin anew, what was lost stays lost."""
        self.restarts += 1
        self._containers.append({"id": clean(container_id, 100), "restarts": restarts, "since": times.utc(moment)})
        for pool in self._pools.values():
            pool.restart()

    def verdict(self, now: float | None = None, name: str = "") -> Judgement:
        """What the log tells at that moment, by default that of its last line."""
        situation = self._situation(now)
        judged = (judge_pool(pool, situation) for _name, pool in sorted(self._pools.items()))
        parts = tuple(part for part in judged if part is not None)
        gaps = tuple(f"not seen: {gap['message']} ({gap['kind']})" for gap in self._gaps)[-3:]
        if parts:
            weighed = by_weight(parts)
            bad = weighed[0]
            said = [f"{part.name or NO_POOL}: {text}" for part in weighed for text in part.evidence]
            evidence = (*said[:MAX_EVIDENCE], *self._troubles(), *gaps)
            return Judgement(bad.verdict, bad.rule, evidence, bad.over, name, parts)
        rule, evidence = self._without_pools(situation.now)
        return Judgement(OTHER_RULES[rule][0], rule, (*evidence, *gaps), False, name)

    def is_certain(self, now: float | None = None) -> bool:
        """Whether the question is answered: tasks are lost, or a pool is stuck at this moment.

        That all is well is only sure at the end.
        """
        return self.verdict(now).verdict in (STUCK, DROPPING)

    def document(self, now: float | None = None) -> dict[str, Any]:
        """For log.json."""
        found = self.verdict(now)
        judged = {part.name: part.document() for part in found.parts}
        pools = [{**pool.document(), **judged.get(name, {})} for name, pool in sorted(self._pools.items())]
        return {
            "format": FORMAT,
            "version": VERSION,
            "clock": "stamps" if self._stamped else "log",
            "opened": times.utc(self._opened),
            "first": times.utc(self._first),
            "last": times.utc(self._last),
            "lines": self.lines,
            "bytes": self.bytes,
            "hits": self.hits,
            "unfinished_line_bytes": self._partial.size,
            **found.document(),
            "watchdog_seconds": self._interval(),
            "pools": pools,
            "patterns": [counted.document() for counted in self._by_weight()],
            "minutes": self._minutes.document(),
            "gaps": list(self._gaps),
            "gap_count": self.gaps,
            "containers": list(self._containers),
            "container_changes": self.restarts,
            "left_out": {"minutes": self._minutes.left_out},
        }

    def _block(self, block: bytes) -> list[Hit]:
        """Take whole lines."""
        start = len(self._before)
        data = self._before + block
        number = block.count(b"\n")
        self.lines += number
        self._contexts.begin(data, start)
        self._minutes.add_lines(data, start, len(data), number)
        self._note_times(data, start)
        hits = [self._hit(found, data) for found in lines.find(data, self._patterns, start, self._stamped)]
        self._before = data[-lines.MAX_BACK - 1 :]
        return hits

    def _note_times(self, data: bytes, start: int) -> None:
        """Remember the first and the last time that lines tell."""
        if self._first is None:
            self._first = lines.first_moment(data, start, self._stamped)
        last = lines.last_moment(data, start, self._stamped)
        self._last = self._last if last is None else last

    def _hit(self, found: lines.Found, data: bytes) -> Hit:
        pattern = found.pattern
        self.hits += 1
        name = clean(found.groups.get("pool", ""), 100)
        reader = READERS.get(pattern.id)
        if reader is not None:
            if name not in self._pools and len(self._pools) >= self._limits.pools:
                name = OTHERS
            reader(self._pools.setdefault(name, Pool(name)), found.moment, found.groups)
        counted = self._counted.setdefault(pattern.id, Counted(pattern))
        sample = counted.add(found, name, data, self._stamped)
        if sample is not None:
            self._contexts.add(sample, data, found.end + 1)
        place = counted.opens_place()
        if place is not None:
            self._contexts.add(place, data, found.end + 1)
        self._minutes.add_hit(found.moment, pattern.severity)
        number = int(found.groups.get("cycles") or found.groups.get("queue") or 0)
        return Hit(pattern.id, pattern.severity, name, found.moment, found.message, number)

    def _interval(self) -> float:
        known = [pool.cycles.interval for pool in self._pools.values() if pool.cycles.interval is not None]
        return statistics.median(known) if known else WATCHDOG_SECONDS

    def _situation(self, now: float | None) -> Situation:
        now = self._last if now is None else now
        still = Situation(now, self._interval(), blind=self._blind)
        growing = any(
            pool.cycles.reports > 0 and not still.is_over(pool.cycles.last[0]) for pool in self._pools.values()
        )
        return replace(still, growing=growing)

    def _without_pools(self, now: float | None) -> tuple[str, tuple[str, ...]]:
        """The rule of OTHER_RULES that holds where no pool is in trouble, and its evidence."""
        troubles = self._troubles()
        if troubles:
            return "trouble", troubles
        if self._opened is None and not self.bytes:
            return "not_read", ("nothing of the log was read",)
        if self.gaps:
            return "gap", ()
        if self._is_empty and not self.bytes:
            return "nothing_written", ("nothing was ever written to the log: it may go to a file (log_file_prefix)",)
        began = self._first if self._opened is None else self._opened
        window = 0.0 if began is None or now is None else now - began
        if window < self._limits.min_window:
            return "too_short", (f"only {max(window, 0.0):.0f} s were watched",)
        return "quiet", (f"{self.lines} lines in {window:.0f} s",)

    def _troubles(self) -> tuple[str, ...]:
        """What was said that is critical and not about pools."""
        others = [each for each in self._by_weight() if each.pattern.id not in READERS]
        bad = [each for each in others if each.pattern.severity == CRITICAL][:MAX_EVIDENCE]
        return tuple(f"{each.pattern.id}, {each.seen.count} times: {each.pattern.meaning}" for each in bad)

    def _by_weight(self) -> list[Counted]:
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
        room = lines.MAX_HEAD - len(self._head)
        self._head += data[:room]
        self._rest += data[room:]
        if len(self._rest) > 2 * lines.LONGEST:
            del self._rest[: -lines.MAX_TAIL]

    def take(self) -> bytes:
        """The line, as lines.shorten() makes it, and a newline."""
        cut = self.size > lines.LONGEST
        line = bytes(self._head + (lines.MIDDLE + self._rest[-lines.MAX_TAIL :] if cut else self._rest) + b"\n")
        self._head, self._rest, self.size = bytearray(), bytearray(), 0
        return line
