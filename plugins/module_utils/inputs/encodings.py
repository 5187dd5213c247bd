# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text encodings, recognised by byte order mark or by zeros. Pure."""

from __future__ import annotations

import codecs
from typing import NamedTuple

UTF_8_MARK = codecs.BOM_UTF8
# Characters of text besides printable ones: tabs, line ends, colours.
_ALLOWED = frozenset("\t\r\n\x1b\ufeff")
# Recognition by zeros needs this number of units, this share of ASCII (certain, uncertain), and at most this share of
# control characters.
_LEAST_UNITS, _SURE, _DOUBTFUL, _MOST_CONTROL = 8, 0.5, 0.1, 0.05


class Encoding(NamedTuple):
    """A text encoding.

    name: for people, and of Python's codec. mark: byte order mark, b"" if the text has none. unit: bytes of the
    shortest character.
    """

    name: str
    mark: bytes
    unit: int


# Longer marks first: the mark of UTF-32 begins with that of UTF-16.
MARKED = (
    Encoding("utf-32-le", codecs.BOM_UTF32_LE, 4),
    Encoding("utf-32-be", codecs.BOM_UTF32_BE, 4),
    Encoding("utf-16-le", codecs.BOM_UTF16_LE, 2),
    Encoding("utf-16-be", codecs.BOM_UTF16_BE, 2),
    Encoding("utf-8", UTF_8_MARK, 1),
    Encoding("gb18030", b"\x84\x31\x95\x33", 1),
)


def encoding_of(head: bytes) -> Encoding | None:
    """Return the encoding of a text with this head if it is certain and not plain UTF-8; else None.

    It is certain with a mark. It is also certain if half of all characters are ASCII encoded as UTF-16 or UTF-32, with
    zeros, and hardly any is a control character.
    """
    return next((each for each in MARKED if head.startswith(each.mark)), None) or _by_zeros(head, _SURE)


def possible_encoding_of(head: bytes) -> Encoding | None:
    """Return the encoding even if it is uncertain: a tenth of all characters are ASCII."""
    return encoding_of(head) or _by_zeros(head, _DOUBTFUL)


def _by_zeros(head: bytes, share: float) -> Encoding | None:
    if b"\0" not in head:
        return None
    for encoding in MARKED:
        units = len(head) // encoding.unit
        if encoding.unit == 1 or units < _LEAST_UNITS:
            continue
        decoder = codecs.getincrementaldecoder(encoding.name)("strict")
        try:
            text = decoder.decode(head[: units * encoding.unit])
        except UnicodeDecodeError:
            continue
        ascii_count = sum(" " <= each < "\x7f" for each in text)
        control_count = sum(not each.isprintable() and each not in _ALLOWED for each in text)
        if ascii_count >= share * units and control_count <= _MOST_CONTROL * units:
            return encoding._replace(mark=b"")
    return None
