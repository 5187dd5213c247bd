# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A truncated dump is never complete, at any cut and with any text after it."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.debug2.builder import DEBUG2_LIMIT
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.stacks.parse import parse
from dumps import CORPUS, LOG, PRINTED, REGION1, REGION2, headers
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import examples

COMPLETE = [name for name in CORPUS if not name.endswith("stack")]
TWO = [REGION1, CORPUS["go1.27/debug1"]]
FEW = settings(max_examples=examples(200))


@FEW
@given(st.sampled_from(COMPLETE), st.data())
def test_truncated_dump_is_never_complete(name, data):
    text = CORPUS[name]
    end = data.draw(st.integers(0, len(text) - 1))
    after = data.draw(st.sampled_from([b"", b"\n", LOG, b"\n" + LOG, b"exit status 2\n"]))
    result = parse(text[:end] + after)
    is_whole = (text[:end] + after).startswith(text)  # only its last newline was cut, and another came
    assert result.complete is not True or is_whole
    if "debug1" in name and result.dumps:
        may_be_whole = end > start_of_last_line_number(text)
        assert [dump.complete for dump in result.dumps] in ([[is_whole]] if not may_be_whole else [[is_whole], [None]])


def start_of_last_line_number(text):
    """Return the start of the line number of the last frame. A cut after it may lose nothing."""
    return text.rindex(b":") + 1


def test_no_truncation_of_a_short_dump_is_complete():
    """Every truncation, not a sample, of a short dump made of real blocks."""
    head, *blocks = REGION1.split(b"\n\n")
    first = head.split(b"\n", 1)[1]
    short = [block for block in (first, *blocks) if block.count(b"\n") < 4][:3] + [
        block for block in blocks if b"runtime/pprof." in block
    ]
    total = sum(int(block.split(b" ")[0]) for block in short)
    text = b"goroutine profile: total %d\n" % total + b"\n\n".join(short) + b"\n\n"
    assert parse(text).complete is True
    last = start_of_last_line_number(text) + 1
    assert {parse(text[:end]).complete for end in range(last)} == {False}
    assert {parse(text[:end]).complete for end in range(last, len(text))} == {None}


@FEW
@given(st.sampled_from([REGION2, CORPUS["go1.27/debug2"], CORPUS["go1.19/panic"]]), st.data())
def test_detects_truncation_within_a_goroutine(text, data):
    """A cut between two goroutines cannot be detected; a cut within one can."""
    end = data.draw(st.integers(1, len(text) - 1))
    (dump,) = parse(text[:end]).dumps or [None]
    last_line = text[:end].rpartition(b"\n")[2]
    if dump is None:
        assert headers(text[:end]) == 0
    elif dump.complete is None:
        block = text[:end].rpartition(b"\n\n")[2]
        assert block == b"" or b"created by" in block or b"main.main(" in block
        assert not last_line or b" +0x" in last_line


@FEW
@given(st.sampled_from(TWO), st.sampled_from(TWO), st.data())
def test_truncated_dump_is_not_completed_by_the_next(first, second, data):
    """The log was rotated, or the process ended while it wrote; then the next dump follows."""
    lines = first.splitlines(keepends=True)
    text = b"".join(lines[: data.draw(st.integers(1, len(lines) - 2))])  # but for its last, empty line it is complete
    between = data.draw(st.sampled_from([b"", LOG, LOG * 3, PRINTED]))
    dumps = [dump for dump in parse(text + between + second).dumps if dump.form == "debug1"]
    assert [dump.complete for dump in dumps] == [False, True]
    assert dumps[0].errors
    assert dumps[1].goroutines == dumps[1].total


@pytest.mark.parametrize("missing", [0, 1])
def test_dump_at_the_size_limit_of_go_is_incomplete(missing):
    """Go fills a buffer of 64 MiB and drops the rest silently."""
    block, frame = b"\n\ngoroutine %d [select]:\n", b"main.wait()\n\t/src/main.go:1 +0x2\n"
    creator = b"created by main.main in goroutine 1\n\t/src/main.go:%s +0x1"
    parts, size = [b"goroutine 1 [running]:\nmain.main()\n\t/src/main.go:9 +0x2"], 55
    size = len(parts[0])
    number = 2
    while size < DEBUG2_LIMIT - 200000:
        parts.append(block % number + frame * 1000 + creator % b"9")
        size += len(parts[-1])
        number += 1
    last = block % number + frame + b"created by main.main in goroutine 1\n\t/src/main"
    end = b".go:9 +0x1\n"
    filler = DEBUG2_LIMIT - size - len(last) - len(end) - missing
    data = b"".join(parts) + last + b"n" * filler + end
    (dump,) = parse(data).dumps
    assert len(data) == DEBUG2_LIMIT - missing
    assert dump.goroutines == number
    assert dump.complete is (None if missing else False)
