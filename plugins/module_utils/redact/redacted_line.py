# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a message of a log as one printable line without secrets. Pure."""

from __future__ import annotations

import re
from typing import Sequence

from ..sanitize import clean
from .redactor import Redactor

MAX_SHOWN = 240
# Characters of a message that are searched for secrets: a secret that begins among the shown ones may be long.
SEARCHED = 64 << 10
# Keys, tokens and certificates of a form that no rule knows. Identifiers in form of a UUID are shorter.
_LONG_WORD = re.compile(r"[\w+=-]{40,}")
_REDACTOR = Redactor()
_CUT = " … "


def redacted_line(message: str, length: int = MAX_SHOWN, around: Sequence[str] = ()) -> str:
    """Return a message as one printable line of at most this length, without what may be a secret.

    Of a longer message three parts are kept: its beginning, the part around the first text of `around` in it, and its
    end. Go wraps errors, so the cause comes last.
    """
    text = _LONG_WORD.sub("[redacted:long-word]", _REDACTOR.text(message[:SEARCHED]))
    return clean(text if len(text) <= length else _shortened(text, length, around), length)


def _shortened(text: str, length: int, around: Sequence[str]) -> str:
    """Return the ends of a text and the part around a text that is looked for."""
    places = [(text.find(wanted), len(wanted)) for wanted in around if wanted in text]
    room = length - 2 * len(_CUT)
    if not places:
        head = (length - len(_CUT)) * 2 // 3
        return text[:head] + _CUT + text[head + len(_CUT) - length :]
    place, size = min(places)
    # A quarter for each end, the rest around the match: more behind it than before.
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
