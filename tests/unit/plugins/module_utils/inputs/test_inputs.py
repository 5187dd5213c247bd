# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents of files that are packed in any way, and what is told of those that are cut or damaged."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import tarfile
import types
import zipfile
import zlib

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.containers import detect
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.encodings import encoding_of
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.inputs import (
    archive_members,
    is_archive,
    layers_of,
    open_inputs,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.inputs.signatures import is_profile, signature_of
from packing import ARCHIVES, COMPRESSIONS, ENCODINGS, INNER, tar, zipped, zipped_to_pipe

from workspace import ROOT

# Larger than every piece that is read at a time, and not the same all over.
LONG = b"".join(b"line %d of a long text\n" % number for number in range(40_000))
TEXT = LONG[:5000] + "\u4e2d\u6587 \U0001f600\n".encode()
FILES = {"a/long.txt": LONG, "b": TEXT, "c/empty": b"", "../d": b"x"}


@pytest.fixture
def send(tmp_path):
    def send(data: bytes) -> str:
        (tmp_path / "sent").write_bytes(data)
        return str(tmp_path / "sent")

    return send


def read(path: str, size: int = 1 << 30, **options) -> list[tuple[str, bytes, str]]:
    """Place, content and problem of each input."""
    found = []
    for one in open_inputs([path], **options):
        if one.problem:
            found.append((one.place, b"", one.problem))
            continue
        content = one.open()
        found.append((one.place, content.read(size), content.problem))
    return found


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("compression", ["none", *COMPRESSIONS])
def test_a_content_is_the_same_in_every_encoding_and_compression(send, encoding, compression):
    path = send(COMPRESSIONS.get(compression, bytes)(ENCODINGS[encoding](TEXT)))
    assert read(path) == [("", TEXT, "")]
    assert is_archive(path) is False


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_long_content_is_the_same_in_every_encoding(send, encoding):
    assert read(send(gzip.compress(ENCODINGS[encoding](LONG), 1))) == [("", LONG, "")]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_long_content_is_the_same_in_every_compression(send, compression):
    assert read(send(COMPRESSIONS[compression](LONG))) == [("", LONG, "")]


@pytest.mark.parametrize("archive", ARCHIVES)
def test_every_file_of_every_archive(send, archive):
    path = send(ARCHIVES[archive](FILES))
    assert read(path) == [(INNER.get(archive, "") + name, data, "") for name, data in FILES.items()]
    assert is_archive(path) is True
    # What is not read to its end is skipped.
    assert [content for _place, content, _problem in read(path, 10)] == [data[:10] for data in FILES.values()]


@pytest.mark.parametrize("archive", [name for name in ARCHIVES if name not in INNER and name != "gzip in a tar"])
def test_members_as_they_are(send, archive):
    files = {"a": gzip.compress(TEXT), "b": TEXT.decode().encode("utf-16")}
    found = {name: content.read(1 << 30) for name, content in archive_members(send(ARCHIVES[archive](files)))}
    assert found == files


def test_layers(send):
    assert layers_of(send(tar(FILES, "w:gz"))) == ("gzip", "tar")
    assert layers_of(send(gzip.compress(gzip.compress(b"x")))) == ("gzip", "gzip")
    assert layers_of(send(b"x")) == layers_of("/nowhere") == ()
    with pytest.raises(ValueError, match="no archive, but packed with gzip"):
        list(archive_members(send(gzip.compress(b"x"))))


@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_marks_of_texts_that_were_joined_are_left_out(send, pieces):
    for mark, encoding in (("\ufeff", "utf-8"), ("\ufeff", "utf-16-le"), ("\ufeff", "utf-32-be")):
        data = (mark + TEXT.decode()).encode(encoding) * pieces
        assert read(send(data)) == [("", TEXT * pieces, "")]


def test_a_mark_that_is_cut_between_two_reads(send):
    mark = b"\xef\xbb\xbf"
    for length in range(1 << 16, (1 << 16) - 6, -1):
        data = mark + b"x" * (length - 3) + mark + b"y" + mark[:2]
        (one,) = open_inputs([send(data)])
        del one
        for found in open_inputs([send(gzip.compress(data))]):
            assert found.open().read(1 << 20) == b"x" * (length - 3) + b"y" + mark[:2]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", b"plain text\n" * 50, b"\0" * 64, b"a\0b\0" * 2, bytes(range(256)) * 4, b"\x78^x is a text\n" * 9,
        b"BZh is a text", b"]\0\0 is a text", "\u4e2d\u6587".encode("utf-16-le") * 30, b"x^2 + y^2\n" * 30,
        b"070701 is a number\n", b"PK is a text", b"a\0" * 40 + b"\1\2\3\4" * 40,
    ],
)  # fmt: skip
def test_what_is_not_packed_and_plain_stays_byte_by_byte(send, data):
    assert detect(data) is None
    assert encoding_of(data) is None
    assert read(send(data)) == [("", data, "")]


