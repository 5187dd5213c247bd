# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of rules, and values formatted for people: quantities with units, long texts without their middle. Pure.

A message is text with fields: {field}, or {field:form} with a form of FORMS. A part in [[ ]] is left out if one of its
fields is missing or empty. docs/rules.md describes the syntax for authors of rules.
"""

from __future__ import annotations

import json
import math
import re
import string
from dataclasses import dataclass
from typing import Any, Callable, Iterator

from ..sanitize import printable
from ..text import duration

# A longer text loses its middle. The end matters: a database error ends with its code, after the statement.
LONGEST = 400
_MIDDLE = " … "
_LISTED = 5
# Shown for a missing field that a message needs.
MISSING = "unknown"

_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_SIZES = ("bytes", "KiB", "MiB", "GiB", "TiB")


def format_bytes(count: float) -> str:
    """Format a number of bytes: "512 bytes", "763 MiB", "1.86 GiB"."""
    if count < 0:
        return "-" + format_bytes(-count)
    step = 0
    while count >= 1024 and step < len(_SIZES) - 1:
        count, step = count / 1024, step + 1
    return f"{count:.0f} {_SIZES[step]}" if count >= 100 or not step else f"{count:.3g} {_SIZES[step]}"


def format_ratio(ratio: float) -> str:
    """Format a ratio: "6 %", "37.5 %"."""
    return f"{format_number(100 * ratio)} %"


def format_number(number: float) -> str:
    """Format a number with up to three significant digits below 1000, never as a power of ten."""
    if isinstance(number, int):
        return str(number)
    if not math.isfinite(number):
        return MISSING
    if abs(number) >= 1000 or number.is_integer():
        return f"{number:.0f}"
    return f"{number:.3g}" if abs(number) >= 0.001 else f"{number:.3f}"


# Form -> formatter of a field that is a number.
FORMS: dict[str, Callable[[float], str]] = {
    "seconds": duration,
    "milliseconds": lambda value: duration(value / 1000),
    "days": lambda value: duration(value * 86400),
    "bytes": format_bytes,
    "percent": format_ratio,
}
# Unit of a threshold -> its form. Other units are shown as the number and the unit.
_OF_UNIT = {"seconds": "seconds", "ms": "milliseconds", "days": "days", "bytes": "bytes"}


def format_quantity(value: Any, unit: str) -> str:
    """Format a value that a rule compared, with the unit of its threshold. A ratio has no unit."""
    if not _is_number(value):
        return display(value)
    if unit in _OF_UNIT:
        return FORMS[_OF_UNIT[unit]](value)
    return format_number(value) if unit in ("", "ratio") else f"{format_number(value)} {unit}"


def shorten(text: str, longest: int = LONGEST) -> str:
    """Return one printable line. A longer text loses its middle, since errors often end with their cause."""
    if len(text) <= longest:
        return printable(text)
    tail = (longest - len(_MIDDLE)) * 2 // 5
    return printable(text[: longest - len(_MIDDLE) - tail].rstrip() + _MIDDLE + text[-tail:].lstrip())


def display(value: Any) -> str:
    """Format a value as one short printable line."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _is_number(value):
        return format_number(value)
    if isinstance(value, list):
        more = [f"and {len(value) - _LISTED} more"] if len(value) > _LISTED else []
        return shorten(", ".join([display(part) for part in value[:_LISTED]] + more))
    return shorten(value if isinstance(value, str) else json.dumps(value, sort_keys=True))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class MessageError(ValueError):
    """A message has a syntax error. The text continues "the message"."""


@dataclass(frozen=True)
class _Part:
    """Text, the field after it ("" for none), and its form ("" for unformatted)."""

    text: str
    field: str = ""
    form: str = ""


@dataclass(frozen=True)
class Message:
    """Parsed message: segments of parts. An optional segment needs all its fields."""

    segments: tuple[tuple[bool, tuple[_Part, ...]], ...]

    @property
    def fields(self) -> set[str]:
        """Names of all fields."""
        return {part.field for _optional, parts in self.segments for part in parts if part.field}

    def fill(self, values: dict[str, Any]) -> str:
        """Return the message with these values as one printable line without runs of blanks."""
        made = [
            "".join(part.text + (_formatted(values.get(part.field), part.form) if part.field else "") for part in parts)
            for optional, parts in self.segments
            if not (optional and any(part.field and _is_empty(values.get(part.field)) for part in parts))
        ]
        return " ".join(printable("".join(made)).split())


def parse_message(source: str) -> Message:
    """Parse the message of a rule. Raise MessageError if it is malformed."""
    segments = []
    # re.split() with a group returns the text outside and inside of [[ ]] in turn.
    for number, text in enumerate(_OPTIONAL.split(source.strip())):
        optional = bool(number % 2)
        parts = tuple(_parts(text))
        if optional and not any(part.field for part in parts):
            raise MessageError(f"has [[{text}]] without a field by which it could be left out")
        segments.append((optional, parts))
    return Message(tuple(segments))


def _parts(text: str) -> Iterator[_Part]:
    try:
        for literal, field, form, conversion in string.Formatter().parse(text):
            if conversion or (form and form not in FORMS):
                raise MessageError(f"has {{{field}}} in an unknown form; known are: {', '.join(sorted(FORMS))}")
            if field is not None and not field:
                raise MessageError("has {}, which names no field")
            yield _Part(literal, field or "", form or "")
    except MessageError:
        raise
    except ValueError as error:
        raise MessageError(f"cannot be read: {error}") from error


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _formatted(value: Any, form: str) -> str:
    if _is_empty(value):
        return MISSING
    if form and _is_number(value) and math.isfinite(value):
        return FORMS[form](value)
    return display(value)
