# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gzip streams and profiles, rewritten."""

from __future__ import annotations

import gzip
import zlib

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.binary_formats import (
    decompress,
    is_complete,
    mask_outside,
    mask_unprintable,
    profile_strings,
    recompress,
    recompress_patched,
    replace_profile_strings,
)

# A number, then two strings.
PROFILE = b"\x50\x96\x01" + b"\x32\x03abc" + b"\x32\x00"


def content_of(data: bytes) -> bytes:
    return b"".join(decompress(data))


def test_decompresses_all_members_up_to_the_damage():
    assert content_of(gzip.compress(b"one") + gzip.compress(b"two")) == b"onetwo"
    assert content_of(gzip.compress(b"one") + b"\x1f\x8bxx") == b"one"
    assert content_of(b"plain") == b""


def test_patches_a_stream_in_place():
    data = gzip.compress(b"0123456789")
    assert gzip.decompress(recompress_patched(data, [(2, b"xx"), (8, b"yy")])) == b"01xx4567yy"


@pytest.mark.parametrize(
    "rewrite", [lambda data: recompress_patched(data, []), lambda data: recompress(b"x" * 100, data)]
)
def test_rewritten_stream_is_truncated_if_the_original_was(rewrite):
    data = gzip.compress(b"x" * 100)
    assert is_complete(rewrite(data))
    made = rewrite(data[:-8])
    assert not is_complete(made)
    assert zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(made) == b"x" * 100


def test_masks_keep_offsets():
    assert mask_unprintable(b"ab\x01\xffc\0") == b"ab\n\nc\0"
    assert mask_outside(b"0123456789", [(2, 4), (8, 9)]) == b"\n\n23\n\n\n\n8\n"


def test_replaces_the_strings_of_a_profile():
    assert [PROFILE[start:end] for start, end in profile_strings(PROFILE) or ()] == [b"abc", b""]
    made = replace_profile_strings(PROFILE, [b"longer than before" * 10, b"x"])
    places = profile_strings(made)
    assert places is not None
    assert [made[start:end] for start, end in places] == [b"longer than before" * 10, b"x"]
    assert made.startswith(PROFILE[:3])


@pytest.mark.parametrize("content", [b"", b"\x32\x05abc", b"\x07", b"\x80" * 20, b"\x50\x01"])
def test_other_content_is_not_a_profile(content):
    assert profile_strings(content) is None
