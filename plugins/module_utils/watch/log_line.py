# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of a service's log, and matches of log patterns in them. Pure.

A line is "[<level> <date> <time> <function>(<file>:<line>)] <message>" (yunion.io/x/log). On a terminal, the level is
one letter in colour. The date is 2026-01-02, or 260102 in releases up to 3.8 and before the options are read. The MySQL
driver writes "[mysql] 2026/01/02 03:04:05 …". A line without such a header continues the message before it, or comes
from another program. Go writes a goroutine dump piece by piece, so a header may follow a piece of a dump.

In a timestamped log, an RFC 3339 timestamp precedes each line, as in kubectl logs --timestamps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Iterator

from ..log_patterns import LogPattern
from ..logtext import timestamps
from .patterns import LEVELS, PatternSet

# Only the beginning and the end of a longer line are searched.
MAX_HEAD, MAX_TAIL = 32 << 10, 16 << 10
MIDDLE = " … ".encode()
LONGEST = MAX_HEAD + len(MIDDLE) + MAX_TAIL
# Limits of the search backwards for the first line of a multi-line message: bytes, lines.
MAX_BACK = MAX_TAIL
MAX_LINES_BACK = 20
# The date in a line's header.
_DATED = re.compile(
    rb"(?:\x1b\[[0-9;]*m)?\[[a-zA-Z]{1,8}\]? "
    rb"(\d\d(?:\d\d)?[-/]?\d\d[-/]?\d\d \d\d:\d\d:\d\d(?: (?:Z|[+-]\d\d:?\d\d))?)"
)
# Last position at which a header may begin. Only a piece of a dump may precede it.
_HEADER_WITHIN = 4096
# Container runtimes split a longer line into records, and some readers put a timestamp before each record.
_RECORD = 16000

_TIMESTAMP = re.compile(rf"({timestamps.RFC3339}) ?".encode())
_TIMESTAMP_INSIDE = re.compile(rf"{timestamps.SECOND}\.\d{{9}}{timestamps.ZONE} ".encode())
_ANSI = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
_LEVEL = rb"debug|info|warning|error|fatal|panic|trace|[DIWEFPT]"
_HEADER = re.compile(rb"\[(?:(?P<level>%s) [^\n]{1,500}?:\d+\)\]|mysql\]) ?" % _LEVEL)
_DUMP_CELL = rb"\S+\+0x[0-9a-f]+(?:\t+\S*)?|\S+:\d+"
_DUMP_PIECE = re.compile(
    rb"#(?:\t[^\n]*| labels: [^\n]*)?|\t+(?:%s)?|%s|\d+ @[ 0-9a-fx]*|goroutine profile: total \d*"
    % (_DUMP_CELL, _DUMP_CELL)
)
_DUMP_LINE = re.compile(rb"#(?:\t| labels: )|\t(?:%s)|\d+ @ 0x|goroutine (?:profile: total )?\d" % _DUMP_CELL)
# The request log quotes text from clients: "<host id> <status> <request id> <method> <url> (<address>) <n>ms".
_ACCESS = re.compile(r"\S{1,100} \d{3} \S{1,100} [A-Z]{3,8} ")
_RANKS = {level: rank for rank, level in enumerate(LEVELS)}
_RANKS.update({level[0].upper(): rank for level, rank in list(_RANKS.items())})
_RANKS["trace"] = _RANKS["T"] = 0


@dataclass(frozen=True)
class LineMatch:
    """A line that matches a pattern. data[start:end] is the line without its newline, in the scanned data.

    time: the date in its header, as "2026-01-02T03:04:05". moment: when it was written, by its timestamp or header.
    groups: the named groups of the pattern's form. level: the level in its header, "" without one.
    """

    pattern: LogPattern
    start: int
    end: int
    message: str
    time: str = ""
    moment: float | None = None
    groups: dict[str, str] = field(default_factory=dict)
    level: str = ""

    @property
    def is_error(self) -> bool:
        """True if the service logged it as an error or worse."""
        return bool(self.level) and _RANKS[self.level] >= _RANKS["error"]


@dataclass(frozen=True)
class LogLine:
    """The parts of a line. level: "" if it has no header, or a header without a level."""

    timestamp: bytes
    text: bytes
    header: bytes = b""
    level: str = ""
    message: str = ""

    @property
    def is_headed(self) -> bool:
        return bool(self.header)