# Cut and damaged


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_cut_of_a_compressed_file_is_said_and_what_came_is_read(send, compression):
    data = TEXT * 3
    packed = (
        COMPRESSIONS[compression](data).rstrip(b"\0") if "padding" in compression else COMPRESSIONS[compression](data)
    )
    shown = 0
    # Of zlib's two bytes anything may begin with, so it is told when something comes out.
    for length in range(100 if compression == "zlib" else 14, len(packed), 17):
        ((_place, content, problem),) = read(send(packed[:length]))
        # Where one member ends nothing shows that another is missing.
        assert problem or content in (data, data[: len(data) // 2])
        assert data.startswith(content)
        shown = max(shown, len(content))
    # bzip2 gives nothing of a block that is not whole.
    assert shown > len(data) // 3 or compression.startswith("bzip2")


@pytest.mark.parametrize("archive", ARCHIVES)
def test_every_cut_of_an_archive_is_said_and_what_came_is_read(send, archive):
    files = {"a": TEXT * 2, "b": LONG[:3000], "c": b"end"}
    packed = ARCHIVES[archive](files)
    # What is behind the first block of zeros of a tar is padding.
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


@pytest.mark.parametrize("compression", ["gzip", "gzip of two members", "zlib", "bzip2", "bzip2 of two members", "xz"])
def test_a_wrong_checksum_is_said_and_what_came_is_read(send, compression):
    packed = bytearray(COMPRESSIONS[compression](TEXT))
    packed[
        -3 if compression == "zlib" or "bzip2" in compression else -6 if compression.startswith("gzip") else -14
    ] ^= 0x55
    ((_place, content, problem),) = read(send(bytes(packed)))
    assert "damaged" in problem or "is cut" in problem
    assert TEXT.startswith(content)
    if compression in ("gzip", "zlib"):
        assert content == TEXT


def test_a_wrong_checksum_in_a_zip_is_said_of_its_member(send):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        packed = bytearray(zipped({"a": TEXT, "b": TEXT}, method))
        packed[14] ^= 1
        first, second = read(send(bytes(packed)))
        assert (first[:2], "a in the zip archive is damaged" in first[2]) == (("a", TEXT), True)
        assert second == ("b", TEXT, "")


def test_a_wrong_checksum_of_a_long_content_loses_nothing_of_it(send):
    packed = bytearray(gzip.compress(LONG))
    packed[-6] ^= 1
    ((_place, content, problem),) = read(send(bytes(packed)))
    assert (content == LONG, "the gzip stream is damaged" in problem) == (True, True)


def test_a_damage_in_the_middle(send):
    packed = bytearray(gzip.compress(LONG))
    middle = len(packed) // 2
    packed[middle : middle + 64] = bytes(64)
    ((_place, content, problem),) = read(send(bytes(packed)))
    assert problem
    assert content[: len(LONG) // 3] == LONG[: len(LONG) // 3]


def test_what_follows_a_compressed_stream_is_said(send):
    ((_place, content, problem),) = read(send(gzip.compress(TEXT) + b"more"))
    assert (content, problem) == (TEXT, "4 bytes come after the end of the gzip stream")


def test_a_zip_whose_directory_lists_others_is_said(send):
    one, two = zipped({"a": TEXT}), zipped({"a": TEXT, "b": TEXT})
    local = one[: one.index(b"PK\1\2")]
    found = read(send(local + two))
    assert [place for place, _content, _problem in found] == ["a", "a", "b", ""]
    assert "does not list the 3 files" in found[-1][2]


def test_a_tar_without_its_end_mark_is_said(send):
    data = tar({"a": TEXT}).rstrip(b"\0")
    found = read(send(data + bytes(-len(data) % 512)))
    assert found[0] == ("a", TEXT, "")
    assert "its end mark is missing" in found[1][2]


def test_tars_that_were_joined_are_all_read(send):
    found = read(send(gzip.compress(tar({"a": TEXT})) + gzip.compress(tar({"b": TEXT}))))
    assert found == [("a", TEXT, ""), ("b", TEXT, "")]


def test_names_of_tar_in_every_form(send):
    long = "folder/" * 40 + "name.txt"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert read(send(tar({long: TEXT, "n\u00e9": b"x"}, format=form))) == [(long, TEXT, ""), ("n\u00e9", b"x", "")]
    prefixed = "f" * 90 + "/" + "n" * 90
    assert read(send(tar({prefixed: TEXT}, format=tarfile.USTAR_FORMAT))) == [(prefixed, TEXT, "")]


def test_a_size_beyond_octal_digits(send):
    """GNU writes those of more than 8 GiB in base 256, pax in its header."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo("a")
        member.size = 9 << 30
        archive.addfile(member)
    ((place, content, problem), _archive) = read(send(made.getvalue()[:1024]), 1 << 20)
    assert (place, content, "is cut: 9663675904 of its 9663676416 bytes" in problem) == ("a", bytes(512), True)


def test_a_sparse_file_is_named_and_the_others_are_read(send):
    header = tarfile.TarInfo("a")
    header.size = 512
    header.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "real"}
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(header, io.BytesIO(bytes(512)))
        other = tarfile.TarInfo("b")
        other.size = len(TEXT)
        archive.addfile(other, io.BytesIO(TEXT))
    found = read(send(made.getvalue()))
    assert [(place, "sparse" in problem) for place, _content, problem in found] == [("real", True), ("b", False)]


@pytest.mark.parametrize("has_sign", [True, False])
def test_descriptions_behind_contents_may_lack_a_signature(send, has_sign):
    data = zipped_to_pipe({"a": TEXT, "b": b""})
    found = read(send(data if has_sign else data.replace(b"PK\7\x08", b"")))
    assert [(place, content) for place, content, _problem in found[:2]] == [("a", TEXT), ("b", b"")]


def test_a_stored_content_that_holds_signatures_of_zip(send):
    tricky = b"x" + b"PK\7\x08" * 50 + zipped({"x": b"y"}) + b"PK\1\2PK\3\4"
    assert read(send(zipped_to_pipe({"a": tricky, "b": TEXT}, zipfile.ZIP_STORED))) == [
        ("a", tricky, ""), ("b", TEXT, ""),
    ]  # fmt: skip


def test_folders_and_links(tmp_path):
    (tmp_path / "f" / "sub").mkdir(parents=True)
    (tmp_path / "f" / "sub" / "x.log").write_bytes(TEXT)
    (tmp_path / "f" / "link.log").symlink_to(tmp_path / "f" / "sub" / "x.log")
    (tmp_path / "f" / "loop").symlink_to(tmp_path / "f")
    folder = str(tmp_path / "f")
    assert [place for place, *_rest in read(folder, patterns=["*.log"])] == ["link.log", "sub/x.log"]
    assert [place for place, *_rest in read(folder, patterns=["*.log"], follow_links=False)] == ["sub/x.log"]
    assert "no file in this folder" in read(folder, patterns=["*.none"])[0][2]


# zstd


class Library(types.ModuleType):
    """A library of zstd whose frames are those of zlib behind zstd's magic number."""

    class ZstdError(Exception):
        pass


MAGIC = b"\x28\xb5\x2f\xfd"


class Stream:
    def __init__(self) -> None:
        self.head, self.stream = b"", zlib.decompressobj()

    @property
    def eof(self) -> bool:
        return self.stream.eof

    @property
    def unused_data(self) -> bytes:
        return self.stream.unused_data

    def decompress(self, data: bytes, _max_length: int = 0) -> bytes:
        skipped = data[: max(0, 4 - len(self.head))]
        self.head += skipped
        try:
            return self.stream.decompress(data[len(skipped) :])
        except zlib.error as error:
            raise Library.ZstdError(str(error)) from error


class OfPython(Stream):
    needs_input = True


class Factory:
    """As zstandard has it."""

    def __init__(self, max_window_size: int) -> None:
        assert max_window_size < 1 << 30

    def decompressobj(self) -> Stream:
        return Stream()


def zstandard() -> Library:
    library = Library("zstandard")
    library.ZstdDecompressor = Factory
    return library


def of_python() -> Library:
    library = Library("zstd")
    library.ZstdDecompressor = OfPython
    return library


def with_library(monkeypatch, **modules) -> None:
    for name in ("compression", "backports", "zstandard"):
        monkeypatch.setitem(sys.modules, name, modules.get(name))
    if "compression" in modules:
        monkeypatch.setitem(sys.modules, "compression.zstd", modules["compression"].zstd)


def frame(data: bytes) -> bytes:
    return MAGIC + zlib.compress(data)


def test_zstd_without_a_module_is_named(send, monkeypatch):
    with_library(monkeypatch)
    for data in (frame(TEXT), tar({"a": frame(TEXT)}), zipped({"a": frame(TEXT)})):
        problems = [problem for _place, _content, problem in read(send(data))]
        assert ["zstd, for which this Python has no module" in problem for problem in problems] == [True]


@pytest.mark.parametrize("library", ["zstandard", "compression"])
def test_zstd_with_a_module(send, monkeypatch, library):
    package = types.ModuleType("compression")
    package.zstd = of_python()
    with_library(monkeypatch, **{library: zstandard() if library == "zstandard" else package})
    assert read(send(frame(TEXT))) == [("", TEXT, "")]
    assert read(send(frame(TEXT) + frame(LONG))) == [("", TEXT + LONG, "")]
    assert read(send(frame(tar({"a": TEXT})))) == [("a", TEXT, "")]
    assert "is cut" in read(send(frame(LONG)[:-5]))[0][2]
    damaged = bytearray(frame(TEXT))
    damaged[-1] ^= 1
    assert "damaged" in read(send(bytes(damaged)))[0][2]


# What contents are


@pytest.mark.parametrize("name", ["goroutineleak.pb.gz", "two-gzip-members.pb.gz"])
def test_profiles_are_told_whatever_their_order_of_fields(name):
    data = gzip.decompress((ROOT / "tests/unit/fixtures/people-packed" / name).read_bytes())
    assert is_profile(data[:4096])
    assert is_profile(data[:100])


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"\n\n\n\n\n\n", b"\n text\n", b"\n\n\n goroutine 1 [running]:\n", bytes(100), b"\n" * 4096,
     LONG[:4096], b'{"a": 1}', b"\x12\x34"],
)  # fmt: skip
def test_texts_are_no_profiles(data):
    assert not is_profile(data)


def test_signatures_look_at_any_bytes():
    for data in (b"", bytes(4096), bytes(range(256)) * 16, os.urandom(4096), bz2.compress(TEXT), lzma.compress(TEXT)):
        signature = signature_of(data)
        assert signature is None or signature.text
