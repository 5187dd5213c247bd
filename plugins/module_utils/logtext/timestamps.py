# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Timestamps in logs and documents: the only parser of RFC 3339, and the formats of Go and of the services.

A moment is a number of seconds since 1970 (UTC). The clock is never read here.
"""

from __future__ import annotations

import datetime
import functools
import re

# An RFC 3339 timestamp, without groups, for patterns of other modules. Kubernetes and Docker write up to nine digits.
MINUTE = r"\d{4}-\d\d-\d\dT\d\d:\d\d"
SECOND = MINUTE + r":\d\d"
ZONE = r"(?:Z|[+-]\d\d:\d\d)"
RFC3339 = SECOND + r"(?:\.\d{1,9})?" + ZONE
# A slice of this many bytes at the beginning of a line holds its whole timestamp.
PREFIX_BYTES = 64

_GROUPS = rf"({SECOND})(?:\.(\d{{1,9}}))?({ZONE})"
_TEXT = re.compile(_GROUPS)
_PREFIX = re.compile(_GROUPS.encode() + rb"(?= |$)")
_SECOND = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")
# The date in a header of the services, of yunion.io/x/log and of the MySQL driver.
_DATE = re.compile(
    r"(\d\d(?:\d\d)?)[-/]?(\d\d)[-/]?(\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?"
    r"(?: ?(Z|[+-]\d\d:?\d\d)\b)?"
)
# time.Time's String(): 2026-11-23 00:22:28.123 +0800 CST m=+12.345; Go adds the last part for monotonic clocks only.
_GO_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ([+-]\d\d:?\d\d)(?: \S{1,16})?"
    r"(?: m=[+-]\d{1,20}(?:\.\d{1,20})?)?"
)
_GO_DURATION = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?")
_GO_SMALL = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|µs|us|ns)")
_UNITS = {"ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}


class Timestamp:
    """The RFC 3339 timestamp of a log line.

    text: to the second, as the API server's sinceTime takes it. order: sorts the timestamps of one log.
    """

    def __init__(self, match: re.Match[bytes]) -> None:
        second, self._fraction, self._zone = (part.decode() for part in match.groups(b""))
        self.text = second + self._zone
        self.order = (second, self._fraction.ljust(9, "0"))

    @property
    def moment(self) -> float | None:
        """Return seconds since 1970, or None if there is no such day or hour."""
        return _moment(self.order[0], self._fraction, self._zone)


def timestamp_of(line: bytes) -> Timestamp | None:
    """Return the timestamp that a line begins with, or None. A blank or the line's end has to follow it."""
    match = _PREFIX.match(line)
    return Timestamp(match) if match else None


def last_timestamp(block: bytes) -> Timestamp | None:
    """Return the timestamp of the last of these whole lines that has one, or None."""
    end = len(block)
    while end > 0:
        begin = block.rfind(b"\n", 0, end - 1) + 1
        timestamp = timestamp_of(block[begin : begin + PREFIX_BYTES])
        if timestamp is not None:
            return timestamp
        end = begin
    return None


def parse_rfc3339(text: str) -> float | None:
    """Return the moment of an RFC 3339 timestamp, or None for any other text."""
    match = _TEXT.fullmatch(text)
    return _moment(*match.groups()) if match else None


def parse_go_time(text: str) -> float | None:
    """Return the moment that Go's time.Time printed, or None for any other text."""
    match = _GO_TIME.fullmatch(text)
    if match is None:
        return None
    date, time, fraction, zone = match.groups()
    return _moment(f"{date}T{time}", fraction, zone)


def parse_go_duration(text: str) -> float | None:
    """Return the seconds of a duration as Go prints it (1m0.5s, 59.9s, 12.5ms), or None for any other text."""
    match = _GO_DURATION.fullmatch(text)
    if match is not None and match.group(0):
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds
    match = _GO_SMALL.fullmatch(text)
    return float(match.group(1)) * _UNITS[match.group(2)] if match else None


def find_date(header: str) -> tuple[str, float | None]:
    """Return the date in a line's header, as "2026-01-02T03:04:05" and as a moment; "" and None without one.

    A date without a zone is taken for UTC, which the services write by default.
    """
    match = _DATE.search(header)
    if match is None:
        return "", None
    year, month, day, time, fraction, zone = match.groups()
    text = f"{year if len(year) == 4 else '20' + year}-{month}-{day}T{time}"
    return text, _moment(text, fraction, zone)


def _moment(second: str, fraction: str | None, zone: str | None) -> float | None:
    whole = _seconds(second)
    if whole is None:
        return None
    if zone and zone != "Z":
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        if hours > 23 or minutes > 59:
            return None
        offset = hours * 3600 + minutes * 60
        whole -= -offset if zone[0] == "-" else offset
    return whole + (float("0." + fraction) if fraction else 0.0)


@functools.lru_cache(maxsize=256)
def _seconds(text: str) -> int | None:
    match = _SECOND.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    try:
        return int(datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc).timestamp())
    except ValueError:  # there is no such day, or hour
        return None


def utc(moment: float | None) -> str:
    """Return a moment as RFC 3339 in UTC, to the second: "2026-11-23T00:22:28Z"; "" for None."""
    return "" if moment is None else _text(int(moment))


def utc_minute(moment: float | None) -> str:
    """Return the minute of a moment, such as "2026-11-23T00:22"; "" for None."""
    return utc(moment)[:16]


@functools.lru_cache(maxsize=256)
def _text(second: int) -> str:
    try:
        # strftime does not fill years before 1000 up to four digits.
        return datetime.datetime.fromtimestamp(second, datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return ""
