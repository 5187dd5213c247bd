# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md shows the import rules and the imports of the code."""

from __future__ import annotations

import architecture_page
from workspace import ROOT


def test_architecture_page_has_the_rooms_and_the_imports_of_today():
    """Compare with the output of `make docs`, which generates the picture and the table."""
    assert (ROOT / "docs" / "architecture.md").read_text() == architecture_page.page()


def test_picture_leaves_out_only_arrows_that_longer_ways_imply():
    arrows = {"a": {"b", "c"}, "b": {"c"}, "d": {"e"}, "e": {"d"}}
    assert architecture_page.reduced(arrows) == {"a": {"b"}, "b": {"c"}, "d": {"e"}, "e": {"d"}}


def test_picture_merges_nodes_and_keeps_their_arrows():
    arrows = {"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}
    assert architecture_page.merged(arrows, {"b", "d"}) == {
        "a": {architecture_page.BASICS, "c"},
        architecture_page.BASICS: set(),
        "c": {architecture_page.BASICS},
    }


def test_packages_import_in_no_circle():
    assert architecture_page.circles(architecture_page.graph()) == []
    assert architecture_page.circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c"]
