# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of untrusted JSON against a schema. Pure.

A schema is a function: it takes a value and the name of its place. It returns a bounded copy with only the keys that
an audit reads, or raises SchemaError, whose message begins with the place. Nothing is repaired: a malformed number
must not become 0, which would look healthy.

Written by hand instead of using jsonschema on docs/schemas:

- ansible-core does not bring jsonschema, so every controller would need one library more.
- Audits of fleets read thousands of documents. One status.json of a real region (22 KB) takes jsonschema 34 ms; these
  checks and all that the audit derives from it take 2 ms.
- jsonschema only judges. An audit also cuts what is too long, fills in defaults, and keeps the sections that are fine.

test_document_schemas.py holds the checks against the published schemas, so that neither changes without the other.
"""

from __future__ import annotations

import json
from typing import Any, Callable

Schema = Callable[[Any, str], Any]

LONGEST_TEXT = 2000
LONGEST_LIST = 20000
# The services' counters are int64. Products of larger numbers could overflow a float.
LARGEST_NUMBER = 2**63
_NUMBERS = (int, float)


class SchemaError(ValueError):
    """A value does not match its schema. The message names the place."""


def loads(data: bytes) -> Any:
    """Parse strict JSON: no NaN, and no nesting that exhausts the stack. Raise SchemaError for anything else."""

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not a number of JSON")

    try:
        return json.loads(data.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"not JSON: {error}") from error


def number(value: Any, place: str) -> Any:
    """Check for a finite number within LARGEST_NUMBER. A boolean is not a number."""
    if type(value) not in _NUMBERS:
        raise SchemaError(f"{place} is not a number")
    if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        raise SchemaError(f"{place} is out of range")
    return value


def text(value: Any, place: str) -> Any:
    """Check for text, and cut it at LONGEST_TEXT.

    JSON may hold lone surrogates, which no file can hold: each becomes a question mark.
    """
    if not isinstance(value, str):
        raise SchemaError(f"{place} is not text")
    cut = value[:LONGEST_TEXT]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode("utf-8")


def name(value: Any, place: str) -> Any:
    """Check for text that is not empty."""
    if not text(value, place):
        raise SchemaError(f"{place} is empty")
    return text(value, place)


def flag(value: Any, place: str) -> Any:
    """Check for true or false."""
    if not isinstance(value, bool):
        raise SchemaError(f"{place} is neither true nor false")
    return value


def choice(*words: str) -> Schema:
    """Return a schema for one of these words."""

    def check(value: Any, place: str) -> Any:
        if not isinstance(value, str) or value not in words:
            raise SchemaError(f"{place} is not one of {', '.join(words)}")
        return value

    return check


def each(inner: Schema) -> Schema:
    """Return a schema for a list of at most LONGEST_LIST elements that match the inner schema."""

    def check(value: Any, place: str) -> Any:
        if not isinstance(value, list):
            raise SchemaError(f"{place} is not a list")
        if len(value) > LONGEST_LIST:
            raise SchemaError(f"{place} has more than {LONGEST_LIST} elements")
        inside = place + "[]"
        return [inner(element, inside) for element in value]

    return check


def record(needed: dict[str, Schema], optional: dict[str, Schema] | None = None, **defaults: Any) -> Schema:
    """Return a schema for an object with the needed and the optional keys; others are left out.

    Null counts as absent. defaults: the values of absent optional keys; without a default it is null.
    """
    others = optional or {}

    def check(value: Any, place: str) -> Any:
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
                    made[key] = given  # Numbers are most of a document: this saves the call.
                else:
                    made[key] = inner(given, key)
        except KeyError as error:
            raise SchemaError(f"{place} lacks {error.args[0]}") from error
        except SchemaError as error:
            raise SchemaError(f"{place}.{error}") from error
        return made

    return check
