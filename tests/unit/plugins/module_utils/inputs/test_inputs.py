# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open files and folders that are packed in any way."""

from __future__ import annotations

import gzip

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.containers import detect
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.encodings import encoding_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.inputs import (
    archive_members,
    is_archive,
    layers_of,
)
from packing import ARCHIVES, COMPRESSIONS, ENCODINGS, INNER, LONG, TEXT, read, tar

FILES = {"a/long.txt": LONG, "b": TEXT, "c/empty": b"", "../d": b"x"}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("compression", ["none", *COMPRESSIONS])
def test_reads_every_encoding_and_compression(send, encoding, compression):
    path = send(COMPRESSIONS.get(compression, bytes)(ENCODINGS[encoding](TEXT)))
    assert read(path) == [("", TEXT, "")]
    assert is_archive(path) is False


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_reads_long_content_in_every_encoding(send, encoding):
    assert read(send(gzip.compress(ENCODINGS[encoding](LONG), 1))) == [("", LONG, "")]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_reads_long_content_in_every_compression(send, compression):
    assert read(send(COMPRESSIONS[compression](LONG))) == [("", LONG, "")]


@pytest.mark.parametrize("archive", ARCHIVES)
def test_reads_every_file_of_every_archive(send, archive):
    path = send(ARCHIVES[archive](FILES))
    assert read(path) == [(INNER.get(archive, "") + name, data, "") for name, data in FILES.items()]
    assert is_archive(path) is True
    # Unread content is skipped.
    assert [content for _place, content, _problem in read(path, 10)] == [data[:10] for data in FILES.values()]


@pytest.mark.parametrize("archive", [name for name in ARCHIVES if name not in INNER and name != "gzip in a tar"])
def test_archive_members_are_not_unpacked(send, archive):
    files = {"a": gzip.compress(TEXT), "b": TEXT.decode().encode("utf-16")}
    found = {name: content.read(1 << 30) for name, content in archive_members(send(ARCHIVES[archive](files)))}
    assert found == files


def test_returns_layers(send):
    assert layers_of(send(tar(FILES, "w:gz"))) == ("gzip", "tar")
    assert layers_of(send(gzip.compress(gzip.compress(b"x")))) == ("gzip", "gzip")
    assert layers_of(send(b"x")) == layers_of("/nowhere") == ()
    with pytest.raises(ValueError, match="no archive, only compressed with gzip"):
        list(archive_members(send(gzip.compress(b"x"))))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", b"plain text\n" * 50, b"\0" * 64, b"a\0b\0" * 2, bytes(range(256)) * 4, b"\x78^x is a text\n" * 9,
        b"BZh is a text", b"]\0\0 is a text", "\u4e2d\u6587".encode("utf-16-le") * 30, b"x^2 + y^2\n" * 30,
        b"070701 is a number\n", b"PK is a text", b"a\0" * 40 + b"\1\2\3\4" * 40,
    ],
)  # fmt: skip
def test_plain_content_is_unchanged(send, data):
    assert detect(data) is None
    assert encoding_of(data) is None
    assert read(send(data)) == [("", data, "")]


@pytest.mark.parametrize("archive", ARCHIVES)
def test_reports_every_cut_of_an_archive(send, archive):
    files = {"a": TEXT * 2, "b": LONG[:3000], "c": b"end"}
    packed = ARCHIVES[archive](files)
    # After the first block of zeros a tar has only padding.
    end = -(-len(packed.rstrip(b"\0")) // 512) * 512 + 512 if packed.endswith(bytes(512)) else len(packed)
    by_name = {INNER.get(archive, "") + name: data for name, data in files.items()}
    read_whole = 0
    for length in range(600, end, 41):
        found = read(send(packed[:length]))
        problems = [problem for _place, _content, problem in found if problem]
        whole = [place for place, content, problem in found if not problem and content == by_name.get(place)]
        assert problems, length
        assert all(by_name.get(place, b"").startswith(content) for place, content, _problem in found)
        read_whole += len(whole)
    assert read_whole or archive in ("tar.bz2", "tar.xz", "tar.gz", "tar.gz in a zip", "zip in a tar.gz")


def test_reads_folders_and_links(tmp_path):
    (tmp_path / "f" / "sub").mkdir(parents=True)
    (tmp_path / "f" / "sub" / "x.log").write_bytes(TEXT)
    (tmp_path / "f" / "link.log").symlink_to(tmp_path / "f" / "sub" / "x.log")
    (tmp_path / "f" / "loop").symlink_to(tmp_path / "f")
    folder = str(tmp_path / "f")
    assert [place for place, *_rest in read(folder, patterns=["*.log"])] == ["link.log", "sub/x.log"]
    assert [place for place, *_rest in read(folder, patterns=["*.log"], follow_links=False)] == ["sub/x.log"]
    assert "no file in this folder" in read(folder, patterns=["*.none"])[0][2]
