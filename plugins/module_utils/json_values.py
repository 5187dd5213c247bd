# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checked access to values in untrusted JSON documents: typed, bounded, printable. Pure."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from .sanitize import clean

# Counters of the services are int64. Go may write a float without a fraction; a float64 has at most 309 digits.
MAX_INTEGER = (1 << 63) - 1
MAX_DIGITS = 400

# The time to parse an integer grows with the square of its digits. With every digit mapped to "0", long numbers are
# found by a substring search, which is many times faster than a regular expression.
_ONE_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_ENDLESS = b"0" * (MAX_DIGITS + 1)


class BadValue(ValueError):
    """A document does not have the expected form; the text says where and how."""


def text_of(body: bytes) -> str:
    """Decode a body as UTF-8. BadValue if it is not UTF-8."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadValue(f"not UTF-8 at byte {error.start}") from error


def json_object(body: bytes) -> dict[str, Any]:
    """Parse a body as a JSON object. BadValue if it is not one.

    NaN, numbers of too many digits and too deep nesting are refused.
    """
    try:
        if _ENDLESS in body.translate(_ONE_DIGIT):
            raise BadValue(f"a number of more than {MAX_DIGITS} digits")
        document = json.loads(text_of(body), parse_constant=_no_constant)
    except BadValue:
        raise
    except (ValueError, RecursionError) as error:
        raise BadValue(f"not JSON: {clean(str(error), 100)}") from error
    if not isinstance(document, dict):
        raise BadValue(f"JSON, but {_kind(document)} instead of an object")
    return document


def _no_constant(name: str) -> NoReturn:
    raise BadValue(f"{name} is not a number")


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "null")


class Fields:
    """Fields of one JSON object.

    where: name of the object in messages.
    """

    def __init__(self, data: Any, where: str) -> None:
        if not isinstance(data, dict):
            raise BadValue(f"{where} is {_kind(data)} instead of an object")
        self._data = data
        self._where = where

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def _bad(self, name: str, what: str) -> BadValue:
        found = _kind(self._data[name]) if name in self._data else "missing"
        return BadValue(f"{self._where}: {name} is {found} instead of {what}")

    def number(self, name: str) -> float:
        """Return a finite, non-negative number."""
        value: Any = self._data.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._bad(name, "a number")
        if not 0 <= value <= MAX_INTEGER:
            raise BadValue(f"{self._where}: {name} is out of range")
        number: float = value
        return number

    def count(self, name: str) -> int:
        """Return a non-negative integer."""
        value = self.number(name)
        if value != int(value):
            raise BadValue(f"{self._where}: {name} is not a whole number")
        return int(value)

    def text(self, name: str) -> str:
        """Return one printable line, truncated if it is too long."""
        value = self._data.get(name)
        if not isinstance(value, str):
            raise self._bad(name, "text")
        return clean(value)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self._data.get(name)
        if not isinstance(value, bool):
            raise self._bad(name, "true or false")
        return value

    def items(self, name: str) -> list[Any]:
        """Return a list. null, as Go writes an empty one, becomes an empty list."""
        value = self._data.get(name)
        if value is None and name in self._data:
            return []
        if not isinstance(value, list):
            raise self._bad(name, "a list")
        return value

    def inner(self, name: str) -> Fields:
        """Return the fields of a nested object."""
        return Fields(self._data.get(name), f"{self._where}.{name}")
