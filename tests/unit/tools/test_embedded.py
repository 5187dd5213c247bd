# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator of modules that hold a script or a page."""

from __future__ import annotations

import runpy

import pytest

import embedded
from workspace import ROOT


@pytest.mark.parametrize("each", embedded.EMBEDDED, ids=lambda each: each.constant)
def test_module_holds_the_source_without_its_header(each):
    text = runpy.run_path(str(ROOT / each.module))[each.constant]
    source = (ROOT / each.source).read_text()
    assert source.endswith(text.lstrip("\n"))
    header = source[: len(source) - len(text.lstrip("\n"))]
    assert all(line.startswith("#") or not line for line in header.splitlines())
    assert bool(header) == each.header


@pytest.mark.parametrize("text", ['echo """\n', "echo"])
def test_refuses_text_that_no_raw_string_can_hold(tmp_path, text):
    (tmp_path / "source").write_text(text)
    with pytest.raises(ValueError, match=r"has .* in it, or does not end with a line break"):
        embedded.Embedded(str(tmp_path / "source"), "", "X", "", "").page()
