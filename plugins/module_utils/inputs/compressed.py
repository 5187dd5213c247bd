# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompress gzip, zlib, bzip2, xz, lzma and zstd as streams: all members, within limits, up to any damage."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import zlib
from typing import Callable

from .containers import Form
from .decoders import MAX_MEMORY, Decoder
from .streams import CHUNK, Budget, Cut, Damaged, Lookahead, Readable
from .zstd import zstd_decoder

# Limit of bytes that are unpacked in one step.
_PIECE = 1 << 20
# Errors of the decoders: bz2 raises OSError and ValueError, zlib and lzma have exceptions of their own.
_ERRORS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


class Inflate:
    """zlib's decompressor with the interface of those of bz2 and lzma.

    bits: the form, see zlib.decompressobj().
    """

    def __init__(self, bits: int) -> None:
        self._stream = zlib.decompressobj(bits)
        self._tail = b""
        self._is_full = False

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return not self._tail and not self._is_full

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return at most max_length bytes of the content. Raises zlib.error."""
        made = self._stream.decompress(self._tail + data, max_length)
        self._tail = self._stream.unconsumed_tail
        self._is_full = len(made) == max_length
        return made

    def copy(self) -> tuple[Inflate, bytes]:
        """Return a copy that continues from here, and the input that it needs first."""
        other = Inflate.__new__(Inflate)
        other._stream, other._tail, other._is_full = self._stream.copy(), b"", self._is_full
        return other, self._tail


# Decoders of one member, by the names of forms.
DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: Inflate(zlib.MAX_WBITS | 16),
    "zlib": lambda: Inflate(zlib.MAX_WBITS),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=MAX_MEMORY),
    "zstd": zstd_decoder,
}


class PackedMember(Readable):
    """Content of one compressed member of a stream that continues after it. read() raises Damaged.

    make: creates its decoder. what: its name in messages.
    """

    def __init__(self, raw: Lookahead, make: Callable[[], Decoder], what: str, budget: Budget) -> None:
        self._raw, self._make, self._what, self._budget = raw, make, what, budget
        self._decoder = make()
        self._is_first = True
        self._damage: Damaged | None = None
        self.is_over = False

    def read(self, size: int) -> bytes:
        """Return at most this many bytes, b"" only at the end of the member."""
        if self._damage:
            raise self._damage
        made = b""
        while not made and not self.is_over:
            made = self._step(min(size, _PIECE))
        self._budget.spend(len(made))
        return made

    def _step(self, size: int) -> bytes:
        data = self._raw.read(CHUNK) if self._decoder.needs_input else b""
        if not data and self._decoder.needs_input:
            raise Cut(f"{self._what} is cut: its end is missing")
        before, again = self._before(data)
        try:
            made: bytes = self._decoder.decompress(data, size)
        except _ERRORS as error:
            self._damage = Damaged(f"{self._what} is damaged ({error})")
            made = _salvaged(before, again, size) if before else b""
            if not made:
                raise self._damage from error
            return made
        self._is_first = False
        if self._decoder.eof:
            self._raw.unread(self._decoder.unused_data)
            self.is_over = True
        return made

    def _before(self, data: bytes) -> tuple[Decoder | None, bytes]:
        """Return a copy of the decoder and its input, to read again up to a damage.

        An error of a decoder discards the output before the damage.
        """
        if isinstance(self._decoder, Inflate):
            decoder, tail = self._decoder.copy()
            return decoder, tail + data
        return (self._make() if self._is_first and data else None), data


def _salvaged(decoder: Decoder, data: bytes, size: int) -> bytes:
    """Return at most `size` bytes of the content before the damage."""
    made = b""
    with contextlib.suppress(*_ERRORS):
        for offset in range(len(data)):
            made += decoder.decompress(data[offset : offset + 1], size)
            if len(made) >= size:
                break
    return made[:size]


class Decompressed(Readable):
    """Content of all members of a compressed stream.

    read() raises Damaged if the stream is cut or other data follows. Zeros after the last member are padding, as tapes
    and tar need it.
    """

    def __init__(self, raw: Lookahead, form: Form, budget: Budget) -> None:
        self._raw, self._form, self._budget = raw, form, budget
        self._what = f"the {form.name} stream"
        self._member: PackedMember | None = self._next()

    def _next(self) -> PackedMember:
        return PackedMember(self._raw, DECODERS[self._form.name], self._what, self._budget)

    def read(self, size: int) -> bytes:
        """Return at most this many bytes, b"" only at the end of all members."""
        while self._member:
            made = self._member.read(size)
            if made:
                return made
            self._member = None
            if self._has_more():
                self._budget.member()
                self._member = self._next()
        return b""

    def _has_more(self) -> bool:
        while True:
            head = self._raw.peek(CHUNK)
            rest = head.lstrip(b"\0")
            self._raw.skip(len(head) - len(rest))
            if rest and self._form.matches(rest):
                return True
            if rest:
                count = self._raw.drain()
                raise Damaged(f"{count} bytes come after the end of {self._what}")
            if not head:
                # Raises the damage of the stream below, if there is one.
                return bool(self._raw.read(1))
