# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognise formats by the first bytes of content."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.signatures import is_profile, signature_of
from packing import LONG, TEXT

from workspace import ROOT


@pytest.mark.parametrize("name", ["goroutineleak.pb.gz", "two-gzip-members.pb.gz"])
def test_recognises_profile_with_any_order_of_fields(name):
    data = gzip.decompress((ROOT / "tests/unit/fixtures/people-packed" / name).read_bytes())
    assert is_profile(data[:4096])
    assert is_profile(data[:100])


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"\n\n\n\n\n\n", b"\n text\n", b"\n\n\n goroutine 1 [running]:\n", bytes(100), b"\n" * 4096,
     LONG[:4096], b'{"a": 1}', b"\x12\x34"],
)  # fmt: skip
def test_text_is_no_profile(data):
    assert not is_profile(data)


def test_accepts_any_bytes():
    for data in (b"", bytes(4096), bytes(range(256)) * 16, os.urandom(4096), bz2.compress(TEXT), lzma.compress(TEXT)):
        signature = signature_of(data)
        assert signature is None or signature.text
