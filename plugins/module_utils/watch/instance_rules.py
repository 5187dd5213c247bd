# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for verdicts on an instance besides its pools: crashes, other trouble, signs of life. Pure.

`healthy` needs a sign of life, because a frozen process is silent, too; see docs/watching.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Sequence

from ..log_patterns import CRITICAL, WARNING
from ..logtext import timestamps
from ..text import counted, duration
from .evidence_text import between
from .hit_context import PatternCount
from .liveness import Liveness
from .pool_rules import FIRST_ROUNDS, STARTS, STARTS_WHEN, RuleContext
from .pools import EPISODE_SECONDS, WATCHDOG_SECONDS
from .slow_requests import SLOW_MS, SlowRequests
from .verdicts import BUSY, HEALTHY, STUCK, UNKNOWN, LogFinding

# A sign of life, such as a line, counts for this many seconds.
SIGN_SECONDS = 60.0
# A line dated further ahead comes from a wrong clock or another time zone.
SKEW_SECONDS = 60.0
# The kubelet resets its crash back-off after this many seconds without a crash.
CRASH_SECONDS = 600.0
# Crash lines within this many seconds are of one crash.
ONE_CRASH_SECONDS = 5.0
# Restarts that make a crash loop: without a crash line, and with one.
LOOP_RESTARTS, LOOP_RESTARTS_AND_CRASH = 3, 2
# Weight of a crash, which blocks all tasks of the service.
_ALL = 1000

_LOOP_WHEN = (
    f"In the last {duration(CRASH_SECONDS)}: two crashes, {LOOP_RESTARTS_AND_CRASH} restarts and a crash, or "
    f"{LOOP_RESTARTS} restarts; or the kubelet delays the next start."
)
# Rules besides those on pools: id -> (verdict, when).
INSTANCE_RULES = {
    "crash_loop": (STUCK, _LOOP_WHEN),
    "process_ended": (STUCK, "The process crashed or ended itself, and there is no sign of a new one."),
    "process_crashed": (BUSY, f"The process crashed or ended itself in the last {duration(CRASH_SECONDS)}."),
    "trouble": (BUSY, "A pattern of severity critical that is not about a pool matched."),
    "requests_slow": (
        BUSY,
        f"At least a quarter of the requests, and at least five, took {SLOW_MS} ms or longer within three minutes.",
    ),
    STARTS: (BUSY, STARTS_WHEN),
    "process_stopped": (UNKNOWN, "Its process does not execute: it is stopped, traced or a zombie."),
    "not_running": (UNKNOWN, "Its container does not run."),
    "ping_unanswered": (UNKNOWN, "It did not answer /ping, whatever is in its log."),
    "not_ready": (UNKNOWN, "It is not ready, or reports that it is not ready."),
    "no_sign_of_life": (
        UNKNOWN,
        f"It was silent for more than {duration(SIGN_SECONDS)}, like a frozen service, and /ping could not be tried.",
    ),
    "restarted": (UNKNOWN, "There is no sign of trouble, but its process was replaced."),
    "not_read": (UNKNOWN, "There is no sign of trouble, but nothing of the log was read."),
    "gap": (UNKNOWN, "There is no sign of trouble, but part of the log was not read."),
    "nothing_written": (UNKNOWN, "The log is empty from its beginning; the service may write to a file instead."),
    "too_short": (
        UNKNOWN,
        f"There is no sign of trouble, but less than {FIRST_ROUNDS * WATCHDOG_SECONDS:.0f} s of the log were watched.",
    ),
    "quiet": (HEALTHY, "The whole time was read, there is no sign of trouble, and the service gave a sign of life."),
}


@dataclass
class ProcessEnds:
    """Ends of the process, from the log and the container.

    crashes, restarts: their number. crashed, restarted: the time of the last one. replaced: a new process took the
    place of the one that crashed last.
    """

    crashes: int = 0
    crashed: float | None = None
    restarts: int = 0
    restarted: float | None = None
    replaced: bool = True

    def crash(self, moment: float | None) -> None:
        """Note a line about the end of the process."""
        same = moment is None or (self.crashed is not None and abs(moment - self.crashed) <= ONE_CRASH_SECONDS)
        if self.replaced or not same:
            self.crashes += 1
        self.replaced = False
        self.crashed = moment if self.crashed is None or moment is None else max(self.crashed, moment)

    def restart(self, moment: float | None) -> None:
        """Note that a new process took its place."""
        self.restarts += 1
        self.restarted = moment if self.restarted is None or moment is None else max(self.restarted, moment)
        self.replaced = True


