# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a zip archive as a forward stream, by its local headers. It may be cut or inside other packed data.

Every byte is read once, so members that overlap (bombs) have no effect. The directory at the end proves that no member
is missing. Source: APPNOTE.TXT 6.3 of PKWARE.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from typing import Callable, Iterator, NamedTuple

from .compressed import DECODERS, Inflate, PackedMember
from .decoders import MAX_MEMORY, Decoder, MissingCodec
from .members import Member
from .streams import CHUNK, Budget, Cut, Damaged, Lookahead, Readable, Section, TooMuch

_LOCAL, _CENTRAL, _END, _DESCRIPTOR = b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\7\x08"
_ZIP64, _ARCHIVE_EXTRA, _SIGNATURE = (b"PK\6\6", b"PK\6\7"), b"PK\6\x08", b"PK\5\5"
_HEADER = struct.Struct("<4sHHHHHLLLHH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_ENCRYPTED, _HAS_END_MARK, _HAS_DESCRIPTOR, _IS_UTF8 = 0x1, 0x2, 0x8, 0x800
_STORED, _LZMA = 0, 14
_UNKNOWN = 0xFFFFFFFF
_EXTRA_ZIP64 = 1
_LONGEST_DESCRIPTOR = 24
# Size of the last record, without its comment.
_END_SIZE = 22
# Compression methods by number. Those without a decoder are named in errors.
_METHODS: dict[int, tuple[str, Callable[[], Decoder] | None]] = {
    _STORED: ("stored", None),
    8: ("deflate", lambda: Inflate(-zlib.MAX_WBITS)),
    12: ("bzip2", DECODERS["bzip2"]),
    _LZMA: ("lzma", None),
    93: ("zstd", DECODERS["zstd"]),
    95: ("xz", DECODERS["xz"]),
    1: ("shrink", None),
    6: ("implode", None),
    9: ("deflate64", None),
    96: ("jpeg", None),
    97: ("wavpack", None),
    98: ("ppmd", None),
    99: ("encrypted", None),
}


class _LocalHeader(NamedTuple):
    """A local header.

    packed, size: -1 if they are stated only after the content.
    """

    name: str
    flags: int
    method: int
    checksum: int
    packed: int
    size: int

    @property
    def is_encrypted(self) -> bool:
        return bool(self.flags & _ENCRYPTED) or self.method == 99

    @property
    def has_descriptor(self) -> bool:
        return bool(self.flags & _HAS_DESCRIPTOR)


def zip_members(stream: Lookahead, budget: Budget) -> Iterator[Member]:
    """Yield every file. Raises Damaged if the archive is damaged, or its directory has another number of files."""
    if stream.peek(4) == _DESCRIPTOR:
        stream.skip(4)  # The marker of a split archive that was not split in the end.
    count = 0
    while stream.peek(4) == _LOCAL:
        budget.member()
        header = _read_header(stream, budget)
        count += 1
        content = _MemberContent(stream, header, budget)
        if not header.name.endswith("/"):
            yield Member(header.name, content, content.problem)
        content.finish()
    _check_directory(stream, count)


class _MemberContent(Readable):
    """Content of one member.

    problem: the reason why it cannot be read, or "".
    """

    def __init__(self, stream: Lookahead, header: _LocalHeader, budget: Budget) -> None:
        self._stream, self._header, self._budget = stream, header, budget
        self._what = f"{header.name} in the zip archive"
        self._section: Section | None = None
        if header.packed >= 0:
            self._section = Section(stream, header.packed, self._what)
        self._checksum = self._size = 0
        self._is_over = False
        self._unpacked: Readable | None = None
        self.problem = ""
        try:
            self._unpacked = self._open()
        except (MissingCodec, Damaged) as error:
            self.problem = str(error)

    def _open(self) -> Readable | None:
        header = self._header
        name, make = _METHODS.get(header.method, (f"method {header.method}", None))
        if header.is_encrypted:
            self.problem = "it is encrypted: unpack the archive with its password"
            return None
        source = Lookahead(self._section) if self._section else self._stream
        if header.method == _STORED:
            return self._section or _StoredContent(self._stream, self._what, self._budget)
        if header.method == _LZMA and (header.packed >= 0 or header.flags & _HAS_END_MARK):
            make = _lzma_decoder(source)
        if make is None:
            self.problem = f"it is compressed with {name}, which is not supported: unpack the archive"
            return None
        return PackedMember(source, make, self._what, self._budget)

    def read(self, size: int) -> bytes:
        """Return at most this many bytes, b"" only at the end. Raises Damaged, also for a wrong size or checksum."""
        if self._unpacked is None or self._is_over:
            return b""
        # Some streams of lzma have no end mark.
        is_all = self._section is not None and self._size == self._header.size
        part = b"" if is_all else self._unpacked.read(size)
        self._checksum = zlib.crc32(part, self._checksum)
        self._size += len(part)
        if not part:
            self._is_over = True
            self._check()
        return part

    def _check(self) -> None:
        checksum, size = self._header.checksum, self._header.size
        if self._section is None:
            checksum, size = _read_descriptor(self._stream, self._size)
        else:
            self._skip_rest(self._section)
            if self._header.has_descriptor and not checksum:
                checksum, size = _read_descriptor(self._stream, self._size)
        if (checksum, size) != (self._checksum, self._size):
            raise Damaged(f"{self._what} is damaged: its checksum or size is wrong")

    def _skip_rest(self, section: Section) -> None:
        if self._stream.skip(section.left) < section.left:
            raise Cut("the zip archive is cut")
        section.left = 0

    def finish(self) -> None:
        """Skip the rest. Raises Damaged if the next member cannot be found."""
        if self._section:
            self._skip_rest(self._section)
            if self._header.has_descriptor:
                _read_descriptor(self._stream)
        elif self._unpacked is None:
            raise Damaged(f"the zip archive does not tell where {self._header.name} ends: no more was read")
        else:
            while self.read(CHUNK):
                pass


class _StoredContent(Readable):
    """Content without compression and without a stated size.

    It ends where a descriptor with its checksum and size follows. Other bytes that look like a descriptor have other
    values.
    """

    def __init__(self, stream: Lookahead, what: str, budget: Budget) -> None:
        self._stream, self._what, self._budget = stream, what, budget
        self._checksum = self._size = 0

    def read(self, size: int) -> bytes:
        """Return at most this many bytes, b"" only at the end. Raises Damaged."""
        head = self._stream.peek(min(size, CHUNK) + _LONGEST_DESCRIPTOR)
        expected = self._expected()
        if head.startswith(expected):
            return b""
        if any(each.startswith(head) for each in expected):
            self._stream.check()
            raise Cut(f"{self._what} is cut: its end is missing")
        if head.startswith(_DESCRIPTOR):
            # Count each signature within the content: each costs time.
            self._budget.member()
        offset = head.find(_DESCRIPTOR, 1)
        if offset < 0:
            # A descriptor may begin in the last bytes.
            offset = max(1, len(head) - len(_DESCRIPTOR) + 1)
        part = self._stream.read(min(offset, size))
        self._checksum = zlib.crc32(part, self._checksum)
        self._size += len(part)
        return part

    def _expected(self) -> tuple[bytes, ...]:
        """Return the descriptors that would end the content here."""
        forms = ("<L2Q",) if self._size > _UNKNOWN else ("<L2L", "<L2Q")
        return tuple(_DESCRIPTOR + struct.pack(form, self._checksum, self._size, self._size) for form in forms)


def _read_header(stream: Lookahead, budget: Budget) -> _LocalHeader:
    data = stream.exactly(_HEADER.size)
    if len(data) < _HEADER.size:
        raise Cut("the zip archive is cut within a header")
    _sign, _version, flags, method, _time, _date, checksum, packed, size, name_size, extra_size = _HEADER.unpack(data)
    raw, extra = stream.exactly(name_size), stream.exactly(extra_size)
    if len(extra) < extra_size or len(raw) < name_size:
        raise Cut("the zip archive is cut within a header")
    for number, value in _extras(extra):
        if number == _EXTRA_ZIP64 and len(value) >= 16 and _UNKNOWN in (packed, size):
            size, packed = struct.unpack_from("<2Q", value)
    if flags & _HAS_DESCRIPTOR and not packed:
        packed = size = -1
    return _LocalHeader(_text(raw, flags, budget), flags, method, checksum, packed, size)


def _text(name: bytes, flags: int, budget: Budget) -> str:
    """Decode a name. Many programs write UTF-8 without the flag; the standard's other encoding takes any bytes."""
    name = name[: budget.limits.name].replace(b"\\", b"/")
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("utf-8", "surrogateescape") if flags & _IS_UTF8 else name.decode("cp437")


def _extras(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        number, size = struct.unpack_from("<2H", data, offset)
        yield number, data[offset + 4 : offset + 4 + size]
        offset += 4 + size


def _read_descriptor(stream: Lookahead, size: int = -1) -> tuple[int, int]:
    """Read the descriptor after content and return checksum and size; -1 for both if there is none.

    size: of the content; -1 for any. A descriptor may have a signature or not, and sizes of 32 or 64 bits. The data
    after it have a signature.
    """
    head = stream.peek(_LONGEST_DESCRIPTOR + 2)
    start = len(_DESCRIPTOR) if head.startswith(_DESCRIPTOR) else 0
    for form in ("<L2L", "<L2Q"):
        end = start + struct.calcsize(form)
        if head[end : end + 2] == b"PK":
            checksum, _packed, stated = struct.unpack_from(form, head, start)
            if size in (-1, stated):
                stream.skip(end)
                return checksum, stated
    stream.check()
    return -1, -1


def _lzma_decoder(source: Lookahead) -> Callable[[], Decoder]:
    """Return the decoder for the following data.

    zip puts a header of its own before them: version, size of properties, properties.
    """
    head = source.exactly(9)
    if len(head) < 9 or head[2:4] != b"\5\0" or head[4] > 224:
        raise Damaged("the zip archive is damaged: the properties of lzma are wrong")
    rest, lc = divmod(head[4], 9)
    pb, lp = divmod(rest, 5)
    options = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": int.from_bytes(head[5:9], "little")}
    if options["dict_size"] > MAX_MEMORY:
        raise TooMuch(f"the zip archive asks for {options['dict_size']} bytes of memory, more than {MAX_MEMORY}")
    return lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options])


