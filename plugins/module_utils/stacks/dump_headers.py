# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns that find the first line of a dump anywhere in a line of the input, and the line that must follow it."""

from __future__ import annotations

import re

WORD = b"goroutine"
_HEADER = rb" \d{1,18}(?: \w+=\w+)* \[[^\n]{1,2000}?\](?: \{[^\n]{0,2000}?\})?:"
_PROFILE = rb"(?:leak)? profile: total \d{1,18}"
# The first line of a goroutine, or of a debug=1 dump.
ANCHOR = re.compile(rb"goroutine(?:(?P<header>%s)|%s)" % (_HEADER, _PROFILE))
BLOCK_HEAD = re.compile(rb"\d{1,18} @(?: 0x[0-9a-f]|\s*$)")
_IN_GOROUTINE = re.compile(
    rb"[A-Za-z_\x80-\xff][^\s]*\(|created by |\.\.\.(?:additional|\d+) frames elided|\[originating from goroutine"
    rb"|[ \t]*goroutine running on other thread|non-Go function|[ \t]*\S+:\d{1,18}(?: \+0x[0-9a-f]+| pc=0x)"
)
_WORDS = re.compile(rb"[ \t]+\w")
_CALLS = re.compile(rb"\([^\n]{0,500}?:\d{1,18} \+0x")


def follows(anchor: re.Match[bytes], line: bytes) -> bool:
    """Return whether this can be the line after that of the anchor."""
    return (_IN_GOROUTINE if anchor.group("header") else BLOCK_HEAD).match(line) is not None


def is_there(data: bytes, start: int, stop: int) -> bool:
    """Return whether a dump or goroutine begins in the line data[start:stop], with any text around it.

    A message may contain the same words. Then more words follow, and no call.
    """
    anchor = ANCHOR.search(data, start, stop)
    if anchor is None:
        return False
    return _WORDS.match(data, anchor.end(), stop) is None or _CALLS.search(data, anchor.end(), stop) is not None


def may_be_there(data: bytes, has_word: bool) -> bool:
    """Return whether a changed dump may begin in bytes in which none was found as they are. Fast if there is none."""
    if has_word:
        return _LIKE.search(data) is not None
    return b"\0" in data[:_START] or (_JSON.match(data) is not None and any(word in data for word in AS_NUMBERS))


# The words of a header with other characters in between, or instead of blanks and brackets.
_LIKE = re.compile(
    rb"goroutine(?:leak)?(?: profile: total|[^\n]{1,60}?(?:\[|&#91;|&lsqb;|&lbrack;|%5[bB]|\\u005b|profile))"
)
# Beginnings of JSON records and documents. A log line begins with a bracket and a word.
_JSON = re.compile(rb"\s*[\[{]\s*[\"\[{]")
_START = 64  # bytes in which UTF-16 text is recognised by its zeros
# The beginning of the word as a list of bytes: journalctl -o json writes messages with control characters so.
AS_NUMBERS = tuple(separator.join(str(byte).encode() for byte in WORD[:6]) for separator in (b",", b", "))
