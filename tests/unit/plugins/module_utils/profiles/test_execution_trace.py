# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Complete execution traces of every format, and every cut of them."""

from __future__ import annotations

import re
from pathlib import Path

import golang
import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.validation import (
    validate,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, Status
from pprofs import cuts

TRACES = sorted((Path(__file__).parent / "traces").glob("*.trace"))


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_detects_every_cut_in_every_format(path):
    data = path.read_bytes()
    proof = validate("trace", data)
    assert (proof.reason, proof.details["generations"]) == (Reason.PROFILE_WHOLE, 1)
    assert {validate("trace", cut).reason for cut in cuts(data, 6000 if len(data) < 10_000 else 150)} == {
        Reason.PROFILE_CUT
    }


def test_agrees_with_go_tool_trace(served, tmp_path):
    data = served["trace"].read_bytes()
    wire = golang.run(golang.tool("trace"), "-d=wire", str(served["trace"]))
    assert len(re.findall("^EventBatch ", wire, re.MULTILINE)) == validate("trace", data).details["batches"] > 0
    (tmp_path / "cut").write_bytes(data[:-1])
    with pytest.raises(AssertionError, match="truncated"):
        golang.run(golang.tool("trace"), "-d=parsed", str(tmp_path / "cut"))


def test_cut_after_a_generation_is_a_complete_trace(served):
    """Only the transport can know that the answer was complete."""
    data = served["trace"].read_bytes()
    generations = validate("trace", data).details["generations"]
    whole = [cut for cut in (data[:length] for length in range(len(data))) if data[len(cut) - 1 : len(cut)] == b"\x34"]
    assert sum(validate("trace", cut).status is Status.COMPLETE for cut in whole) == generations - 1


@pytest.mark.parametrize("path", [path for path in TRACES if path.stem >= "go1.22"], ids=lambda path: path.stem)
def test_generation_without_end_is_cut(path):
    batch = b"\x01\x07\x01\x01\x02\x09\x09"
    proof = validate("trace", path.read_bytes() + batch)
    assert (proof.reason, "the end of a generation is missing" in proof.message) == (Reason.PROFILE_CUT, True)


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
def test_rejects_incomplete_trace(data, reason):
    assert validate("trace", data).reason is reason
