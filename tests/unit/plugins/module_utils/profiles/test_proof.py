# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is proved of an answer of /debug/pprof: whole only when it is, and every cut seen that the bytes can show."""

from __future__ import annotations

import gzip
import itertools
import random
import re
import string
import sys
import tracemalloc
from pathlib import Path

import golang
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles import pprof_proto
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.model import ProfileLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.validation import (
    COUNTS,
    KINDS,
    MAX_LISTED,
    index_text,
    validate,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, Status
from pprofs import CPU, HEAP, packed, profile

from workspace import ROOT

TRACES = sorted((Path(__file__).parent / "traces").glob("*.trace"))
WHOLE = {
    **dict.fromkeys(("cpu", "heap", "allocs", "goroutine", "threadcreate"), Reason.PROFILE_WHOLE),
    **dict.fromkeys(("block", "mutex"), Reason.PROFILE_EMPTY),
    "goroutineleak": Reason.PROFILE_WHOLE,
    "goroutine_debug1": Reason.PROVEN,
    "goroutine_debug2": Reason.PROFILE_WHOLE,
    "trace": Reason.PROFILE_WHOLE,
    **dict.fromkeys(("cmdline", "index", "symbol"), Reason.RECORDED),
}
# The stand-in's Go need not have it yet.
LEAKS = ROOT / "tests" / "unit" / "fixtures" / "people-packed" / "goroutineleak.pb.gz"
STACKS = [((1, 10), ("main.a", "main.main"))]


def answer(served, kind: str) -> bytes:
    return served.get(kind, LEAKS).read_bytes()


def cuts(data: bytes, most: int = 400):
    """Every cut of few bytes; of more, those near the ends and some between.

    A text is far longer than a profile, and its parser far slower: there `most` is small.
    """
    lengths = range(len(data))
    if len(data) > most:
        ends = most // 4, most * 3 // 8
        between = random.Random(len(data)).sample(lengths, most - sum(ends))
        lengths = sorted({*lengths[: ends[0]], *lengths[-ends[1] :], *between})
    return [data[:length] for length in lengths]


def test_the_kinds_are_all_there():
    assert set(WHOLE) == set(KINDS)
    with pytest.raises(ValueError, match="no kind of profile heaps"):
        validate("heaps", b"")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_service_answers_is_whole(served, kind):
    proof = validate(kind, answer(served, kind))
    assert (proof.reason, proof.status) == (WHOLE[kind], Status.COMPLETE)
    assert proof.verdict.message == proof.message
    assert proof.message.endswith(".")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("cmdline", "goroutine_debug2", "trace")])
def test_no_cut_is_whole(served, kind):
    data = answer(served, kind)
    seen = {validate(kind, cut).reason for cut in cuts(data, 160 if kind == "goroutine_debug1" else 400)}
    assert seen <= {Reason.PROFILE_CUT, Reason.PROFILE_BAD, Reason.DAMAGED}
    assert Reason.PROFILE_CUT in seen


def test_a_cut_in_the_states_of_goroutines_is_seen_but_between_two_of_them(served):
    data = served["goroutine_debug2"].read_bytes()
    ends = {at + 1 for at in range(len(data)) if data.startswith(b"\n\ngoroutine ", at)}
    near = {end + step for end in random.Random(1).sample(sorted(ends), 20) for step in (-1, 0, 1)}
    tried = [*cuts(data, 120), *(data[:length] for length in near)]
    whole = {len(cut) for cut in tried if validate("goroutine_debug2", cut).status is Status.COMPLETE}
    assert whole == ends & {len(cut) for cut in tried}
    assert ends


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_no_cut_of_a_trace_is_whole_in_any_format(path):
    data = path.read_bytes()
    proof = validate("trace", data)
    assert (proof.reason, proof.details["generations"]) == (Reason.PROFILE_WHOLE, 1)
    assert {validate("trace", cut).reason for cut in cuts(data, 6000 if len(data) < 10_000 else 150)} == {
        Reason.PROFILE_CUT
    }


def test_go_tool_trace_finds_the_same_batches_and_the_same_cut(served, tmp_path):
    data = served["trace"].read_bytes()
    wire = golang.run(golang.tool("trace"), "-d=wire", str(served["trace"]))
    assert len(re.findall("^EventBatch ", wire, re.MULTILINE)) == validate("trace", data).details["batches"] > 0
    (tmp_path / "cut").write_bytes(data[:-1])
    with pytest.raises(AssertionError, match="truncated"):
        golang.run(golang.tool("trace"), "-d=parsed", str(tmp_path / "cut"))


