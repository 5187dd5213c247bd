# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What JSON from elsewhere has to look like before anything is concluded from it. Pure.

A shape is a function: it takes a value and the name of its place, and returns the value made of plain, bounded parts,
or raises SchemaError, whose message begins with the place. Nothing is repaired: a number that is not one must not be
taken for 0, which would look healthy.
"""

from __future__ import annotations

import json
from typing import Any, Callable

Schema = Callable[[Any, str], Any]

LONGEST_TEXT = 2000
LONGEST_LIST = 20000
# The services' counters are int64. Beyond that it is nonsense, and products of such numbers may overflow.
LARGEST_NUMBER = 2**63
_NUMBERS = (int, float)


class SchemaError(ValueError):
    """A value is not what it has to be; the message names its place."""


def loads(data: bytes) -> Any:
    """JSON, strictly: no NaN, and no nesting that exhausts the stack. SchemaError when it is none."""

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not a number of JSON")

    try:
        return json.loads(data.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"not JSON: {error}") from error


def number(value: Any, place: str) -> Any:
    """A finite number of a sensible size; a truth value is none."""
    if type(value) not in _NUMBERS:
        raise SchemaError(f"{place} is not a number")
    if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        raise SchemaError(f"{place} is out of any sensible range")
    return value


def text(value: Any, place: str) -> Any:
    """Text, cut where it gets longer than anyone reads. JSON may hold halves of characters: they become question marks,
    because no file can hold them."""
    if not isinstance(value, str):
        raise SchemaError(f"{place} is not text")
    cut = value[:LONGEST_TEXT]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode("utf-8")


def name(value: Any, place: str) -> Any:
    """Text that is not empty."""
    if not text(value, place):
        raise SchemaError(f"{place} is empty")
    return text(value, place)


def flag(value: Any, place: str) -> Any:
    """true or false."""
    if not isinstance(value, bool):
        raise SchemaError(f"{place} is neither true nor false")
    return value


def choice(*words: str) -> Schema:
    """One of these words."""

    def shape(value: Any, place: str) -> Any:
        if not isinstance(value, str) or value not in words:
            raise SchemaError(f"{place} is not one of {', '.join(words)}")
        return value

    return shape


def each(inner: Schema) -> Schema:
    """A list of bounded length whose every element has the inner shape."""

    def shape(value: Any, place: str) -> Any:
        if not isinstance(value, list):
            raise SchemaError(f"{place} is not a list")
        if len(value) > LONGEST_LIST:
            raise SchemaError(f"{place} has more than {LONGEST_LIST} elements")
        inside = place + "[]"
        return [inner(element, inside) for element in value]

    return shape


def record(needed: dict[str, Schema], optional: dict[str, Schema] | None = None, **defaults: Any) -> Schema:
    """An object with the needed keys, and of others only the optional ones (null counts as absent). defaults: what
    stands for an absent optional key; without a default it becomes null."""
    others = optional or {}

    def shape(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise SchemaError(f"{place} is not an object")
        made = {}
        try:
            for key, inner in needed.items():
                made[key] = inner(value[key], key)
            for key, inner in others.items():
                given = value.get(key)
                if given is None:
                    default = defaults.get(key)
                    made[key] = list(default) if isinstance(default, list) else default
                elif inner is number and type(given) in _NUMBERS and -LARGEST_NUMBER <= given <= LARGEST_NUMBER:
                    made[key] = given  # most of what there is: worth not calling anything for
                else:
                    made[key] = inner(given, key)
        except KeyError as error:
            raise SchemaError(f"{place} lacks {error.args[0]}") from error
        except SchemaError as error:
            raise SchemaError(f"{place}.{error}") from error
        return made

    return shape
