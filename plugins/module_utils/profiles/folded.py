# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folded stacks: one line per stack, `outermost;...;innermost value`, the input format of flame graph tools."""

from __future__ import annotations

from .call_tree import CallTree

MOST_BYTES = 64 << 20


def folded(tree: CallTree, index: int, most: int = MOST_BYTES) -> tuple[str, int]:
    """Return the stacks of one sample type, and the number of stacks left out above the size limit.

    A semicolon in a name becomes a colon, since it would end the name.
    """
    names = [name.replace(";", ":") for name in tree.names]
    own = tree.own[index]
    ends = [node for node, value in enumerate(own) if value and node]
    lines, size = [], 0
    for number, node in enumerate(ends):
        lines.append(f"{';'.join([names[function] for function in tree.path(node)])} {own[node]}\n")
        size += len(lines[-1])
        if size > most:
            return "".join(lines), len(ends) - number - 1
    return "".join(lines), 0
