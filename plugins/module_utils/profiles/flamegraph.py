# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flame graph as one self-contained HTML page with a bounded number of frames.

The page has one placeholder, for a JSON document, and is filled in by hand instead of by Jinja2. profile_analysis runs
as a module, maybe under another Python than Ansible's, where Jinja2 need not be installed.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..sanitize import escaped
from .call_tree import CallTree
from .flamegraph_page import PAGE
from .model import ValueType

# The largest frames of a sample type that are shown.
MOST_FRAMES = 10_000
# Names of frames that are no function: the root, and several small frames together.
_ALL, _REST = -1, -2


class _Frame(NamedTuple):
    """A frame: a node of the tree, or (rest) the small children of one node together."""

    nodes: tuple[int, ...]
    depth: int
    rest: bool = False


def flamegraph(tree: CallTree, kinds: list[ValueType], title: str, first: int, notes: list[str], most: int) -> str:
    """Return the page. first: the sample type shown first. most: the number of frames shown of a sample type."""
    graphs = []
    for index, kind in enumerate(kinds):
        own = [max(value, 0) for value in tree.own[index]]
        sums = tree.sums(own)
        frames, notice = _frames(tree, sums, most)
        graphs.append(dict(_graph(tree, kind, frames, own, sums, sums), notes=notice))
    return _page(tree, graphs, title, first, notes, diff=False)


def diff_flamegraph(tree: CallTree, kinds: list[ValueType], title: str, first: int, notes: list[str], most: int) -> str:
    """Return the page of a difference. tree.own holds the new values of all sample types, then the old ones.

    A frame is as wide as the larger value, so that functions that are gone remain visible.
    """
    graphs = []
    for index, kind in enumerate(kinds):
        now, before = tree.own[index], tree.own[len(kinds) + index]
        widths = tree.sums([max(one, other, 0) for one, other in zip(now, before)])
        values, base = tree.sums(now), tree.sums(before)
        frames, notice = _frames(tree, widths, most)
        graph = dict(_graph(tree, kind, frames, now, values, widths), notes=notice, base=_column(frames, base))
        graph["delta"] = [value - other for value, other in zip(graph["value"], graph["base"])]
        graphs.append(graph)
    return _page(tree, graphs, title, first, notes, diff=True)


def _frames(tree: CallTree, widths: list[int], most: int) -> tuple[list[_Frame], list[str]]:
    """Return the frames in depth-first order, the widest child first, and notes about them."""
    order = sorted((node for node in range(1, len(widths)) if widths[node]), key=lambda node: (-widths[node], node))
    kept = {0, *order[:most]}
    below: dict[int, list[int]] = {}
    hidden: dict[int, list[int]] = {}
    for node in order:
        if tree.parent[node] in kept:
            (below if node in kept else hidden).setdefault(tree.parent[node], []).append(node)
    frames = []
    waiting = [_Frame((0,), 0)]
    while waiting:
        frame = waiting.pop()
        frames.append(frame)
        if frame.rest:
            continue
        (node,) = frame.nodes
        if node in hidden:
            waiting.append(_Frame(tuple(hidden[node]), frame.depth + 1, rest=True))
        waiting.extend(_Frame((child,), frame.depth + 1) for child in reversed(below.get(node, [])))
    if len(order) <= most:
        return frames, []
    return frames, [f"The {most} largest of {len(order)} frames are shown, smaller ones are put together."]


def _column(frames: list[_Frame], values: list[int]) -> list[int]:
    return [sum([values[node] for node in frame.nodes]) for frame in frames]


def _graph(
    tree: CallTree, kind: ValueType, frames: list[_Frame], own: list[int], sums: list[int], widths: list[int]
) -> dict[str, Any]:
    """Return the frames as columns. name: a function, _ALL or _REST. merged: the number of frames in a _REST."""
    return {
        "type": escaped(kind.type),
        "unit": escaped(kind.unit),
        "depth": [frame.depth for frame in frames],
        "name": [_REST if frame.rest else tree.function[frame.nodes[0]] for frame in frames],
        "merged": [len(frame.nodes) if frame.rest else 0 for frame in frames],
        "width": _column(frames, widths),
        "value": _column(frames, sums),
        "own": _column(frames, own),
    }


def _page(tree: CallTree, graphs: list[dict[str, Any]], title: str, first: int, notes: list[str], diff: bool) -> str:
    """Return the page with these graphs and only the names that they use."""
    used = sorted({name for graph in graphs for name in graph["name"] if name >= 0})
    places = {name: place for place, name in enumerate(used, 1)}
    places.update({_ALL: 0, _REST: -1})
    for graph in graphs:
        graph["name"] = [places[name] for name in graph["name"]]
    cut = [f"Of {tree.cut} stacks the innermost calls are left out."] if tree.cut else []
    document = {
        "title": escaped(title),
        "notes": [*notes, *cut],
        "diff": diff,
        "first": first,
        "names": ["all", *(tree.names[name] for name in used)],
        "files": ["", *(tree.files[name] for name in used)],
        "trees": graphs,
    }
    # Names are untrusted: none may end the script element or begin a comment.
    text = json.dumps(document, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")
    return PAGE.replace("@DATA@", text)
