# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompress streams up to a cut, damage or other data."""

from __future__ import annotations

import gzip

import pytest
from packing import COMPRESSIONS, LONG, TEXT, read


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_reports_every_cut_and_returns_the_beginning(send, compression):
    data = TEXT * 3
    packed = (
        COMPRESSIONS[compression](data).rstrip(b"\0") if "padding" in compression else COMPRESSIONS[compression](data)
    )
    shown = 0
    # zlib has only two magic bytes, so it is recognised when content comes out.
    for length in range(100 if compression == "zlib" else 14, len(packed), 17):
        ((_place, content, problem),) = read(send(packed[:length]))
        # After the end of a member nothing shows that another one is missing.
        assert problem or content in (data, data[: len(data) // 2])
        assert data.startswith(content)
        shown = max(shown, len(content))
    # bzip2 returns nothing of an incomplete block.
    assert shown > len(data) // 3 or compression.startswith("bzip2")


@pytest.mark.parametrize("compression", ["gzip", "gzip of two members", "zlib", "bzip2", "bzip2 of two members", "xz"])
def test_reports_wrong_checksum_and_returns_the_content(send, compression):
    packed = bytearray(COMPRESSIONS[compression](TEXT))
    packed[
        -3 if compression == "zlib" or "bzip2" in compression else -6 if compression.startswith("gzip") else -14
    ] ^= 0x55
    ((_place, content, problem),) = read(send(bytes(packed)))
    assert "damaged" in problem or "is cut" in problem
    assert TEXT.startswith(content)
    if compression in ("gzip", "zlib"):
        assert content == TEXT


def test_wrong_checksum_of_long_content_loses_nothing(send):
    packed = bytearray(gzip.compress(LONG))
    packed[-6] ^= 1
    ((_place, content, problem),) = read(send(bytes(packed)))
    assert (content == LONG, "the gzip stream is damaged" in problem) == (True, True)


def test_damage_in_the_middle_keeps_the_beginning(send):
    packed = bytearray(gzip.compress(LONG))
    middle = len(packed) // 2
    packed[middle : middle + 64] = bytes(64)
    ((_place, content, problem),) = read(send(bytes(packed)))
    assert problem
    assert content[: len(LONG) // 3] == LONG[: len(LONG) // 3]


def test_reports_data_after_the_stream(send):
    ((_place, content, problem),) = read(send(gzip.compress(TEXT) + b"more"))
    assert (content, problem) == (TEXT, "4 bytes come after the end of the gzip stream")
