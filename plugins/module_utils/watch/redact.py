# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a log line may be shown: one printable line without secrets. Pure."""

from __future__ import annotations

import re
from typing import Sequence

from ..redact.redactor import Redactor
from ..text import clean

MAX_SHOWN = 240
# So much of a line is looked through for what is shown of it: a secret that begins in there may go on for long.
LOOKED_THROUGH = 64 << 10
REDACTOR = Redactor()
# Keys, tokens and certificates of a form that no rule knows; identifiers in form of a UUID are shorter.
_LONG_WORD = re.compile(r"[\w+=-]{40,}")


_CUT = " … "


def shown(message: str, length: int = MAX_SHOWN, around: Sequence[str] = ()) -> str:
    """Return a message for people: one printable line of at most this length, without what may be a secret.

    Of a longer message its beginning, the part around the first of the texts `around` that is in it, and its end are
    kept: Go wraps errors, so that the cause stands last.
    """
    text = _LONG_WORD.sub("[redacted:long-word]", REDACTOR.text(message[:LOOKED_THROUGH]))
    return clean(text if len(text) <= length else _shortened(text, length, around), length)


def _shortened(text: str, length: int, around: Sequence[str]) -> str:
    """A text without what is neither at its ends nor around a text that was looked for."""
    places = [(text.find(wanted), len(wanted)) for wanted in around if wanted in text]
    room = length - 2 * len(_CUT)
    if not places:
        head = (length - len(_CUT)) * 2 // 3
        return text[:head] + _CUT + text[head + len(_CUT) - length :]
    place, size = min(places)
    # A quarter for each end; the rest around the text, more of it behind than before.
    head = tail = room // 4
    middle = room - head - tail
    begin = max(0, place - max(0, middle - size) // 3)
    end = min(len(text), begin + middle)
    if begin <= head + len(_CUT):
        cut = length - len(_CUT) - tail
        return text[:cut] + _CUT + text[-tail:]
    if end >= len(text) - tail - len(_CUT):
        return text[:head] + _CUT + text[head + len(_CUT) - length :]
    return _CUT.join((text[:head], text[begin:end], text[-tail:]))