def _check_directory(stream: Lookahead, count: int) -> None:
    """Read the directory to the end of the archive. Raises Damaged if it does not list `count` files."""
    listed, sign = 0, stream.peek(4)
    while sign in (_ARCHIVE_EXTRA, _CENTRAL, _SIGNATURE, *_ZIP64) and listed <= count:
        listed += sign == _CENTRAL
        _skip_record(stream, sign)
        sign = stream.peek(4)
    if len(sign) < len(_END):
        stream.check()
        raise Cut("the zip archive is cut: the end of its directory is missing")
    if listed != count:
        raise Damaged(f"the zip archive is incomplete: its directory does not list the {count} files in it")
    if sign != _END:
        raise Damaged("the zip archive is damaged: other data are in place of its directory")
    end = stream.exactly(_END_SIZE)
    if len(end) < _END_SIZE or stream.drain() < int.from_bytes(end[-2:], "little"):
        raise Cut("the zip archive is cut within its last record")


# Other records of the directory: bytes before their size, and its format.
_RECORDS: dict[bytes, tuple[int, str]] = {_ZIP64[0]: (4, "<Q"), _ARCHIVE_EXTRA: (4, "<L"), _SIGNATURE: (4, "<H")}
_LOCATOR_SIZE = 20


def _skip_record(stream: Lookahead, sign: bytes) -> None:
    if sign == _ZIP64[1]:
        left = _LOCATOR_SIZE
    else:
        start, form = _RECORDS.get(sign, (0, _ENTRY.format))
        data = stream.exactly(start + struct.calcsize(form))
        if len(data) < start + struct.calcsize(form):
            raise Cut("the zip archive is cut within its directory")
        fields = struct.unpack(form, data[start:])
        left = sum(fields[10:13]) if sign == _CENTRAL else fields[0]
    if stream.skip(left) < left:
        raise Cut("the zip archive is cut within its directory")
