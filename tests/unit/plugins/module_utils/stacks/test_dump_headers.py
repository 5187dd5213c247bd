# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find headers of dumps anywhere in a line."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.dump_headers import (
    ANCHOR,
    follows,
    is_there,
    may_be_there,
)
from dumps import CORPUS, LOG


@pytest.mark.parametrize(
    "line",
    [
        b"[pod/a/b] goroutine 1 [running]:",
        b"x goroutine 7 gp=0x1 m=2 mp=0x3 [select, 5 minutes] {k: v}:",
        b"goroutine profile: total 145",
        b"goroutineleak profile: total 3",
        b"panic: x goroutine 1 [running]: main.f(0x1) /x.go:1 +0x2",
    ],
)
def test_finds_header(line):
    assert is_there(line, 0, len(line))


@pytest.mark.parametrize("line", [LOG, b"goroutine 1 [x]: is stuck", b"goroutines: 5", b"goroutine [x]:", b""])
def test_other_lines_are_no_headers(line):
    assert not is_there(line, 0, len(line))


def test_finds_header_only_within_the_line():
    data = b"a\ngoroutine 1 [running]:\nb"
    assert not is_there(data, 0, 1)
    assert is_there(data, 2, len(data) - 2)


def test_recognises_line_after_header():
    goroutine, profile = (ANCHOR.search(line) for line in (b"goroutine 1 [x]:", b"goroutine profile: total 3"))
    assert follows(goroutine, b"main.main()")
    assert not follows(goroutine, b"3 @ 0x1 0x2")
    assert follows(profile, b"3 @ 0x1 0x2")
    assert not follows(profile, b"main.main()")


def test_recognises_changed_dump():
    text = CORPUS["go1.27/debug2"]
    assert may_be_there(text.replace(b"[", b"&#91;"), has_word=True)
    assert may_be_there(text.decode().encode("utf-16-le"), has_word=False)
    assert may_be_there(b'{"MESSAGE": [103, 111, 114, 111, 117, 116]}', has_word=False)
    assert not may_be_there(LOG * 10, has_word=False)
