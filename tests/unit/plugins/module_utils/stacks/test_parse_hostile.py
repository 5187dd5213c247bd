# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Input made to keep the parser busy takes linear time and gives a result of bounded size."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from dumps import LOG, REGION1

CUT = REGION1[:5000]
OPEN = b"goroutine 5 [select]:\nmain.x(0x1)\n\t/x.go:1 +0x1\n"
# The beginning, and the text that is repeated after it.
HOSTILE = {
    "headers": (b"", b"goroutine 1 [running]:\n"),
    "headers of one id": (b"", b"goroutine 7 [select]:\n"),
    "headers that are none": (OPEN, b"goroutine 1 [x\n"),
    "headers in one line": (b"", b"goroutine "),
    "prefixes in one line": (b"", b"a a goroutine 1 [x] "),
    "panics": (b"", b"panic: \ngoroutine 1 [x\n"),
    "debug=1 headers": (b"", b"goroutine profile: total 5\n"),
    "a log after a cut dump": (CUT, LOG),
    "beginnings of frames": (CUT, b"#\t0x\n"),
    "beginnings of blocks": (CUT, b"1 @ 0x1 0x2\n#\t"),
    "padding": (REGION1[: REGION1.index(b"\t\t") + 1], b"\t" * 8 + b"[info x]\n"),
    "addresses": (b"goroutine profile: total 5\n1 @", b" 0x1"),
    "frames of many addresses": (
        b"goroutine profile: total 5\n1 @" + b" 0x1" * 4000 + b"\n",
        b"#\t0x9\tmain.a+0x1\t/x.go:1\n",
    ),
    "addresses in lines of their own": (b"goroutine profile: total 5\n1 @ 0x1\n", b"0x1\n"),
    "pieces of frames": (CUT + b"#\t0x1\n", b"a+0x1\n"),
    "ends of lines": (CUT, b"#\t0x1\ta+0x1\t/a.go:1\n1 @ 0x2\n"),
    "quotes": (CUT, b'"\'"",'),
    "quoted lines": (OPEN, b'- "a\\n"\n'),
    "numbers": (OPEN, b"5 +0x1\n"),
    "words": (OPEN, b"a\nb(0x1)\n"),
    "digits": (CUT + b"#\t0x", b"f"),
    "calls without locations": (OPEN, b"hello (x)\n"),
    "stacks within a stack": (OPEN, b"x: goroutine 1 [running]:\n"),
    "ancestors": (OPEN, b"[originating from goroutine 1]:\n"),
    "docker records": (b"", b'{"log":"goroutine 1 [x]:\\n"}\n'),
    "brackets": (b'{"log":"goroutine 1 [x]:\\n"}\n{"log":', b"["),
}


def seconds(data: bytes) -> float:
    """Return the CPU time of parsing, without the garbage collector, whose time depends on other tests."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        parse(data)
        return time.process_time() - began
    finally:
        gc.enable()


def is_linear(make: Callable[[int], bytes], small: int, times: int) -> bool:
    """Return whether `times` times the input takes about `times` times the processor time.

    A busy machine may take several times as long. If it were quadratic, it would take `times` squared.
    """
    return seconds(make(times * small)) < times / 4 * times * max(
        min(seconds(make(small)) for _again in range(3)), 0.002
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear_in_size(name):
    start, again = HOSTILE[name]
    assert is_linear(lambda size: start + again * (size // len(again)), 10_000, 32)


def test_many_frames_take_linear_time():
    def block(count: int) -> bytes:
        rows = b"#\t0x9\tmain.a+0x1\t/x.go:1\n"
        return b"goroutine profile: total 5\n1 @" + b" 0x1" * count + b"\n" + rows * (count // 8)

    assert is_linear(block, 10_000, 32)


def test_separates_at_most_1000_sources():
    lines = b"[pod/a%d/b] goroutine 1 [x]:\n[pod/a%d/b] main.x()\n[pod/a%d/b] \t/x.go:1 +0x1\n"
    data = b"".join(lines % (number, number, number) for number in range(5000))
    result = parse(data)
    assert len(result.dumps) == 1000
    assert result.errors


def test_result_is_bounded():
    result = parse(OPEN + b"goroutine 1 [x\n" * 50_000)
    assert len(json.dumps(result.to_dict())) < 1 << 20
    assert result.complete is False
