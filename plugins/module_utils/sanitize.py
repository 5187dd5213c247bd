# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sanitize untrusted text for display: no control characters, no bidirectional overrides, no table breaks. Pure.

No other module decides what is printable.
"""

from __future__ import annotations

import re

MAX_TEXT = 300
# Characters of a peer's text kept in a message: enough for a server's error, and short in the ledger.
MAX_DETAIL = 500
_MARKUP = re.compile(r"([\\`*_<>|\[\]])")


def printable(text: str) -> str:
    """Return text on one line for which str.isprintable() holds; each other character becomes "?".

    These are control characters, separators other than the space, characters without a width or that change the
    direction of writing, surrogates, and characters of private use.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "?" for each in text)


def escaped(text: str) -> str:
    """Return text on one line with such characters escaped as in Python, so that names stay distinct."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def path_text(path: str) -> str:
    """Return a path, whose bytes need not be UTF-8, as text that can be written."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def clean(text: str, length: int = MAX_TEXT) -> str:
    """Return one printable line of at most this length."""
    line = printable(text[: length + 1])
    return line if len(line) <= length else line[: length - 1] + "…"


def shortened(text: str, length: int = MAX_DETAIL, more: int = 0) -> str:
    """Return one printable line: of longer text its beginning, the number of characters left out, and its end.

    more: characters that the caller has left out of the middle already.
    """
    if len(text) <= length and not more:
        return printable(" ".join(text.split()))
    kept = min(length, len(text))
    head, tail = text[: kept // 2], text[len(text) - (kept - kept // 2) :]
    parts = (printable(" ".join(part.split())) for part in (head, tail))
    return f"… ({len(text) - kept + more} more characters) …".join(parts)


def inline(text: str) -> str:
    """Return text that stays on its line and in its table cell, and starts no markup."""
    return _MARKUP.sub(r"\\\1", printable(text))
