# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Matching lines with the lines around them."""

from __future__ import annotations

from service_lines import CALLER, line
from watch_helpers import START, watch


def test_keeps_redacted_lines_around_a_match():
    before = [line(1, f" before {number}") for number in range(3)]
    after = [line(3, f" after {number} password=hunter2") for number in range(3)]
    watcher = watch(*before, line(2, " etcd keepalive failed"), *after)
    (pattern,) = watcher.document()["patterns"]
    (sample,) = pattern["samples"]
    head = "[warning 2026-11-23 00:00:0"
    assert [text.rpartition("] ")[2] for text in sample["before"]] == ["before 1", "before 2"]
    assert sample["line"] == f"{head}2 {CALLER}] etcd keepalive failed"
    assert sample["after"] == [f"{head}3 {CALLER}] after {number} password=[redacted:password]" for number in (0, 1)]


def test_keeps_the_most_informative_context():
    lines = [line(number, f" try {number}: bad connection") for number in range(9)]
    watcher = watch(*lines, line(20, " exec: Error 1040: Too many connections", "error"), line(21, " bad connection"))
    (pattern,) = watcher.document(START + 30)["patterns"]
    assert any("Error 1040" in sample["line"] for sample in pattern["samples"])
    assert len(pattern["samples"]) == 3
    assert pattern["episode"]["line"] == "exec: Error 1040: Too many connections"