def test_the_trace_of_a_service_ends_where_a_generation_does(served):
    """A cut exactly there is a shorter trace: that the answer came whole is the transport's to know."""
    data = served["trace"].read_bytes()
    generations = validate("trace", data).details["generations"]
    whole = [cut for cut in (data[:length] for length in range(len(data))) if data[len(cut) - 1 : len(cut)] == b"\x34"]
    assert sum(validate("trace", cut).status is Status.COMPLETE for cut in whole) == generations - 1


@pytest.mark.parametrize("path", [path for path in TRACES if path.stem >= "go1.22"], ids=lambda path: path.stem)
def test_a_generation_that_has_begun_has_to_end(path):
    batch = b"\x01\x07\x01\x01\x02\x09\x09"
    proof = validate("trace", path.read_bytes() + batch)
    assert (proof.reason, "what ends a generation is missing" in proof.message) == (Reason.PROFILE_CUT, True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.PROFILE_CUT),
        (b"go 1.2", Reason.PROFILE_CUT),
        (b"go 1.26 trace\0\0\0", Reason.PROFILE_CUT),
        (b"go 1.5 trace\0\0\0\0" + b"x" * 40, Reason.PROFILE_BAD),
        (b"go 1.26 trace\0\0\0\x07", Reason.PROFILE_BAD),
        (b"go 1.26 trace\0\0\0\x01\x01\x01\x01\xff\xff\xff\x7f", Reason.PROFILE_BAD),
        (b"go 1.26 trace\0\0\0\x01" + b"\xff" * 80, Reason.PROFILE_BAD),
        (b"go 1.21 trace\0\0\0\x3f", Reason.PROFILE_BAD),
        (b"<html>404</html>", Reason.PROFILE_BAD),
    ],
)
def test_what_is_no_whole_trace(data, reason):
    assert validate("trace", data).reason is reason


@pytest.mark.parametrize("kind", COUNTS)
def test_an_empty_profile_is_complete_and_says_why(kind):
    types = {"cpu": CPU, "heap": HEAP, "allocs": HEAP}.get(kind, [(name, "count") for name in sorted(COUNTS[kind])])
    proof = validate(kind, packed(types))
    assert (proof.reason, proof.status) == (Reason.PROFILE_EMPTY, Status.COMPLETE)
    words = {
        "cpu": "idle",
        "block": "SetBlockProfileRate",
        "mutex": "SetMutexProfileFraction",
        "goroutineleak": "nothing can wake",
    }
    assert words.get(kind, "nothing changed") in proof.message


def test_a_difference_over_some_seconds_without_change_is_empty(served):
    """As net/http/pprof writes it: the same profile, with no sample."""
    data = packed(HEAP, [], period=524288)
    assert validate("heap", data).details["totals"] == [0, 0, 0, 0]
    assert validate("heap", served["heap"].read_bytes()).details["samples"] > 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<html>forbidden</html>", "it is a page of HTML"),
        (b"forbidden", "it is not compressed, and begins with b'forbidden'"),
        (packed(stacks=STACKS) + b"x", "1 bytes come after the end"),
        (packed(stacks=STACKS)[:-8] + b"\0\0\0\0" + packed(stacks=STACKS)[-4:], "damaged"),
        (packed(stacks=STACKS)[:-4] + b"\0\0\0\x01", "damaged"),
        (gzip.compress(b"\xff\xff\xff", mtime=0), "not a whole protobuf"),
        (gzip.compress(profile(stacks=STACKS)[:-3], mtime=0), "not a whole protobuf"),
        (gzip.compress(b"", mtime=0), "0 sample types"),
        (packed(HEAP, [((1, 2, 3, 4), ("main.a",))]), "it is no profile of cpu: it counts alloc_objects"),
        (profile(stacks=STACKS)[:-3], "not a whole protobuf"),
    ],
)
def test_what_is_no_profile(data, words):
    proof = validate("cpu", data)
    assert (proof.reason, proof.status) == (Reason.PROFILE_BAD, Status.PARTIAL)
    assert words in proof.message


