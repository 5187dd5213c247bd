# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The encodings of texts, told by their byte order mark, or by their zeros. Pure."""

from __future__ import annotations

import codecs
from typing import NamedTuple

UTF_8_MARK = codecs.BOM_UTF8
# What a text may hold besides printable characters: tabs, ends of lines, and colours.
_ALLOWED = frozenset("\t\r\n\x1b\ufeff")
# Units that have to be there before a text without a mark is told by its zeros, their share of ASCII, and how many
# may be control characters.
_LEAST_UNITS, _SURE, _DOUBTFUL, _MOST_CONTROL = 8, 0.5, 0.1, 0.05


class Encoding(NamedTuple):
    """name: for people, and Python's codec of that name. mark: what a text begins with; b"" where it has none.

    unit: bytes of the shortest character.
    """

    name: str
    mark: bytes
    unit: int


# Longer marks first: that of UTF-32 begins with that of UTF-16.
MARKED = (
    Encoding("utf-32-le", codecs.BOM_UTF32_LE, 4),
    Encoding("utf-32-be", codecs.BOM_UTF32_BE, 4),
    Encoding("utf-16-le", codecs.BOM_UTF16_LE, 2),
    Encoding("utf-16-be", codecs.BOM_UTF16_BE, 2),
    Encoding("utf-8", UTF_8_MARK, 1),
    Encoding("gb18030", b"\x84\x31\x95\x33", 1),
)


def encoding_of(head: bytes) -> Encoding | None:
    """The encoding of a text that begins so, where it is sure and is not plain UTF-8; else None.

    Sure is a mark; or that half of all characters are ASCII as UTF-16 or UTF-32 write it, with zeros, and that hardly
    any is a control character.
    """
    return next((each for each in MARKED if head.startswith(each.mark)), None) or _by_zeros(head, _SURE)


def possible_encoding_of(head: bytes) -> Encoding | None:
    """The same, also where it is not sure: a tenth of all characters are ASCII."""
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
