# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forward-only streams of untrusted bytes, and the limits for everything packed in one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from ..text import size as size_text

CHUNK = 64 << 10


class Damaged(ValueError):
    """A stream ends early, is damaged, or goes over a limit; the message has the details.

    The bytes read before are the beginning of the content. After a wrong checksum that is not certain.
    """


class Cut(Damaged):
    """A stream ends early."""


class TooMuch(Damaged):
    """A stream goes over a limit."""


class Readable:
    """A stream that is read forward."""

    def read(self, size: int) -> bytes:
        """Return at most this many bytes, b"" only at the end. Raises Damaged."""
        raise NotImplementedError


@dataclass(frozen=True)
class InputLimits:
    """Limits for one file that a user names.

    depth: nesting of archives and compressions. members: entries of all archives in it.
    free, ratio: all layers together may unpack to `free` bytes plus `ratio` times the size of the file.
    name: bytes of a member's name. header: bytes of one extended header.
    """

    depth: int = 6
    members: int = 50_000
    free: int = 1 << 30
    ratio: int = 100
    name: int = 4096
    header: int = 1 << 20


class Budget:
    """Remaining bytes and entries that one file may unpack to.

    size: of the file, in bytes.
    """

    def __init__(self, limits: InputLimits, size: int) -> None:
        self.limits = limits
        self._bytes = self._most = limits.free + limits.ratio * size
        self._members = limits.members

    def spend(self, count: int) -> None:
        """Count unpacked bytes. Raises TooMuch above the limit."""
        self._bytes -= count
        if self._bytes < 0:
            raise TooMuch(f"it unpacks to more than {size_text(self._most)}, and no more was read")

    def member(self) -> None:
        """Count an entry of an archive. Raises TooMuch above the limit."""
        self._members -= 1
        if self._members < 0:
            raise TooMuch(f"it holds more than {self.limits.members} entries, and no more were read")


class Lookahead(Readable):
    """A stream with lookahead and unread(). Once damaged, it stays damaged."""

    def __init__(self, raw: Readable) -> None:
        self._raw = raw
        self._kept = b""
        self._damage: Damaged | None = None

    def read(self, size: int) -> bytes:
        """Return at most this many bytes, b"" only at the end. Raises Damaged."""
        # Some decoders take size 0 for no limit.
        if self._kept or not size:
            part, self._kept = self._kept[:size], self._kept[size:]
            return part
        if self._damage is None:
            try:
                return self._raw.read(size)
            except Damaged as error:
                self._damage = error
        raise self._damage

    def peek(self, size: int) -> bytes:
        """Return the next bytes, fewer only at the end, and leave them in the stream."""
        try:
            while len(self._kept) < size and self._damage is None:
                part = self._raw.read(size - len(self._kept))
                if not part:
                    break
                self._kept += part
        except Damaged as error:
            self._damage = error
        return self._kept[:size]

    def check(self) -> None:
        """Raise the damage that peek() has met."""
        if self._damage:
            raise self._damage

    def unread(self, data: bytes) -> None:
        """Give back the bytes that were read last."""
        self._kept = data + self._kept

    def exactly(self, size: int) -> bytes:
        """Return this many bytes, fewer only at the end. Raises Damaged."""
        made = self.read(size)
        while len(made) < size:
            part = self.read(size - len(made))
            if not part:
                break
            made += part
        return made

    def skip(self, size: int) -> int:
        """Skip this many bytes and return how many there were. Raises Damaged."""
        left = size
        while left:
            part = self.read(min(left, CHUNK))
            if not part:
                break
            left -= len(part)
        return size - left

    def drain(self) -> int:
        """Read to the end and return the number of bytes. Raises Damaged."""
        count = 0
        while True:
            part = self.read(CHUNK)
            if not part:
                return count
            count += len(part)


class FileStream(Lookahead):
    """A file with lookahead that copies no data."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(_RawFile(file))
        self._file = file

    def peek(self, size: int) -> bytes:
        """Return the next bytes, and leave them in the file."""
        if self._kept or self._damage:
            return super().peek(size)
        try:
            offset = self._file.tell()
            head = self._file.read(size)
            self._file.seek(offset)
        except OSError as error:
            self._damage = _unreadable(error)
            return b""
        return head


class _RawFile(Readable):
    """A file whose errors are Damaged."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise _unreadable(error) from error


def _unreadable(error: OSError) -> Damaged:
    return Damaged(f"cannot be read: {error.strerror}")


class Section(Readable):
    """The next `size` bytes of a stream.

    what: its name in messages.
    """

    def __init__(self, raw: Readable, size: int, what: str) -> None:
        self._raw = raw
        self._what = what
        self._size = self.left = size

    def read(self, size: int) -> bytes:
        """Return at most this many bytes of the section. Raises Damaged if the stream ends before it."""
        if not self.left:
            return b""
        part = self._raw.read(min(size, self.left))
        if not part:
            raise Cut(f"{self._what} is cut: {self.left} of its {self._size} bytes are missing")
        self.left -= len(part)
        return part
