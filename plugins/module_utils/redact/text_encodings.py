# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts in UTF-16 and the like: made UTF-8 to be looked through, and encoded again as they were. Pure."""

from __future__ import annotations

import codecs
from typing import Callable, Iterable, Iterator

from ..inputs.encodings import Encoding, possible_encoding_of

_HEAD = 4096


def changed(data: bytes, change: Callable[[bytes], bytes]) -> bytes | None:
    """The data after a change of its text in UTF-8, in its own encoding; None where that is UTF-8, or it is no text.

    The very same object where nothing changes. UnicodeError where it is not what its mark says.
    """
    encoding = _encoding(data)
    if encoding is None:
        return None
    # A character may be cut at the end, and halves of characters of UTF-16 are kept as they are.
    end = len(data) - len(data) % encoding.unit
    errors = "surrogatepass" if encoding.unit > 1 else "strict"
    text = data[:end].decode(encoding.name, errors).encode("utf-8", "surrogatepass")
    made = change(text)
    if made == text:
        return data
    return made.decode("utf-8", "surrogatepass").encode(encoding.name, errors) + data[end:]


def as_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces as they are; of a text in another encoding each in UTF-8, too, what is no character replaced."""
    decoder = None
    for number, piece in enumerate(pieces):
        encoding = None if number else _encoding(piece)
        if encoding:
            decoder = codecs.getincrementaldecoder(encoding.name)("replace")
        if decoder:
            yield decoder.decode(piece).encode("utf-8")
        yield piece


def is_encoded(head: bytes) -> bool:
    """Whether what begins so is a text in another encoding than UTF-8."""
    return _encoding(head) is not None


def _encoding(data: bytes) -> Encoding | None:
    encoding = possible_encoding_of(data[:_HEAD])
    return encoding if encoding and encoding.name != "utf-8" else None
