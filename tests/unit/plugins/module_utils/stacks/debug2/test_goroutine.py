# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read one goroutine: header, frames, creator, labels, and lines that are missing."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from dumps import CORPUS


def test_reads_labels_waits_and_creators():
    groups = parse(CORPUS["go1.27/debug2"]).dumps[0].groups
    states = {group.state for group in groups}
    assert {"chan receive (nil chan)", "IO wait", "sync.Mutex.Lock", "select (no cases)"} <= states
    assert {group.created_by.function for group in groups if group.created_by} >= {"main.start"}
    labelled = [group for group in parse(CORPUS["go1.27/debug1"]).dumps[0].groups if group.labels]
    assert labelled[0].labels == {"request": 'GET /servers?a="1"\n#\t0x1', "ключ": "значение, {x}"}
    assert any(", locked to thread" in str(group.state) for group in groups)


def test_reports_missing_line():
    lines = CORPUS["go1.27/debug2"].splitlines(keepends=True)
    location = lines.index(b"goroutine 20 [chan receive]:\n") + 2
    (dump,) = parse(b"".join(lines[:location] + lines[location + 1 :])).dumps
    assert dump.complete is False
    assert [(error.line, error.goroutine) for error in dump.errors] == [(location - 1, 20)]
    creator = location + 3
    assert lines[creator].startswith(b"created by")
    (dump,) = parse(b"".join(lines[:creator] + lines[creator + 2 :])).dumps
    # A goroutine may look like that: this is a doubt, no proof.
    assert (dump.complete, [error.goroutine for error in dump.errors]) == (None, [20])


@pytest.mark.parametrize(
    "data", [b"goroutine " + b"9" * 5000 + b" [running]:\n", b"goroutine profile: total " + b"9" * 5000]
)
def test_rejects_absurd_numbers(data):
    assert parse(data).errors != []


def test_unknown_word_in_header_is_kept_as_text():
    data = CORPUS["go1.27/debug2"].replace(
        b"goroutine 20 [chan receive]:", b"goroutine 20 [chan receive, synctest bubble 1]:"
    )
    (dump,) = parse(data).dumps
    assert (dump.goroutines, dump.errors) == (35, [])
    assert "chan receive, synctest bubble 1" in {group.state for group in dump.groups}
