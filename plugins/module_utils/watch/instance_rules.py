# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that give verdicts on an instance, besides those on its pools: crashes, troubles, signs of life. Pure.

`healthy` needs a sign of life, since a process that is frozen is silent, too; see docs/watching.md.
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

# A line, or anything else that shows that a service lives, is a sign of life for so many seconds.
SIGN_SECONDS = 60.0
# A line that is dated so far ahead is of a clock, or of a zone, that is another one.
SKEW_SECONDS = 60.0
# After so long without a crash, the kubelet forgets how often a container crashed (its back-off begins anew).
CRASH_SECONDS = 600.0
# Crash lines that come within so many seconds are of one crash.
ONE_CRASH_SECONDS = 5.0
# So many restarts make a loop where no line tells of a crash, and with one that does.
LOOP_RESTARTS, LOOP_RESTARTS_AND_CRASH = 3, 2
# A crash holds up all that the service does: this many tasks, for the order of findings.
_ALL = 1000

_LOOP_WHEN = (
    f"In the last {duration(CRASH_SECONDS)}: two crashes, {LOOP_RESTARTS_AND_CRASH} restarts and a crash, or "
    f"{LOOP_RESTARTS} restarts; or the kubelet puts off the next start."
)
# What an instance's verdict may rest on besides its pools, by the id that stands in the field rule.
OTHER_RULES = {
    "crash_loop": (STUCK, _LOOP_WHEN),
    "process_ended": (STUCK, "The process crashed or ended itself, and nothing shows that another one runs."),
    "process_crashed": (BUSY, f"The process crashed or ended itself in the last {duration(CRASH_SECONDS)}."),
    "trouble": (BUSY, "A pattern of severity critical was seen that is not about a pool."),
    "requests_slow": (
        BUSY,
        f"A quarter of the requests or more, and five at least, took {SLOW_MS} ms or longer within three minutes.",
    ),
    STARTS: (BUSY, STARTS_WHEN),
    "process_stopped": (UNKNOWN, "Its process does not execute: it is stopped, traced or a zombie."),
    "not_running": (UNKNOWN, "Its container does not run."),
    "ping_unanswered": (UNKNOWN, "It did not answer /ping, whatever its log says."),
    "not_ready": (UNKNOWN, "It is not ready, or says so itself."),
    "no_sign_of_life": (
        UNKNOWN,
        f"It was silent for more than {duration(SIGN_SECONDS)}, as a frozen service is, and /ping could not be asked.",
    ),
    "restarted": (UNKNOWN, "Nothing bad was seen, but its process was replaced by another one."),
    "not_read": (UNKNOWN, "Nothing bad was seen, but nothing of the log was read."),
    "gap": (UNKNOWN, "Nothing bad was seen, but a part of the log was missed."),
    "nothing_written": (UNKNOWN, "The log is empty from its beginning on: the service may write to a file instead."),
    "too_short": (
        UNKNOWN,
        f"Nothing bad was seen, in less than {FIRST_ROUNDS * WATCHDOG_SECONDS:.0f} s: the watchdog cannot have spoken.",
    ),
    "quiet": (HEALTHY, "The whole time was seen, nothing in it tells of trouble, and the service shows that it lives."),
}


@dataclass
class ProcessEnds:
    """Ends of the process, as the log and the container tell.

    crashes, restarts: how many; crashed, restarted: when the last of them was. replaced: another process took the place
    of the one that crashed last.
    """

    crashes: int = 0
    crashed: float | None = None
    restarts: int = 0
    restarted: float | None = None
    replaced: bool = True

    def crash(self, moment: float | None) -> None:
        """A line tells that the process ended."""
        same = moment is None or (self.crashed is not None and abs(moment - self.crashed) <= ONE_CRASH_SECONDS)
        if self.replaced or not same:
            self.crashes += 1
        self.replaced = False
        self.crashed = moment if self.crashed is None or moment is None else max(self.crashed, moment)

    def restart(self, moment: float | None) -> None:
        """Another process took its place."""
        self.restarts += 1
        self.restarted = moment if self.restarted is None or moment is None else max(self.restarted, moment)
        self.replaced = True


def end_findings(
    ends: ProcessEnds, patterns: Iterable[PatternCount], liveness: Liveness, situation: RuleContext, last: float | None
) -> list[LogFinding]:
    """What is said of crashes and restarts. last: the time of the last line."""
    told = [each for each in patterns if each.pattern.ends_process]
    newest = max(told, key=lambda each: (each.seen.last or 0.0, each.pattern.id), default=None)
    restarts = ends.restarts or int(liveness.ended is not None)
    if newest is None and not restarts and not liveness.loops:
        return []
    how = f": {newest.text} ({newest.pattern.id})" if newest else (f" ({liveness.end})" if liveness.end else "")
    moments = [ends.crashed, ends.restarted, None if ends.restarts else liveness.ended]
    moment = max((each for each in moments if each is not None), default=None)
    over = not liveness.loops and situation.is_silent(moment, CRASH_SECONDS)
    since = f", the last at {timestamps.utc(moment)}" if moment is not None else ""
    is_loop = ends.crashes > 1 or restarts >= (LOOP_RESTARTS_AND_CRASH if newest else LOOP_RESTARTS)
    if is_loop or liveness.loops:
        counts = f"{counted(restarts, 'restart')}{since}"
        text = f"it ends again and again, {counts}{how}{'; over' if over else ''}"
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
    """Whether something shows that another process runs since the crash."""
    if ends.replaced:
        return True
    return ends.crashed is not None and last is not None and last - ends.crashed > ONE_CRASH_SECONDS


def trouble_findings(
    patterns: Iterable[PatternCount], pools: Sequence[str], situation: RuleContext
) -> list[LogFinding]:
    """What was said that is not about pools nor the end of the process. pools: ids of the patterns that are."""
    findings = []
    for each in patterns:
        pattern, episode = each.pattern, each.episode
        if pattern.id in pools or pattern.ends_process or pattern.severity not in (CRITICAL, WARNING):
            continue
        over = situation.is_silent(episode.last, EPISODE_SECONDS)
        told = f"{counted(episode.count, 'line')}{between(episode.first, episode.last)}"
        text = f"{pattern.id}: {each.short_text} ({told}; {pattern.meaning})"
        text += f"; over since {timestamps.utc(episode.last)}" if over else ""
        if pattern.severity == CRITICAL:
            findings.append(LogFinding(BUSY, "trouble", text, over, episode.count))
        elif not over:
            findings.append(LogFinding(HEALTHY, "warning", text))
    return findings


def slow_findings(slow: SlowRequests | None) -> list[LogFinding]:
    """What is said of requests that take long, see requests.py."""
    return [LogFinding(BUSY, "requests_slow", slow.text, slow.over, slow.count)] if slow is not None else []


def sign_of_life(liveness: Liveness, now: float, last: float | None) -> float | None:
    """When the service showed last that it lives: by a line, or by one that was read as it was written."""
    dated = None if last is None or last > now + SKEW_SECONDS else last
    return max((each for each in (dated, liveness.heard) if each is not None), default=None)


def life_findings(
    liveness: Liveness, now: float | None, last: float | None, since: float | None, writes: bool = True
) -> list[LogFinding]:
    """What is suspicious about an instance, as one sentence.

    last: the time of the last line; since: when the window begins; writes: whether it ever wrote to this log.
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
    if liveness.said and (liveness.ping is not True or liveness.ready is False):
        words.append(f"/ping {liveness.said}")
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
    rule = min(rules, key=tuple(OTHER_RULES).index)
    return [LogFinding(UNKNOWN, rule, "; ".join(words))]