@pytest.mark.parametrize("stacks", [STACKS, []])
def test_a_profile_without_compression_is_read_and_not_called_whole(stacks):
    data = profile(stacks=stacks)
    proof = validate("cpu", data)
    assert (proof.reason, proof.status) == (Reason.PROFILE_UNPROVEN, Status.PARTIAL)
    assert proof.details["samples"] == len(stacks)
    assert "take it again" not in proof.message
    # A cut that nothing shows.
    assert validate("cpu", data[: data.rindex(b"\x50")]).reason is Reason.PROFILE_UNPROVEN


def test_several_members_are_one_stream():
    data = profile(stacks=STACKS)
    several = b"".join(gzip.compress(data[place : place + 7], mtime=0) for place in range(0, len(data), 7))
    for padding in (b"", bytes(512)):
        assert validate("cpu", several + padding).details == validate("cpu", packed(stacks=STACKS)).details
        assert validate("cpu", several + padding).reason is Reason.PROFILE_WHOLE
    assert {validate("cpu", several[:length]).status for length in range(len(several) - 40, len(several))} == {
        Status.PARTIAL
    }


@pytest.mark.parametrize("limit", [1 << 10, 1 << 20])
def test_a_bomb_is_unpacked_only_to_its_limit(limit):
    bomb = gzip.compress(bytes(200 << 20), 1)
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    proof = validate("heap", bomb, ProfileLimits(content=limit))
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert (proof.reason, proof.status) == (Reason.PROFILE_TOO_LARGE, Status.PARTIAL)
    assert f"more than {limit}" in proof.message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed(stacks=STACKS), Reason.NOT_READ_HERE),
        (packed(stacks=STACKS)[:-1], Reason.PROFILE_CUT),
        (packed(stacks=STACKS) + b"x", Reason.PROFILE_BAD),
        (b"<html>", Reason.PROFILE_BAD),
        (profile(stacks=STACKS), Reason.PROFILE_UNPROVEN),
    ],
)
def test_without_protobuf_nothing_is_called_whole(monkeypatch, data, reason):
    monkeypatch.setattr(pprof_proto, "_classes", {})
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    proof = validate("cpu", data)
    assert (proof.reason, proof.status) == (reason, Status.PARTIAL)


def test_the_index_lists_the_profiles_that_there_are(served):
    page = served["index"].read_bytes()
    counts = validate("index", page).details["profiles"]
    assert {"goroutine", "heap", "profile", "trace"} <= set(counts)
    assert counts["goroutine"] > 0
    assert "<" not in index_text(page).decode()


def test_an_index_without_end_fills_no_row():
    names = ("".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=3))
    rows = "".join(f"<tr><td>1</td><td><a href='{name}?debug=1'>{name}</a></td></tr>\n" for name in names)
    page = f"<html><title>/debug/pprof/</title>{rows}</html>".encode()
    assert len(validate("index", page).details["profiles"]) == MAX_LISTED


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        ("goroutine_debug1", b"goroutine profile: total 1\n", Reason.PROFILE_CUT),
        ("goroutine_debug1", b"not found", Reason.PROFILE_BAD),
        ("goroutine_debug2", b"goroutine 1 [running]:\nmain.main()\n\t/x.go:3 +0x1\n", Reason.PROFILE_WHOLE),
        ("goroutine_debug2", b"goroutine 1 [running]:\nmain.main()\n\t/x.go:3 +0x1", Reason.PROFILE_CUT),
        ("goroutine_debug2", b"goroutine 9 [running]:\nmain.f()\n\t/x.go:3 +0x1\n", Reason.PROFILE_CUT),
        ("goroutine_debug2", b"not found", Reason.PROFILE_BAD),
        ("index", b"<html><title>/debug/pprof/</title>", Reason.PROFILE_CUT),
        ("index", b"<html>nginx</html>", Reason.PROFILE_BAD),
        ("symbol", b"num_symbols: 1\n0x10 main.main\n", Reason.RECORDED),
        ("symbol", b"num_symbols: 1\n0x10 main.ma", Reason.PROFILE_CUT),
        ("symbol", b"num_symbols: 1\n<script>\n", Reason.PROFILE_BAD),
        ("cmdline", b"", Reason.PROFILE_CUT),
    ],
)
def test_answers_in_text(kind, data, reason):
    assert validate(kind, data).reason is reason
