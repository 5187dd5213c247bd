# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file format of speedscope (https://www.speedscope.app): all sample types of a profile in one file."""

from __future__ import annotations

from typing import Any

from .call_tree import CallTree
from .model import ValueType

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
# The units of the format; all others are shown as plain numbers.
_UNITS = {
    "bytes": "bytes",
    "nanoseconds": "nanoseconds",
    "microseconds": "microseconds",
    "milliseconds": "milliseconds",
}


def speedscope(tree: CallTree, kinds: list[ValueType], name: str, default: int) -> dict[str, Any]:
    """Return the document. Stacks begin with the outermost function. The format takes only positive values."""
    frames = [{"name": name, "file": file} if file else {"name": name} for name, file in zip(tree.names, tree.files)]
    paths: dict[int, list[int]] = {}  # by node; shared between sample types to save memory
    return {
        "$schema": SCHEMA,
        "name": name,
        "exporter": "cloudpods.diagnostics",
        "activeProfileIndex": default,
        "shared": {"frames": frames},
        "profiles": [_profile(tree, index, kind, paths) for index, kind in enumerate(kinds)],
    }


def _profile(tree: CallTree, index: int, kind: ValueType, paths: dict[int, list[int]]) -> dict[str, Any]:
    ends = [node for node, value in enumerate(tree.own[index]) if value > 0 and node]
    weights = [tree.own[index][node] for node in ends]
    for node in ends:
        if node not in paths:
            paths[node] = tree.path(node)
    return {
        "type": "sampled",
        "name": kind.type,
        "unit": _UNITS.get(kind.unit, "none"),
        "startValue": 0,
        "endValue": sum(weights),
        "samples": [paths[node] for node in ends],
        "weights": weights,
    }
