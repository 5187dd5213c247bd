# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree of calls built from stacks, from the outermost function inwards, with a limit on its size."""

from __future__ import annotations

from array import array
from itertools import chain
from typing import Sequence

from .frames import Frames
from .model import Profile
from .top import by_stack

MOST_NODES = 1_000_000


class CallTree:
    """Tree of calls. Node 0 is the root; node n > 0 is a call of function[n] by node parent[n] < n.

    own[t][n]: value of sample type t of the stacks that end at node n. cut: number of stacks whose inner part was left
    out above the limit; their values are at their last call in the tree.
    """

    def __init__(self, profile: Profile, frames: Frames, most: int = MOST_NODES) -> None:
        self.names = frames.names
        self.files = frames.files
        self.function = array("l", [-1])
        self.parent = array("l", [-1])
        self.cut = 0
        stacks, columns = by_stack(profile)
        ends = self._grow(stacks, frames.of, most)
        self.own = [self._own_values(ends, column) for column in columns]

    def _grow(self, stacks: list[tuple[int, ...]], functions_of: list[tuple[int, ...]], most: int) -> list[int]:
        """Add the stacks and return the node at which each ends."""
        width = len(self.names)
        edges: dict[int, int] = {}  # node * width + function -> the node of that call
        find = edges.get
        function, parent = self.function, self.parent
        ends = []
        for stack in stacks:
            node = 0
            for call in chain.from_iterable(map(functions_of.__getitem__, reversed(stack))):
                edge = node * width + call
                below = find(edge)
                if below is None:
                    below = len(function)
                    if below > most:
                        self.cut += 1
                        break
                    edges[edge] = below
                    function.append(call)
                    parent.append(node)
                node = below
            ends.append(node)
        return ends

    def _own_values(self, ends: list[int], column: Sequence[int]) -> list[int]:
        own = [0] * len(self.function)
        for node, value in zip(ends, column):
            own[node] += value
        return own

    def sums(self, values: list[int]) -> list[int]:
        """Return for each node the sum of its own value and those of all nodes below it."""
        sums = list(values)
        parent = self.parent
        for node in range(len(sums) - 1, 0, -1):
            sums[parent[node]] += sums[node]
        return sums

    def path(self, node: int) -> list[int]:
        """Return the functions from the outermost to that of the node."""
        path = []
        while node > 0:
            path.append(self.function[node])
            node = self.parent[node]
        return path[::-1]
