# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Restore dumps in one line whose newlines are escaped, as loggers and log stores write them.

    msg="panic: x\n\ngoroutine 18 [running]:\nmain.main()\n\t/x.go:1 +0x2\n"    logrus, zap, %q, JSON; also twice
    goroutine 18 [running]:#012main.main()#012#011/x.go:1 +0x2#012               rsyslog
    goroutine 18 [running]:%0Amain.main()%0A%09/x.go:1 +0x2%0A                   a URL
    goroutine 18 [running]:&#10;main.main()                                      HTML, XML
    goroutine 18 [running]:<br>main.main()<br>

The text right after the first line of the dump tells the kind of escape.
"""

from __future__ import annotations

import html
import io
import re
from typing import Callable, Iterator, NamedTuple

from .. import dump_headers
from .source_text import SourceText, changed

_MOST_LEVELS = 6  # a log line within nested records
_C_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-7]{3})|(.))", re.DOTALL)
_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"", b"t": b"\t", b"v": b"\v"}
_PERCENT = re.compile(rb"%([0-9a-fA-F]{2})")
_OCTAL = re.compile(rb"#([0-3][0-7]{2})")
_BREAK = re.compile(rb"<br ?/?>|</?(?:div|p|li|pre|code|span|td|tr)\b[^<>\n]{0,200}>", re.IGNORECASE)
# An unescaped quote before the dump.
_QUOTE = re.compile(rb"""(?<!\\)["']""")


def read_c(text: bytes) -> bytes:
    r"""Replace \n, \t, \u000a, \x0a, \012 and the like by their characters, as C, Go and JSON do."""

    def one(match: re.Match[bytes]) -> bytes:
        short, byte, octal, letter = match.groups()
        if short:
            return chr(int(short, 16)).encode("utf-8", "surrogatepass")
        if byte or octal:
            return bytes([int(byte, 16) if byte else int(octal, 8) & 0xFF])
        return _LETTERS.get(letter, letter)

    found = _C_ESCAPE.sub(one, text)
    return found.decode("utf-8", "replace").encode() if b"\xed" in found else found


def _octal(text: bytes) -> bytes:
    return _OCTAL.sub(lambda match: bytes([int(match.group(1), 8)]), text)


def _percent(text: bytes) -> bytes:
    return _PERCENT.sub(lambda match: bytes([int(match.group(1), 16)]), text)


def _html(text: bytes) -> bytes:
    broken = _BREAK.sub(lambda match: b"\n" if match.group()[:3].lower() == b"<br" else b"", text)
    return html.unescape(broken.decode("utf-8", "replace")).encode("utf-8", "replace")


class _Escape(NamedTuple):
    """One kind of escape.

    newline: pattern of an escaped newline. read: decoder of a text. is_quoted: the text is in quotes.
    """

    newline: re.Pattern[bytes]
    read: Callable[[bytes], bytes]
    is_quoted: bool = False


_ESCAPES = (
    _Escape(re.compile(rb"\\+(?:r\\+)?(?:n|u000[aAdD]|x0[aAdD]|012|015)"), read_c, is_quoted=True),
    _Escape(re.compile(rb"#01[25]"), _octal),
    _Escape(re.compile(rb"(?:%0[dD])?%0[aA]"), _percent),
    _Escape(re.compile(rb"&(?:amp;)*#(?:10|13|x0*[aAdD]);"), _html),
    _Escape(re.compile(rb"<br ?/?>", re.IGNORECASE), _html),
)


def unescape(text: SourceText) -> SourceText | None:
    """Return the text with escaped dumps as lines; None if there are none."""
    if _escape_in(text.data)[1] is None:
        return None
    found = False

    def lines() -> Iterator[tuple[bytes, int]]:
        nonlocal found
        for number, line in enumerate(io.BytesIO(text.data)):
            read = _unescaped(line) if dump_headers.WORD in line else None
            found = found or read is not None
            yield line if read is None else read, number

    after = changed(lines())
    return after.within(text) if found else None


def _unescaped(line: bytes) -> bytes | None:
    """Return the line with an escaped dump in it as lines, or None."""
    was = line
    for _level in range(_MOST_LEVELS):
        anchor, escape = _escape_in(line)
        if anchor is None or escape is None:
            break
        if not escape.is_quoted:
            line = escape.read(line)
        elif line[anchor.end() : anchor.end() + 2].startswith(b"\\\\"):
            line = _one_level_less(line)
        else:
            line = _quoted(line, anchor)
    return None if line == was else line if line.endswith(b"\n") else line + b"\n"


def _escape_in(line: bytes) -> tuple[re.Match[bytes] | None, _Escape | None]:
    for anchor in dump_headers.ANCHOR.finditer(line):
        for escape in _ESCAPES:
            if escape.newline.match(line, anchor.end()):
                return anchor, escape
    return None, None


def _one_level_less(line: bytes) -> bytes:
    r"""Replace \\ by \ and \" by "; other escapes stay for the next level."""
    return re.sub(rb'\\([\\"/])', rb"\1", line)


def _quoted(line: bytes, anchor: re.Match[bytes]) -> bytes:
    """Return the line with the quoted text around the anchor as separate lines."""
    quote = None
    for match in _QUOTE.finditer(line, 0, anchor.start()):
        quote = match
    if quote is None:
        return read_c(line)
    closing = re.compile(rb"(?:\\.|[^\\%s])*" % quote.group(), re.DOTALL).match(line, quote.end())
    stop = len(line) if closing is None else closing.end()
    inside, after = read_c(line[quote.end() : stop]), line[stop:]
    # The newline after the opening quote makes the first quoted line begin a line.
    return line[: quote.end()] + b"\n" + inside + (b"" if inside.endswith(b"\n") else b"\n") + after


def _is_within_line(data: bytes, anchor: re.Match[bytes]) -> bool:
    return anchor.start() > 0 and data[anchor.start() - 1] != 0x0A


def separate(text: SourceText) -> SourceText | None:
    """Move dumps that begin at the end of a message, or after blanks, to lines of their own.

    The lines after the first must belong to the dump and have nothing before them.
    """
    if not any(_is_within_line(text.data, anchor) for anchor in dump_headers.ANCHOR.finditer(text.data)):
        return None
    found = False

    def lines() -> Iterator[tuple[bytes, int]]:
        nonlocal found
        before: tuple[bytes, re.Match[bytes]] | None = None
        for number, line in enumerate(io.BytesIO(text.data)):
            if before is not None:
                whole, anchor = before
                begins = dump_headers.follows(anchor, line)
                found = found or begins
                # Keep the message as a line before the dump.
                head = whole[: anchor.start()].rstrip()
                if begins:
                    if head:
                        yield head + b"\n", number - 1
                    yield whole[anchor.start() :], number - 1
                else:
                    yield whole, number - 1
                before = None
            anchor_here = dump_headers.ANCHOR.search(line) if dump_headers.WORD in line else None
            if anchor_here and anchor_here.start() and not line[anchor_here.end() :].strip():
                before = line, anchor_here
            else:
                yield line, number
        if before is not None:
            yield before[0], number

    after = changed(lines())
    return after.within(text) if found else None
