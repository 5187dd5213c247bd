# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read zip archives, also streamed and damaged ones."""

from __future__ import annotations

import zipfile

import pytest
from packing import TEXT, read, zipped, zipped_to_pipe


def test_reports_member_with_wrong_checksum(send):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        packed = bytearray(zipped({"a": TEXT, "b": TEXT}, method))
        packed[14] ^= 1
        first, second = read(send(bytes(packed)))
        assert (first[:2], "a in the zip archive is damaged" in first[2]) == (("a", TEXT), True)
        assert second == ("b", TEXT, "")


def test_reports_directory_with_other_members(send):
    one, two = zipped({"a": TEXT}), zipped({"a": TEXT, "b": TEXT})
    local = one[: one.index(b"PK\1\2")]
    found = read(send(local + two))
    assert [place for place, _content, _problem in found] == ["a", "a", "b", ""]
    assert "does not list the 3 files" in found[-1][2]


@pytest.mark.parametrize("has_sign", [True, False])
def test_reads_descriptor_without_signature(send, has_sign):
    data = zipped_to_pipe({"a": TEXT, "b": b""})
    found = read(send(data if has_sign else data.replace(b"PK\7\x08", b"")))
    assert [(place, content) for place, content, _problem in found[:2]] == [("a", TEXT), ("b", b"")]


def test_reads_stored_content_with_zip_signatures(send):
    tricky = b"x" + b"PK\7\x08" * 50 + zipped({"x": b"y"}) + b"PK\1\2PK\3\4"
    assert read(send(zipped_to_pipe({"a": tricky, "b": TEXT}, zipfile.ZIP_STORED))) == [
        ("a", tricky, ""), ("b", TEXT, ""),
    ]  # fmt: skip
