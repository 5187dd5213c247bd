# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate answers of /debug/pprof: complete ones are, and every detectable truncation is detected."""

from __future__ import annotations

import gzip
import itertools
import random
import string

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.validation import (
    COUNTS,
    KINDS,
    MAX_LISTED,
    index_text,
    validate,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pprofs import ANY_STACKS, CPU, HEAP, cuts, packed, profile

from workspace import ROOT

WHOLE = {
    **dict.fromkeys(("cpu", "heap", "allocs", "goroutine", "threadcreate"), Reason.PROFILE_WHOLE),
    **dict.fromkeys(("block", "mutex"), Reason.PROFILE_EMPTY),
    "goroutineleak": Reason.PROFILE_WHOLE,
    "goroutine_debug1": Reason.PROVEN,
    "goroutine_debug2": Reason.PROFILE_WHOLE,
    "trace": Reason.PROFILE_WHOLE,
    **dict.fromkeys(("cmdline", "index", "symbol"), Reason.RECORDED),
}
# The stand-in's Go may be too old for it.
LEAKS = ROOT / "tests" / "unit" / "fixtures" / "people-packed" / "goroutineleak.pb.gz"
STACKS = [((1, 10), ("main.a", "main.main"))]


def answer(served, kind: str) -> bytes:
    return served.get(kind, LEAKS).read_bytes()


def test_covers_all_kinds():
    assert set(WHOLE) == set(KINDS)
    with pytest.raises(ValueError, match="no kind of profile heaps"):
        validate("heaps", b"")


@pytest.mark.parametrize("kind", KINDS)
def test_answer_of_a_service_is_complete(served, kind):
    proof = validate(kind, answer(served, kind))
    assert (proof.reason, proof.status) == (WHOLE[kind], Status.COMPLETE)
    assert proof.verdict.message == proof.message
    assert proof.message.endswith(".")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("cmdline", "goroutine_debug2", "trace")])
def test_detects_every_cut(served, kind):
    data = answer(served, kind)
    seen = {validate(kind, cut).reason for cut in cuts(data, 160 if kind == "goroutine_debug1" else 400)}
    assert seen <= {Reason.PROFILE_CUT, Reason.PROFILE_BAD, Reason.DAMAGED}
    assert Reason.PROFILE_CUT in seen


def test_detects_cut_within_a_goroutine(served):
    data = served["goroutine_debug2"].read_bytes()
    ends = {at + 1 for at in range(len(data)) if data.startswith(b"\n\ngoroutine ", at)}
    near = {end + step for end in random.Random(1).sample(sorted(ends), 20) for step in (-1, 0, 1)}
    tried = [*cuts(data, 120), *(data[:length] for length in near)]
    whole = {len(cut) for cut in tried if validate("goroutine_debug2", cut).status is Status.COMPLETE}
    assert whole == ends & {len(cut) for cut in tried}
    assert ends


@pytest.mark.parametrize("kind", COUNTS)
def test_empty_profile_is_complete_and_has_a_reason(kind):
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


def test_difference_without_change_is_empty(served):
    """net/http/pprof writes the same profile, with no sample."""
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
def test_rejects_other_content(data, words):
    proof = validate("cpu", data)
    assert (proof.reason, proof.status) == (Reason.PROFILE_BAD, Status.PARTIAL)
    assert words in proof.message


@pytest.mark.parametrize("stacks", [STACKS, []])
def test_uncompressed_profile_is_read_but_unproven(stacks):
    data = profile(stacks=stacks)
    proof = validate("cpu", data)
    assert (proof.reason, proof.status) == (Reason.PROFILE_UNPROVEN, Status.PARTIAL)
    assert proof.details["samples"] == len(stacks)
    assert "take it again" not in proof.message
    # A truncation that cannot be detected.
    assert validate("cpu", data[: data.rindex(b"\x50")]).reason is Reason.PROFILE_UNPROVEN


def test_lists_profiles_of_the_index(served):
    page = served["index"].read_bytes()
    counts = validate("index", page).details["profiles"]
    assert {"goroutine", "heap", "profile", "trace"} <= set(counts)
    assert counts["goroutine"] > 0
    assert "<" not in index_text(page).decode()


def test_limits_profiles_of_the_index():
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
def test_validates_text_answers(kind, data, reason):
    assert validate(kind, data).reason is reason


REASONS = set(Reason)


@given(st.sampled_from(KINDS), st.binary(max_size=300))
def test_any_bytes_give_a_verdict(kind, data):
    assert validate(kind, data).reason in REASONS
    assert validate(kind, gzip.compress(data)).reason in REASONS


@given(st.sampled_from(KINDS), st.binary(max_size=300))
def test_any_bytes_after_a_valid_header_give_a_verdict(kind, data):
    for start in (b"go 1.26 trace\0\0\0", b"go 1.21 trace\0\0\0", b"goroutine profile: total 3\n", b"num_symbols: 1\n"):
        assert validate(kind, start + data).reason in REASONS


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(ANY_STACKS)
def test_detects_every_cut_of_a_packed_profile(stacks):
    whole = packed(CPU, stacks)
    assert validate("cpu", whole).reason in (Reason.PROFILE_WHOLE, Reason.PROFILE_EMPTY)
    for length in range(len(whole)):
        assert validate("cpu", whole[:length]).reason is Reason.PROFILE_CUT
