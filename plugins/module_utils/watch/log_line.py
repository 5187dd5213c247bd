# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of a service's log, and the patterns in them. Pure.

A line is "[<level> <date> <time> <function>(<file>:<line>)] <message>" (yunion.io/x/log): the level is one letter, with
colours around, on a terminal; the date is 2026-01-02, or 260102 in releases up to 3.8 and before the options are read.
The MySQL driver writes "[mysql] 2026/01/02 03:04:05 …". What has no such header goes on with the message before it, or
is somebody else's. A goroutine dump is written into the log piece by piece, so a header may follow a piece of one.

Where the source knows when each line was written, it stands before it, as kubectl logs --timestamps has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Iterator

from ..log_patterns import LogPattern
from ..logtext import timestamps
from .patterns import LEVELS, PatternSet

# Of a longer line only its beginning and its end are looked at.
MAX_HEAD, MAX_TAIL = 32 << 10, 16 << 10
MIDDLE = " … ".encode()
LONGEST = MAX_HEAD + len(MIDDLE) + MAX_TAIL
# How far back the beginning of a message of many lines is looked for.
MAX_BACK = MAX_TAIL
MAX_LINES_BACK = 20
# The date of a line: of its stamp, or of its header.
_DATED = re.compile(
    rb"(?:\x1b\[[0-9;]*m)?\[[a-zA-Z]{1,8}\]? "
    rb"(\d\d(?:\d\d)?[-/]?\d\d[-/]?\d\d \d\d:\d\d:\d\d(?: (?:Z|[+-]\d\d:?\d\d))?)"
)
# Where a header begins, at the latest; before it can only be a piece of a dump.
_HEADER_WITHIN = 4096
# Container runtimes write a longer line in several records, and some readers put a stamp before each.
_RECORD = 16000

_STAMP = re.compile(rf"({timestamps.RFC3339}) ?".encode())
_STAMP_INSIDE = re.compile(rf"{timestamps.SECOND}\.\d{{9}}{timestamps.ZONE} ".encode())
_ANSI = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
_LEVEL = rb"debug|info|warning|error|fatal|panic|trace|[DIWEFPT]"
_HEADER = re.compile(rb"\[(?:(?P<level>%s) [^\n]{1,500}?:\d+\)\]|mysql\]) ?" % _LEVEL)
_DUMP_CELL = rb"\S+\+0x[0-9a-f]+(?:\t+\S*)?|\S+:\d+"
_DUMP_PIECE = re.compile(
    rb"#(?:\t[^\n]*| labels: [^\n]*)?|\t+(?:%s)?|%s|\d+ @[ 0-9a-fx]*|goroutine profile: total \d*"
    % (_DUMP_CELL, _DUMP_CELL)
)
_DUMP_LINE = re.compile(rb"#(?:\t| labels: )|\t(?:%s)|\d+ @ 0x|goroutine (?:profile: total )?\d" % _DUMP_CELL)
# The log of requests has what clients sent: "<host id> <status> <request id> <method> <url> (<address>) <n>ms".
_ACCESS = re.compile(r"\S{1,100} \d{3} \S{1,100} [A-Z]{3,8} ")
_RANKS = {level: rank for rank, level in enumerate(LEVELS)}
_RANKS.update({level[0].upper(): rank for level, rank in list(_RANKS.items())})
_RANKS["trace"] = _RANKS["T"] = 0


