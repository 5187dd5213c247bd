# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.logtext.runtime_formats import RuntimeLogUnwrapper

TIME = b"2026-01-02T03:04:05.123456789Z"
CRI = (
    TIME + b" stderr F one\n" + TIME + b" stdout F other\n" + TIME + b" stderr P long \n" + TIME + b" stderr F line\n"
    + TIME + b" stderr F \nodd\n"
)  # fmt: skip
DOCKER = b"".join(
    json.dumps({"log": text, "stream": stream, "time": TIME.decode()}).encode() + b"\n"
    for text, stream in (("one\n", "stderr"), ("other\n", "stdout"), ("long ", "stderr"), ("line\n", "stderr"))
)


@pytest.mark.parametrize(
    ("form", "stream", "data", "text"),
    [
        ("cri", "stderr", CRI, b"one\nlong line\n\nodd\n"),
        ("cri", None, CRI, b"one\nother\nlong line\n\nodd\n"),
        ("docker", "stderr", DOCKER, b"one\nlong line\n"),
        ("docker", None, DOCKER + b"{broken\n", b"one\nother\nlong line\n{broken\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_unwraps_text_however_input_is_split(form, stream, data, text, size):
    unwrapper = RuntimeLogUnwrapper(form, stream)
    pieces = [unwrapper.feed(data[start : start + size]) for start in range(0, len(data), size)]
    assert b"".join(pieces) + unwrapper.feed(b"") == text


def test_returns_the_rest_at_the_end():
    unwrapper = RuntimeLogUnwrapper("cri")
    assert unwrapper.feed(TIME + b" stderr F cut") == b""
    assert unwrapper.feed(b"") == b"cut"


def test_puts_timestamps_before_lines_not_pieces():
    unwrapper = RuntimeLogUnwrapper("cri", "stderr", with_timestamps=True)
    assert unwrapper.feed(CRI) == TIME + b" one\n" + TIME + b" long line\n" + TIME + b" \nodd\n"
