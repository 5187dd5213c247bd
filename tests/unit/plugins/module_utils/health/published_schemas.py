# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents generated from the JSON schemas in docs/schemas, and the same documents with one value of a wrong type."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import strategies as st

SCHEMAS = Path(__file__).parents[5] / "docs" / "schemas"
TEXTS = ["a", "é", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678Z", "HttpGetRequestWorkerManager", "b" * 40]


def published(name: str) -> dict[str, Any]:
    """Return the schema of this name."""
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def documents(schema: dict[str, Any], root: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Generate what the schema allows. Only the keywords that our schemas use are understood."""
    root = schema if root is None else root
    if "$ref" in schema:
        return documents(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([documents(each, root) for each in schema["anyOf"]])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([_values(kind, schema, root) for kind in kinds])


def _values(kind: str, schema: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    least = schema.get("minimum", -(2**53))
    if kind == "object":
        inner = {key: documents(each, root) for key, each in schema.get("properties", {}).items()}
        needed = {key: inner.pop(key) for key in schema.get("required", ()) if key in inner}
        others = schema.get("additionalProperties")
        if isinstance(others, dict):
            return st.dictionaries(st.sampled_from(TEXTS), documents(others, root), max_size=2)
        return st.fixed_dictionaries(needed, optional=inner)
    if kind == "array":
        return st.lists(documents(schema["items"], root), max_size=2)
    if kind == "string":
        return st.sampled_from(TEXTS if schema.get("minLength") else ["", *TEXTS])
    if kind == "integer":
        return st.integers(least, 2**53)
    if kind == "number":
        return st.floats(least, 1e12) | st.integers(least, 2**53)
    return {"boolean": st.booleans(), "null": st.none()}[kind]


def full_document(schema: dict[str, Any], root: dict[str, Any] | None = None) -> Any:
    """Return a document with every property of the schema, one element in each list, and no null."""
    root = schema if root is None else root
    if "$ref" in schema:
        return full_document(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return full_document(next(each for each in schema["anyOf"] if each != {"type": "null"}), root)
    kind = schema["type"][0] if isinstance(schema["type"], list) else schema["type"]
    if kind == "object":
        others = schema.get("additionalProperties")
        made = {"a": full_document(others, root)} if isinstance(others, dict) else {}
        return {**made, **{key: full_document(each, root) for key, each in schema.get("properties", {}).items()}}
    if kind == "array":
        return [full_document(schema["items"], root)]
    return {"string": "a", "integer": 1, "number": 1.5, "boolean": True}[kind]


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys and indexes that lead to each value within this one."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*place, key)
        yield from places(child, (*place, key))


def with_wrong_type(document: dict[str, Any], place: tuple[Any, ...]) -> dict[str, Any]:
    """Return the document with a value of another type at this place."""
    changed = copy.deepcopy(document)
    inner: Any = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = 7 if isinstance(inner[place[-1]], str) else "wrong"
    return changed


def dotted(place: tuple[Any, ...]) -> str:
    """Return a place as text, such as "samples[].stats.paths[].name"."""
    return "".join("[]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")