@dataclass(frozen=True)
class LineMatch:
    """A line that says a pattern's text. data[start:end] is the line, without its newline, in what was scanned.

    time: what its header tells, as "2026-01-02T03:04:05"; moment: when it was written, by its stamp or its header.
    groups: those of the pattern's form. level: of its header, "" where it has none.
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
        """Whether the service itself calls it an error, or worse."""
        return bool(self.level) and _RANKS[self.level] >= _RANKS["error"]


@dataclass(frozen=True)
class LogLine:
    """A line taken apart. level: "" where it has no header, or one without a level."""

    stamp: bytes
    text: bytes
    header: bytes = b""
    level: str = ""
    message: str = ""

    @property
    def is_headed(self) -> bool:
        return bool(self.header)


def shorten(line: bytes) -> bytes:
    """A line, without its middle where it is too long."""
    return line if len(line) <= LONGEST else line[:MAX_HEAD] + MIDDLE + line[-MAX_TAIL:]


def take_apart(line: bytes, stamped: bool) -> LogLine:
    """A line without its newline."""
    line, stamp = shorten(line), b""
    if stamped:
        match = _STAMP.match(line)
        if match:
            stamp, line = match.group(1), line[match.end() :]
        if len(line) > _RECORD:
            line = _STAMP_INSIDE.sub(b"", line)
    if b"\x1b" in line:
        line = _ANSI.sub(b"", line)
    header = _HEADER.search(line, 0, _HEADER_WITHIN)
    if header is not None and header.start() and not _DUMP_PIECE.fullmatch(line, 0, header.start()):
        header = None
    if header is None:
        return LogLine(stamp, line, message=line.decode("utf-8", "replace").rstrip())
    # The MySQL driver's time stands behind its header.
    known = line[header.start() : header.end() + (0 if header.group("level") else 20)]
    level = (header.group("level") or b"").decode()
    return LogLine(stamp, line, known, level, line[header.end() :].decode("utf-8", "replace").rstrip())


def find(data: bytes, patterns: PatternSet, start: int = 0, stamped: bool = False) -> Iterator[LineMatch]:
    """What the lines of data from `start` on say, in their order; a line counts once for each pattern.

    What stands before `start`, where a line begins, is only looked at for the beginning of a message.
    """
    at = start
    while True:
        match = patterns.prefilter.search(data, at)
        if match is None:
            return
        begin = data.rfind(b"\n", at, match.start()) + 1 or at
        end = data.find(b"\n", match.start())
        end = len(data) if end < 0 else end
        yield from _in_line(data, begin, end, patterns, stamped)
        at = end + 1


def _in_line(data: bytes, begin: int, end: int, patterns: PatternSet, stamped: bool) -> Iterator[LineMatch]:
    line = take_apart(data[begin:end], stamped)
    message = line.message
    said_by = {pattern.id: pattern for text, pattern in patterns.texts if text in message}
    said_by.update((pattern.id, pattern) for pattern in patterns.at_level.get(line.level, ()))
    for pattern in said_by.values():
        if not _may_say(pattern, line):
            continue
        said = line
        if not line.is_headed and not pattern.bare:
            above = _beginning(data, begin, end, stamped)
            if above is None:
                continue
            said = above
        if said.level and _RANKS[said.level] < _RANKS[pattern.level]:
            continue
        groups = _groups(patterns, pattern, said.message)
        if groups is not None:
            time, moment = timestamps.find_date(said.header.decode("utf-8", "replace"))
            if line.stamp:
                moment = timestamps.parse_rfc3339(line.stamp.decode())
            elif not said.is_headed:
                time, moment = _date_above(data, begin, stamped)
            yield LineMatch(pattern, begin, end, said.message, time, moment, groups, said.level)


def _may_say(pattern: LogPattern, line: LogLine) -> bool:
    """Whether a line that holds the pattern's text can be the service's own saying so, and not a quotation."""
    if line.is_headed:
        if pattern.unheaded:
            return False
        return bool(pattern.form) or not _ACCESS.match(line.message)
    return (pattern.bare or bool(pattern.form)) and not _DUMP_LINE.match(line.text)


def _groups(patterns: PatternSet, pattern: LogPattern, message: str) -> dict[str, str] | None:
    """What the pattern's form takes out of the message; None where the message has not that form."""
    if not pattern.form:
        return {}
    match = patterns.forms[pattern.id].match(message)
    return {name: text for name, text in match.groupdict().items() if text} if match else None


