# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognise archives and compressed files by their first bytes."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.containers import detect, is_tar_header
from packing import ARCHIVES, COMPRESSIONS, TEXT, tar


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_recognises_compression(name):
    form = detect(COMPRESSIONS[name](TEXT)[:4096])
    assert form is not None
    assert form.kind == "compressed"


@pytest.mark.parametrize("name", ARCHIVES)
def test_recognises_archive(name):
    assert detect(ARCHIVES[name]({"a": TEXT})[:4096]) is not None


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"Rar!\x1a\x07\0", "RAR"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"070701" + b"0" * 48, "cpio"),
        (b"\xc7\x71", "cpio"),
    ],
)
def test_names_unsupported_format(head, name):
    form = detect(head)
    assert (form.name, form.kind) == (name, "unreadable")


@pytest.mark.parametrize("head", [b"", b"text", b"PK", b"BZh9text", b"\x78\x9cno zlib", b"070701 text" + b" " * 60])
def test_other_content_is_not_packed(head):
    assert detect(head) is None


def test_checks_sum_of_tar_header():
    header = tar({"a": TEXT})[:512]
    assert is_tar_header(header)
    assert not is_tar_header(b"b" + header[1:])
    assert not is_tar_header(header[:511])
    assert not is_tar_header(bytes(512))
