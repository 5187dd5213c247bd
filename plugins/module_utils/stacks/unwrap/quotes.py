# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Unquote lines of a dump of which each may be in quotes of its own, at the end of a line.

    2026-11-02T03:04:05Z,region-1,goroutine 1 [running]:       CSV: quotes only where a comma or a quote is
    2026-11-02T03:04:05Z,region-1,"main.f(0x1, 0x2)"
        - 'goroutine 1 [running]:'                             YAML: only where it could be read as something else
        - main.main()
        - "\t/x.go:1 +0x2"
            "goroutine 1 [running]:",                          JSON: always; Ansible's stdout_lines
            "main.main()",

Each line is unquoted separately, since the others may have no quotes.
"""

from __future__ import annotations

import io
import re
from typing import Iterator

from .. import dump_headers
from .escapes import read_c
from .source_text import SourceText, changed

# The quoted text is the last field of a line, after other fields of CSV or the hyphen of a YAML list.
_QUOTED = re.compile(
    rb"""(?P<before>(?:[ \t]*"[^"\n]*"[,;\t])*(?:[^"'\n]*[\s,;])?)"""
    rb"""(?P<quote>["'])(?P<text>(?:(?!(?P=quote))[^\\\n]|(?P=quote){2}|\\.)*)(?P=quote),?[ \t\r]*\n?"""
)
_QUOTES = (b'"', b"'")
_AFTER = b" \t\r\n,"
_ENDS_IN_QUOTE = re.compile(rb"""["'],?[ \t\r]*$""", re.MULTILINE)


def unquote(text: SourceText) -> SourceText | None:
    """Return the text with quoted lines unquoted; None if there is no dump with a quoted line."""
    if dump_headers.WORD not in text.data or not _ENDS_IN_QUOTE.search(text.data):
        return None
    found = False

    def lines() -> Iterator[tuple[bytes, int]]:
        nonlocal found
        for number, line in enumerate(io.BytesIO(text.data)):
            match = _QUOTED.fullmatch(line) if line.rstrip(_AFTER).endswith(_QUOTES) else None
            found = found or match is not None
            yield line if match is None else match.group("before") + _text(match) + b"\n", number

    after = changed(lines())
    return after.within(text) if found else None


def _text(match: re.Match[bytes]) -> bytes:
    quote, text = match.group("quote", "text")
    text = text.replace(quote * 2, quote)
    return read_c(text) if quote == b'"' and b"\\" in text else text
