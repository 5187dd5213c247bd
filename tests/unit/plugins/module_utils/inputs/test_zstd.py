# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""zstd with and without a library for it."""

from __future__ import annotations

import sys
import types
import zlib

import pytest
from packing import LONG, TEXT, read, tar, zipped


class Library(types.ModuleType):
    """A stand-in zstd library: its frames are zlib data after zstd's magic number."""

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
    """The interface of the library zstandard."""

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


def test_names_missing_library(send, monkeypatch):
    with_library(monkeypatch)
    for data in (frame(TEXT), tar({"a": frame(TEXT)}), zipped({"a": frame(TEXT)})):
        problems = [problem for _place, _content, problem in read(send(data))]
        assert ["zstd, for which this Python has no module" in problem for problem in problems] == [True]


@pytest.mark.parametrize("library", ["zstandard", "compression"])
def test_decompresses_with_each_library(send, monkeypatch, library):
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
