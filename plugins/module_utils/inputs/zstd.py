# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""zstd by an installed library: Python's own (3.14), backports.zstd or zstandard."""

from __future__ import annotations

from typing import Any

from .decoders import MAX_MEMORY, Decoder, MissingCodec

# Feed small pieces: zstd may unpack 4 bytes to 128 KiB (a block of one repeated byte, RFC 8878).
_PIECE = 256


class _Translated:
    """A decoder that raises ValueError instead of its library's own error."""

    def __init__(self, decoder: Decoder, error: type[Exception]) -> None:
        self._decoder, self._error = decoder, error

    @property
    def eof(self) -> bool:
        return bool(self._decoder.eof)

    @property
    def needs_input(self) -> bool:
        return bool(self._decoder.needs_input)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._decoder.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return at most max_length bytes of the content. Raises ValueError."""
        try:
            return bytes(self._decoder.decompress(data, max_length))
        except self._error as error:
            raise ValueError(str(error)) from error


class _Zstandard:
    """The decompressor of the library zstandard with the interface of those of bz2 and lzma."""

    def __init__(self, library: Any) -> None:
        self._stream = library.ZstdDecompressor(max_window_size=MAX_MEMORY).decompressobj()
        self._input = self._made = b""

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof) and not self._made

    @property
    def needs_input(self) -> bool:
        return not self._input and not self._made

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data) + self._input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        self._input += data
        while self._input and not self._made and not self._stream.eof:
            piece, self._input = self._input[:_PIECE], self._input[_PIECE:]
            self._made = self._stream.decompress(piece)
        made, self._made = self._made[:max_length], self._made[max_length:]
        return made


def zstd_decoder() -> Decoder:
    """Return a decoder of one frame, by the library that this Python has. Raises MissingCodec."""
    library = _library()
    decoder = _Zstandard(library) if hasattr(library.ZstdDecompressor, "decompressobj") else library.ZstdDecompressor()
    return _Translated(decoder, library.ZstdError)


def _library() -> Any:
    try:
        from compression import zstd

        return zstd
    except ImportError:
        pass
    try:
        from backports import zstd

        return zstd
    except ImportError:
        pass
    try:
        import zstandard

        return zstandard
    except ImportError:
        raise MissingCodec(
            "it is compressed with zstd, for which this Python has no module: unpack it (zstd -d) or install the "
            "Python library zstandard"
        ) from None