def _beginning(data: bytes, begin: int, end: int, stamped: bool) -> LogLine | None:
    """The message that the line data[begin:end] is the last of, from its header on; None where that is not near."""
    oldest = max(0, begin - MAX_BACK)
    later = [take_apart(data[begin:end], stamped).text]
    for _number in range(MAX_LINES_BACK):
        end, begin = begin - 1, data.rfind(b"\n", oldest, max(begin - 1, 0)) + 1
        if not begin:
            return None
        line = take_apart(data[begin:end], stamped)
        if line.is_headed:
            message = "\n".join([line.message, *(text.decode("utf-8", "replace") for text in reversed(later))])
            return LogLine(line.stamp, line.text, line.header, line.level, message.rstrip())
        if _DUMP_LINE.match(line.text):
            return None
        later.append(line.text)
    return None


def _date_above(data: bytes, begin: int, stamped: bool) -> tuple[str, float | None]:
    """The time of the nearest line before the one at `begin` that tells one: as its header has it, and as a moment."""
    for line in reversed(lines_before(data, begin, MAX_LINES_BACK)):
        time, moment = _date(line, 0, stamped)
        if moment is not None:
            return time, moment
    return "", None


def first_stamped(data: bytes) -> int:
    """Return where the first line that begins with a stamp begins; the length of the data where there is none."""
    at = 0
    while at < len(data):
        if _STAMP.match(data, at):
            return at
        at = data.find(b"\n", at) + 1 or len(data)
    return at


def moment_at(data: bytes, begin: int, stamped: bool) -> float | None:
    """The time of the line that begins there, None where it tells none."""
    return _moment(data, begin, stamped)


def moments_of(data: bytes, start: int, text: bytes, stamped: bool) -> Iterator[float]:
    """The times of the lines of data[start:] that hold this text."""
    at = data.find(text, start)
    while at >= 0:
        moment = _moment(data, data.rfind(b"\n", 0, at) + 1, stamped)
        if moment is not None:
            yield moment
        at = data.find(text, (data.find(b"\n", at) + 1) or len(data))


def first_moment(data: bytes, start: int, stamped: bool) -> float | None:
    """The time of the first of the lines data[start:] that tells one."""
    while start < len(data):
        moment = _moment(data, start, stamped)
        if moment is not None:
            return moment
        start = data.find(b"\n", start) + 1 or len(data)
    return None


def last_moment(data: bytes, start: int, stamped: bool) -> float | None:
    """The time of the last of the whole lines data[start:] that tells one."""
    end = len(data)
    while end > start:
        begin = data.rfind(b"\n", start, end - 1) + 1 or start
        moment = _moment(data, begin, stamped)
        if moment is not None:
            return moment
        end = begin
    return None


def last_time(data: bytes) -> str:
    """The time of the last line that tells one, as its header has it; "" where none does."""
    end = len(data)
    while end > 0:
        begin = data.rfind(b"\n", 0, end - 1) + 1
        time, moment = _date(data, begin, stamped=False)
        if moment is not None:
            return time
        end = begin
    return ""


def _moment(data: bytes, begin: int, stamped: bool) -> float | None:
    """The time of the line that begins there: of its stamp where it should have one, else of its header."""
    return _date(data, begin, stamped)[1]


def _date(data: bytes, begin: int, stamped: bool) -> tuple[str, float | None]:
    """The same, and how the header has it ("" where it is of a stamp)."""
    if stamped:
        match = _STAMP.match(data, begin)
        return "", timestamps.parse_rfc3339(match.group(1).decode()) if match else None
    match = _DATED.match(data, begin)
    return timestamps.find_date(match.group(1).decode()) if match else ("", None)


def lines_before(data: bytes, begin: int, count: int) -> list[bytes]:
    """Up to so many whole lines before the one that begins at `begin`, as far as they are near."""
    oldest = max(0, begin - MAX_BACK)
    found: list[bytes] = []
    while len(found) < count and begin > 0:
        end, begin = begin - 1, data.rfind(b"\n", oldest, begin - 1) + 1
        if not begin:
            break
        found.append(data[begin:end])
    return found[::-1]


def text_of(line: bytes, stamped: bool) -> str:
    """A line as it was written, without stamp and colours."""
    return take_apart(line, stamped).text.decode("utf-8", "replace")
