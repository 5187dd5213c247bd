# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Format numbers, tables and sentences for people. Pure."""

from __future__ import annotations

import difflib
from typing import Iterable, Sequence

# Similarity of two names that counts, from 0 to 1: identity and identiy have 0.93, identiy and notify 0.62.
_LIKE = 0.7


def is_path(value: object) -> bool:
    """Return whether an option that takes a path or content (YAML, JSON) is a path. Content may be secret."""
    return isinstance(value, str) and "\n" not in value and not value.lstrip().startswith(("{", "apiVersion:"))


def elided(text: str, length: int) -> str:
    """Return text of at most this length: the beginning and the end, where errors name the cause."""
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"


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