def shorten(line: bytes) -> bytes:
    """Return a line without its middle if it is too long."""
    return line if len(line) <= LONGEST else line[:MAX_HEAD] + MIDDLE + line[-MAX_TAIL:]


def parse_line(line: bytes, timestamped: bool) -> LogLine:
    """Parse a line, which comes without its newline."""
    line, timestamp = shorten(line), b""
    if timestamped:
        match = _TIMESTAMP.match(line)
        if match:
            timestamp, line = match.group(1), line[match.end() :]
        if len(line) > _RECORD:
            line = _TIMESTAMP_INSIDE.sub(b"", line)
    if b"\x1b" in line:
        line = _ANSI.sub(b"", line)
    header = _HEADER.search(line, 0, _HEADER_WITHIN)
    if header is not None and header.start() and not _DUMP_PIECE.fullmatch(line, 0, header.start()):
        header = None
    if header is None:
        return LogLine(timestamp, line, message=line.decode("utf-8", "replace").rstrip())
    # The MySQL driver writes its time after its header.
    known = line[header.start() : header.end() + (0 if header.group("level") else 20)]
    level = (header.group("level") or b"").decode()
    return LogLine(timestamp, line, known, level, line[header.end() :].decode("utf-8", "replace").rstrip())


def find(data: bytes, patterns: PatternSet, start: int = 0, timestamped: bool = False) -> Iterator[LineMatch]:
    """Yield the matches in the lines of data[start:], in their order; a line matches each pattern at most once.

    start: the beginning of a line. Lines before it are only searched for the beginning of a multi-line message.
    """
    at = start
    while True:
        match = patterns.prefilter.search(data, at)
        if match is None:
            return
        begin = data.rfind(b"\n", at, match.start()) + 1 or at
        end = data.find(b"\n", match.start())
        end = len(data) if end < 0 else end
        yield from _matches(data, begin, end, patterns, timestamped)
        at = end + 1


def _matches(data: bytes, begin: int, end: int, patterns: PatternSet, timestamped: bool) -> Iterator[LineMatch]:
    line = parse_line(data[begin:end], timestamped)
    message = line.message
    candidates = {pattern.id: pattern for text, pattern in patterns.texts if text in message}
    candidates.update((pattern.id, pattern) for pattern in patterns.at_level.get(line.level, ()))
    for pattern in candidates.values():
        if not _can_match(pattern, line):
            continue
        headed = line
        if not line.is_headed and not pattern.bare:
            above = _first_line(data, begin, end, timestamped)
            if above is None:
                continue
            headed = above
        if headed.level and _RANKS[headed.level] < _RANKS[pattern.level]:
            continue
        groups = _groups(patterns, pattern, headed.message)
        if groups is not None:
            time, moment = timestamps.find_date(headed.header.decode("utf-8", "replace"))
            if line.timestamp:
                moment = timestamps.parse_rfc3339(line.timestamp.decode())
            elif not headed.is_headed:
                time, moment = _date_above(data, begin, timestamped)
            yield LineMatch(pattern, begin, end, headed.message, time, moment, groups, headed.level)


def _can_match(pattern: LogPattern, line: LogLine) -> bool:
    """Return whether a line with the pattern's text may be the service's own message, not a quotation."""
    if line.is_headed:
        if pattern.unheaded:
            return False
        return bool(pattern.form) or not _ACCESS.match(line.message)
    return (pattern.bare or bool(pattern.form)) and not _DUMP_LINE.match(line.text)


def _groups(patterns: PatternSet, pattern: LogPattern, message: str) -> dict[str, str] | None:
    """Return the named groups of the pattern's form; None if the message does not have that form."""
    if not pattern.form:
        return {}
    match = patterns.forms[pattern.id].match(message)
    return {name: text for name, text in match.groupdict().items() if text} if match else None


