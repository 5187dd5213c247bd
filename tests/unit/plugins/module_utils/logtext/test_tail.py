# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.tail import TailBuffer

LOG = b"one\ntwo\nthree\n"


@pytest.mark.parametrize("feed", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (100, LOG),
        (len(LOG), LOG),
        (len(LOG) - 1, b"two\nthree\n"),
        (10, b"two\nthree\n"),
        (9, b"three\n"),
        (6, b"three\n"),
        (5, b"hree\n"),
    ],
)
def test_keeps_the_newest_whole_lines(feed, limit, kept):
    tail = TailBuffer(limit)
    for start in range(0, len(LOG), feed):
        tail.add(LOG[start : start + feed])
    assert tail.text() == kept
    assert tail.seen == len(LOG)


def test_bounds_memory():
    tail = TailBuffer(1000)
    for _number in range(10_000):
        tail.add(b"x" * 99 + b"\n")
        assert sum(len(chunk) for chunk in tail._chunks) <= 1100
    assert tail.text() == (b"x" * 99 + b"\n") * 10


def test_is_empty_without_input():
    assert TailBuffer(10).text() == b""
