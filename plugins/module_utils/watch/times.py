# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments in logs, as seconds since 1970 (UTC). Pure: nobody asks for the time here."""

from __future__ import annotations

import datetime
import functools
import re

_SECOND = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_DATE = re.compile(r"(\d\d(?:\d\d)?)[-/]?(\d\d)[-/]?(\d\d)[ T](\d\d:\d\d:\d\d)(\.\d{1,9})?(?: ?(Z|[+-]\d\d:?\d\d)\b)?")
# time.Time's String(): 2026-11-23 00:22:28.123 +0800 CST m=+12.345; the last part only where Go knows it.
_GO_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d{1,9})? ([+-]\d\d:?\d\d)(?: \S{1,16})?(?: m=[+-]\d{1,20}(?:\.\d{1,20})?)?"
)
_GO_DURATION = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?")
_GO_SMALL = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|µs|us|ns)")
_UNITS = {"ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}


def of_stamp(text: str) -> float | None:
    """The moment of a stamp of RFC 3339; None for anything else."""
    match = _STAMP.fullmatch(text)
    return _moment(*match.groups()) if match else None


def of_go_time(text: str) -> float | None:
    """The moment that Go's time.Time printed; None for anything else."""
    match = _GO_TIME.fullmatch(text)
    if match is None:
        return None
    date, time, fraction, zone = match.groups()
    return _moment(f"{date}T{time}", fraction, zone)


def of_duration(text: str) -> float | None:
    """The seconds of a duration as Go prints it (1m0.5s, 59.9s, 12.5ms); None for anything else."""
    match = _GO_DURATION.fullmatch(text)
    if match is not None and match.group(0):
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds
    match = _GO_SMALL.fullmatch(text)
    return float(match.group(1)) * _UNITS[match.group(2)] if match else None


def date_in(header: str) -> tuple[str, float | None]:
    """The date in a line's header, as "2026-01-02T03:04:05" and as a moment; "" and None where there is none.

    Without a zone it is taken for UTC, which is what the services write unless they are told otherwise.
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
    moment = whole + float(fraction or 0)
    if zone and zone != "Z":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        moment -= -offset if zone[0] == "-" else offset
    return moment


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
    """A moment for people and documents: "2026-11-23T00:22:28Z"; "" for none."""
    return "" if moment is None else _text(int(moment))


def utc_minute(moment: float | None) -> str:
    """Return the minute of a moment, such as "2026-11-23T00:22"; "" for none."""
    return utc(moment)[:16]


@functools.lru_cache(maxsize=256)
def _text(second: int) -> str:
    try:
        # strftime does not fill years before 1000 up to four digits.
        return datetime.datetime.fromtimestamp(second, datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return ""