def _first_line(data: bytes, begin: int, end: int, timestamped: bool) -> LogLine | None:
    """Return the message that ends with the line data[begin:end], from its header on; None if no header is near."""
    oldest = max(0, begin - MAX_BACK)
    later = [parse_line(data[begin:end], timestamped).text]
    for _number in range(MAX_LINES_BACK):
        end, begin = begin - 1, data.rfind(b"\n", oldest, max(begin - 1, 0)) + 1
        if not begin:
            return None
        line = parse_line(data[begin:end], timestamped)
        if line.is_headed:
            message = "\n".join([line.message, *(text.decode("utf-8", "replace") for text in reversed(later))])
            return LogLine(line.timestamp, line.text, line.header, line.level, message.rstrip())
        if _DUMP_LINE.match(line.text):
            return None
        later.append(line.text)
    return None


def _date_above(data: bytes, begin: int, timestamped: bool) -> tuple[str, float | None]:
    """Return the date of the nearest dated line before data[begin:], as in its header and as a moment."""
    for line in reversed(lines_before(data, begin, MAX_LINES_BACK)):
        time, moment = _date(line, 0, timestamped)
        if moment is not None:
            return time, moment
    return "", None


def first_timestamped(data: bytes) -> int:
    """Return the start of the first line with a timestamp; the length of the data if there is none."""
    at = 0
    while at < len(data):
        if _TIMESTAMP.match(data, at):
            return at
        at = data.find(b"\n", at) + 1 or len(data)
    return at


def moment_at(data: bytes, begin: int, timestamped: bool) -> float | None:
    """Return the time of the line that starts at `begin`, None if it has none."""
    return _moment(data, begin, timestamped)


def moments_of(data: bytes, start: int, text: bytes, timestamped: bool) -> Iterator[float]:
    """Yield the times of the lines of data[start:] that contain a text."""
    at = data.find(text, start)
    while at >= 0:
        moment = _moment(data, data.rfind(b"\n", 0, at) + 1, timestamped)
        if moment is not None:
            yield moment
        at = data.find(text, (data.find(b"\n", at) + 1) or len(data))


def first_moment(data: bytes, start: int, timestamped: bool) -> float | None:
    """Return the time of the first dated line of data[start:], None if there is none."""
    while start < len(data):
        moment = _moment(data, start, timestamped)
        if moment is not None:
            return moment
        start = data.find(b"\n", start) + 1 or len(data)
    return None


def last_moment(data: bytes, start: int, timestamped: bool) -> float | None:
    """Return the time of the last dated line of data[start:], which ends with a whole line; None if there is none."""
    end = len(data)
    while end > start:
        begin = data.rfind(b"\n", start, end - 1) + 1 or start
        moment = _moment(data, begin, timestamped)
        if moment is not None:
            return moment
        end = begin
    return None


def last_time(data: bytes) -> str:
    """Return the time of the last dated line, as its header has it; "" if there is none."""
    end = len(data)
    while end > 0:
        begin = data.rfind(b"\n", 0, end - 1) + 1
        time, moment = _date(data, begin, timestamped=False)
        if moment is not None:
            return time
        end = begin
    return ""


def _moment(data: bytes, begin: int, timestamped: bool) -> float | None:
    """Return the time of the line at `begin`: of its timestamp in a timestamped log, else of its header."""
    return _date(data, begin, timestamped)[1]


def _date(data: bytes, begin: int, timestamped: bool) -> tuple[str, float | None]:
    """Return the time of the line at `begin` as its header has it ("" in a timestamped log), and as a moment."""
    if timestamped:
        match = _TIMESTAMP.match(data, begin)
        return "", timestamps.parse_rfc3339(match.group(1).decode()) if match else None
    match = _DATED.match(data, begin)
    return timestamps.find_date(match.group(1).decode()) if match else ("", None)


def lines_before(data: bytes, begin: int, count: int) -> list[bytes]:
    """Return up to `count` whole lines before the one at `begin`, at most MAX_BACK bytes back."""
    oldest = max(0, begin - MAX_BACK)
    found: list[bytes] = []
    while len(found) < count and begin > 0:
        end, begin = begin - 1, data.rfind(b"\n", oldest, begin - 1) + 1
        if not begin:
            break
        found.append(data[begin:end])
    return found[::-1]


def text_of(line: bytes, timestamped: bool) -> str:
    """Return a line as the service wrote it, without timestamp and colours."""
    return parse_line(line, timestamped).text.decode("utf-8", "replace")