def end_findings(
    ends: ProcessEnds, patterns: Iterable[PatternCount], liveness: Liveness, context: RuleContext, last: float | None
) -> list[LogFinding]:
    """Return the finding on crashes and restarts, if any. last: the time of the last line."""
    crashes = [each for each in patterns if each.pattern.ends_process]
    newest = max(crashes, key=lambda each: (each.seen.last or 0.0, each.pattern.id), default=None)
    restarts = ends.restarts or int(liveness.ended is not None)
    if newest is None and not restarts and not liveness.loops:
        return []
    how = f": {newest.text} ({newest.pattern.id})" if newest else (f" ({liveness.end})" if liveness.end else "")
    moments = [ends.crashed, ends.restarted, None if ends.restarts else liveness.ended]
    moment = max((each for each in moments if each is not None), default=None)
    over = not liveness.loops and context.is_silent(moment, CRASH_SECONDS)
    since = f", the last at {timestamps.utc(moment)}" if moment is not None else ""
    is_loop = ends.crashes > 1 or restarts >= (LOOP_RESTARTS_AND_CRASH if newest else LOOP_RESTARTS)
    if is_loop or liveness.loops:
        counts = f"{counted(restarts, 'restart')}{since}"
        text = f"its process ends repeatedly, {counts}{how}{'; over' if over else ''}"
        return [LogFinding(BUSY if over else STUCK, "crash_loop", text, over, _ALL)]
    if newest is None:
        text = f"its process was replaced {counted(restarts, 'time')}{since}{how}"
        return [LogFinding(UNKNOWN, "restarted", text, over)]
    at = f" at {timestamps.utc(ends.crashed)}" if ends.crashed is not None else ""
    lives = _lives_on(ends, last)
    if lives:
        text = f"the process ended{at}, and another one runs{how}{'; over' if over else ''}"
        return [LogFinding(BUSY, "process_crashed", text, over, _ALL)]
    return [
        LogFinding(STUCK, "process_ended", f"the process ended{at}, and nothing was written since{how}", False, _ALL)
    ]


def _lives_on(ends: ProcessEnds, last: float | None) -> bool:
    """Return whether there is a sign of a new process after the crash."""
    if ends.replaced:
        return True
    return ends.crashed is not None and last is not None and last - ends.crashed > ONE_CRASH_SECONDS


def trouble_findings(patterns: Iterable[PatternCount], pools: Sequence[str], context: RuleContext) -> list[LogFinding]:
    """Return findings that are not about pools or ends of the process. pools: ids of the patterns about pools."""
    findings = []
    for each in patterns:
        pattern, episode = each.pattern, each.episode
        if pattern.id in pools or pattern.ends_process or pattern.severity not in (CRITICAL, WARNING):
            continue
        over = context.is_silent(episode.last, EPISODE_SECONDS)
        lines = f"{counted(episode.count, 'line')}{between(episode.first, episode.last)}"
        text = f"{pattern.id}: {each.short_text} ({lines}; {pattern.meaning})"
        text += f"; over since {timestamps.utc(episode.last)}" if over else ""
        if pattern.severity == CRITICAL:
            findings.append(LogFinding(BUSY, "trouble", text, over, episode.count))
        elif not over:
            findings.append(LogFinding(HEALTHY, "warning", text))
    return findings


def slow_findings(slow: SlowRequests | None) -> list[LogFinding]:
    """Return the finding on slow requests, if any (see slow_requests.py)."""
    return [LogFinding(BUSY, "requests_slow", slow.text, slow.over, slow.count)] if slow is not None else []


def sign_of_life(liveness: Liveness, now: float, last: float | None) -> float | None:
    """Return the time of the last sign of life: the date of the last line, or the time when a line was read live."""
    dated = None if last is None or last > now + SKEW_SECONDS else last
    return max((each for each in (dated, liveness.heard) if each is not None), default=None)


def life_findings(
    liveness: Liveness, now: float | None, last: float | None, since: float | None, writes: bool = True
) -> list[LogFinding]:
    """Return the finding on missing signs of life, if any, as one sentence.

    last: the time of the last line. since: the beginning of the window. writes: it ever wrote to this log.
    """
    rules, words = [], []
    sign = None if now is None else sign_of_life(liveness, now, last)
    begin = sign if sign is not None else since
    silent = None if now is None or begin is None else now - begin
    is_silent = now is not None and (sign is None or now - sign > SIGN_SECONDS)
    if writes and liveness.ping is not True and is_silent:
        rules.append("no_sign_of_life")
        words.append(f"silent for {duration(silent)}" if silent is not None and silent > 0 else "silent")
    if liveness.ready is False:
        rules.append("not_ready")
        words.append("not ready")
    if liveness.ping_result and (liveness.ping is not True or liveness.ready is False):
        words.append(f"/ping {liveness.ping_result}")
    if liveness.ping is False:
        rules.append("ping_unanswered")
    if liveness.state:
        rules.append("not_running")
        words.append(f"its container does not run ({liveness.state})")
    if liveness.process:
        rules.append("process_stopped")
        words.append(f"its process is {liveness.process}")
    if not rules:
        return []
    rule = min(rules, key=tuple(INSTANCE_RULES).index)
    return [LogFinding(UNKNOWN, rule, "; ".join(words))]
