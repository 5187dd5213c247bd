# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognise text encodings by byte order mark or by zeros."""

from __future__ import annotations

import codecs

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.encodings import (
    encoding_of,
    possible_encoding_of,
)

TEXT = "goroutine 1 [running]:\nmain.main()\n"


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_recognises_encoding_by_its_zeros(name):
    found = encoding_of(TEXT.encode(name))
    assert (found.name, found.mark) == (name, b"")


@pytest.mark.parametrize(
    ("mark", "name"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (b"\x84\x31\x95\x33", "gb18030"),
    ],
)
def test_recognises_byte_order_mark(mark, name):
    assert encoding_of(mark).name == name


@pytest.mark.parametrize("head", [b"", TEXT.encode(), "\u4e2d\u6587".encode(), bytes(100), b"a\0b", bytes(range(256))])
def test_other_content_has_no_encoding(head):
    assert encoding_of(head) is None


def test_text_with_little_ascii_is_only_possible():
    head = ("\u4e2d" * 60 + "a" * 20).encode("utf-16-le")
    assert encoding_of(head) is None
    assert possible_encoding_of(head).name == "utf-16-le"
