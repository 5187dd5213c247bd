# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text from hostile places, made fit for people: it steers no terminal, turns no line around, breaks no table. Pure."""

from __future__ import annotations

import difflib
import re
from typing import Iterable, Sequence

MAX_TEXT = 300
# So much of a text that a peer wrote goes into a message: enough for what servers say, and no page of the ledger.
MAX_DETAIL = 500
# Control characters, ends of lines and paragraphs, what changes the direction of writing, and halves of characters.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# How much of two names has to be the same, from 0 to 1: identity and identiy are 0.93, identiy and notify 0.62.
_LIKE = 0.7
_MARKUP = re.compile(r"([\\`*_<>|\[\]])")


def printable(text: str) -> str:
    """Text of one line, in which nothing acts."""
    return _CONTROL.sub("?", text)


def escaped(text: str) -> str:
    """The same, but with what would act written out as in Python: names stay distinct."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def path_text(path: str) -> str:
    """A path as a text that can be written: its bytes need not be UTF-8."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def is_path(value: object) -> bool:
    """Whether an option that takes a path or a content (YAML, JSON) is a path: no secret, as a content may be."""
    return isinstance(value, str) and "\n" not in value and not value.lstrip().startswith(("{", "apiVersion:"))


def clean(text: str, length: int = MAX_TEXT) -> str:
    """One printable line of at most this length: it does not fill a page either."""
    line = printable(text[: length + 1])
    return line if len(line) <= length else line[: length - 1] + "…"


def elided(text: str, length: int) -> str:
    """Return a text of at most this length: of a longer one the beginning and the end, where errors say why."""
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"


def shortened(text: str, length: int = MAX_DETAIL, more: int = 0) -> str:
    """Return one printable line; of a longer text its beginning, how much was left out, and its end.

    more: how many characters the caller has left out of the middle already.
    """
    if len(text) <= length and not more:
        return printable(" ".join(text.split()))
    kept = min(length, len(text))
    head, tail = text[: kept // 2], text[len(text) - (kept - kept // 2) :]
    parts = (printable(" ".join(part.split())) for part in (head, tail))
    return f"… ({len(text) - kept + more} more characters) …".join(parts)


def inline(text: str) -> str:
    """Text that stays on its line and in its table cell, and starts no markup."""
    return _MARKUP.sub(r"\\\1", printable(text))


def columns(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines of text in columns; the cells of all rows are as many."""
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
    """Return a number and the thing it counts, in the plural where it is not one: "1 dump", "2 dumps"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the known names that are like this one or begin with it, whatever their case."""
    by_lower = {each.lower(): each for each in known}
    wanted = name.lower()
    like = difflib.get_close_matches(wanted, by_lower, n=3, cutoff=_LIKE)
    like += [each for each in by_lower if each not in like and len(wanted) > 2 and each.startswith(wanted)]
    return [by_lower[each] for each in like[:3]]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: "; did you mean region?", "." where none is like it."""
    found = nearest(name, known)
    return f"; did you mean {' or '.join(found)}?" if found else "."
