# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Convert text in UTF-16 and similar encodings to UTF-8 for redaction, and back. Pure."""

from __future__ import annotations

import codecs
from typing import Callable, Iterable, Iterator

from ..inputs.encodings import Encoding, possible_encoding_of

_HEAD = 4096


def transform_text(data: bytes, change: Callable[[bytes], bytes]) -> bytes | None:
    """Apply a change of UTF-8 text to data in another encoding. None: the data is UTF-8, or not text.

    Returns the same object if nothing changes. UnicodeError: the data does not have the encoding that its mark states.
    """
    encoding = _encoding(data)
    if encoding is None:
        return None
    # The last character may be truncated; lone surrogates of UTF-16 are kept.
    end = len(data) - len(data) % encoding.unit
    errors = "surrogatepass" if encoding.unit > 1 else "strict"
    text = data[:end].decode(encoding.name, errors).encode("utf-8", "surrogatepass")
    made = change(text)
    if made == text:
        return data
    return made.decode("utf-8", "surrogatepass").encode(encoding.name, errors) + data[end:]


def iter_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces. Of text in another encoding, also yield each piece as UTF-8, with bad characters replaced."""
    decoder = None
    for number, piece in enumerate(pieces):
        encoding = None if number else _encoding(piece)
        if encoding:
            decoder = codecs.getincrementaldecoder(encoding.name)("replace")
        if decoder:
            yield decoder.decode(piece).encode("utf-8")
        yield piece


def is_other_encoding(head: bytes) -> bool:
    """Return whether data with this beginning is text in another encoding than UTF-8."""
    return _encoding(head) is not None


def _encoding(data: bytes) -> Encoding | None:
    encoding = possible_encoding_of(data[:_HEAD])
    return encoding if encoding and encoding.name != "utf-8" else None
