# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folded stacks: one line a stack, `outermost;...;innermost value`, as most tools for flame graphs read them."""

from __future__ import annotations

from .tree import Tree


def folded(tree: Tree, index: int) -> str:
    """The stacks of one sample type. A semicolon in a name becomes a colon, since it would end the name."""
    names = [name.replace(";", ":") for name in tree.names]
    own = tree.own[index]
    lines = [
        f"{';'.join([names[function] for function in tree.path(node)])} {value}\n"
        for node, value in enumerate(own)
        if value and node
    ]
    return "".join(lines)
