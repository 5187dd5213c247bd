# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a binary prints for -v, and who is asked for it."""

from __future__ import annotations

import contextlib
import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.sanitize import MAX_TEXT
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.status.binary_version import parse_version
from fake_transport import VERSION
from hypothesis import given
from hypothesis import strategies as st

PARSED = {"gitVersion": "v4.0.1", "gitBranch": "release/4.0", "gitCommit": "2de295222"}


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        (VERSION, PARSED),
        (b"[info 260102 03:04:05 options.go:1] reading\n" + VERSION, PARSED),
        (VERSION + b"\n", PARSED),
        (b'{"number": 4, "list": [1]}', {"number": "4", "list": "[1]"}),
    ],
)
def test_the_json_after_the_text_line_is_the_version(raw, parsed):
    assert parse_version(raw) == parsed


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "it printed nothing"),
        (b"CoreDNS-1.8\n", "it printed 'CoreDNS-1.8'"),
        (b"Yunion cloud version:\n{", "not JSON"),
        (b"{}", "it printed '{}'"),
        (VERSION + b"trailing", "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b"x" * 1000, "it printed"),
    ],
)
def test_anything_else_is_no_version(raw, words):
    with pytest.raises(CaptureError) as failed:
        parse_version(raw)
    assert failed.value.verdict.reason is Reason.NO_VERSION
    assert words in failed.value.verdict.message
    assert len(failed.value.verdict.message) < 300


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(str).map(str.encode))
def test_hostile_output_is_a_version_or_none(raw):
    with contextlib.suppress(CaptureError):
        assert all(isinstance(text, str) for pair in parse_version(raw).items() for text in pair)


@pytest.mark.parametrize("depth", [1000, 100_000])
def test_deeply_nested_output_is_no_version(depth):
    with pytest.raises(CaptureError):
        parse_version(b'{"a":' * depth)


@pytest.mark.parametrize("depth", [300, 900, 985])
def test_nested_values_are_short_or_no_version(depth):
    with contextlib.suppress(CaptureError):
        assert len(parse_version(b'{"a":' + b"[" * depth + b"]" * depth + b"}")["a"]) <= MAX_TEXT


def test_a_version_is_short_whatever_the_binary_prints():
    made = parse_version(json.dumps({"gitVersion": "x\n" * 500_000, "k" * 1000: "1"}).encode())
    assert all(len(text) <= MAX_TEXT and text.isprintable() for pair in made.items() for text in pair)
    with pytest.raises(CaptureError):
        parse_version(json.dumps({str(number): "x" for number in range(100_000)}).encode())


def test_the_parsed_form_is_json():
    assert json.loads(json.dumps(parse_version(VERSION))) == PARSED
