# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sanitize untrusted text for display, and format numbers and sentences for people. Pure.

Sanitized text has no control characters, no bidirectional overrides and no table breaks. No other module sanitizes.
"""

from __future__ import annotations

import difflib
import re
from typing import Iterable, Sequence

MAX_TEXT = 300
# Characters of a peer's text kept in a message: enough for a server's error, and short in the ledger.
MAX_DETAIL = 500
# Control characters, line and paragraph separators, characters without a width, characters that change the direction of
# writing, and surrogates. Nothing else decides what is printable.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
# Similarity of two names that counts, from 0 to 1: identity and identiy have 0.93, identiy and notify 0.62.
_LIKE = 0.7
_MARKUP = re.compile(r"([\\`*_<>|\[\]])")


def printable(text: str) -> str:
    """Return text on one line without control or invisible characters; each becomes "?"."""
    return _CONTROL.sub("?", text)


def escaped(text: str) -> str:
    """Return text on one line with such characters escaped as in Python, so that names stay distinct."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def path_text(path: str) -> str:
    """Return a path, whose bytes need not be UTF-8, as text that can be written."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_path(value: object) -> bool:
    """Return whether an option that takes a path or content (YAML, JSON) is a path. Content may be secret."""
    return isinstance(value, str) and "\n" not in value and not value.lstrip().startswith(("{", "apiVersion:"))


def clean(text: str, length: int = MAX_TEXT) -> str:
    """Return one printable line of at most this length."""
    line = printable(text[: length + 1])
    return line if len(line) <= length else line[: length - 1] + "…"


def elided(text: str, length: int) -> str:
    """Return text of at most this length: the beginning and the end, where errors name the cause."""
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"


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


def columns(cells: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of text in columns. All rows have the same number of cells."""
    widths = [max(len(line[index]) for line in cells) for index in range(len(cells[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]


def duration(seconds: float) -> str:
    """Format a duration for people: "850 ms", "60 s", "12 min", "95 h", "12 d"."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit, until in ((1, "s", 120), (60, "min", 120 * 60), (3600, "h", 120 * 3600)):
        if seconds < until:
            return f"{seconds / size:.2g} {unit}" if seconds / size < 9.95 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def size(count: int) -> str:
    """Format a number of bytes for people: "512 bytes", "4 KiB", "64 MiB", "1.5 GiB"."""
    if count < 1024:
        return counted(count, "byte")
    units = ("KiB", "MiB", "GiB", "TiB")
    power = min((count.bit_length() - 1) // 10, len(units))
    value = count / (1 << 10 * power)
    return f"{value:.3g} {units[power - 1]}" if value < 100 else f"{value:.0f} {units[power - 1]}"


def counted(count: int, what: str) -> str:
    """Return a number and the noun it counts: "1 dump", "2 dumps"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three known names that resemble this one or begin with it. Case does not matter."""
    by_lower = {each.lower(): each for each in known}
    wanted = name.lower()
    like = difflib.get_close_matches(wanted, by_lower, n=3, cutoff=_LIKE)
    like += [each for each in by_lower if each not in like and len(wanted) > 2 and each.startswith(wanted)]
    return [by_lower[each] for each in like[:3]]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: "; did you mean region?", or "." without a similar name."""
    found = nearest(name, known)
    return f"; did you mean {' or '.join(found)}?" if found else "."
