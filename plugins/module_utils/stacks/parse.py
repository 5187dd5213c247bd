# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every goroutine dump in some bytes, whatever they are."""

from __future__ import annotations

from array import array
from typing import Iterable

from .grouping import dump_of
from .model import Dump, ParseError, ParseResult
from .profiles import is_leak, read_profiles
from .scan import Scan
from .sources import split

__all__ = ["dump_of", "parse"]

_GZIP = b"\x1f\x8b"


def parse(data: bytes) -> ParseResult:
    """All dumps in the bytes, in the order in which they begin; the same with any bytes, which need not be a dump.

    Takes the forms of Dump, alone or in a log, with the prefixes that kubectl, stern, CRI and docker put before the
    lines. Then the dumps of each source are read apart from the others' lines.
    """
    result = ParseResult([], [])
    text = _with_newlines(data)
    scan = Scan(text, may_be_wrapped=True)
    if scan.is_wrapped:
        del text
        for source in split(data):
            text = _with_newlines(source.text)
            _collect(result, Scan(text), text, source.name, source.lines)
            if source.is_rest:
                result.errors.append(ParseError(source.lines[0], None, "from here on, new sources are not told apart"))
    else:
        _collect(result, scan, text)
    if not result.dumps:
        hint = ": it is compressed; unpack it, and take a profile with debug=1 or debug=2"
        result.errors.append(ParseError(1, None, "no goroutines were found" + (hint if data[:2] == _GZIP else "")))
    result.dumps.sort(key=lambda dump: dump.line)
    return result


def _with_newlines(data: bytes) -> bytes:
    r"""The text with \n where it has \r\n."""
    return data.replace(b"\r\n", b"\n") if b"\r" in data else data


def _collect(
    result: ParseResult, scan: Scan, text: bytes, source: str | None = None, lines: array[int] | None = None
) -> None:
    """Add what was found in the text of one source."""
    dumps = [run.dump() for run in scan.runs] + [run.dump(is_single=True) for run in scan.single]
    for start, reader in read_profiles(text, scan.profiles):
        dumps.append(dump_of(reader, start, needs_writer=not is_leak(text, start)))
    errors = [ParseError(offset, None, message) for offset, message in scan.errors]
    if scan.left_out:
        errors.append(ParseError(len(text), None, f"{scan.left_out} more dumps are not told"))
    offsets = {dump.line for dump in dumps} | {error.line for dump in dumps for error in dump.errors}
    numbers = _line_numbers(text, offsets | {error.line for error in errors}, lines)
    for dump in dumps:
        _place(dump, numbers, source)
    result.dumps.extend(dumps)
    result.errors.extend(error._replace(line=numbers[error.line]) for error in errors)


def _place(dump: Dump, numbers: dict[int, int], source: str | None) -> None:
    """Turn its offsets into lines."""
    dump.line = numbers[dump.line]
    dump.errors = [error._replace(line=numbers[error.line]) for error in dump.errors]
    dump.source = source


def _line_numbers(text: bytes, offsets: Iterable[int], lines: array[int] | None) -> dict[int, int]:
    """The lines, from 1, in the input that these offsets in the text stand in."""
    numbers: dict[int, int] = {}
    at = number = 0
    for offset in sorted(offsets):
        number += text.count(b"\n", at, offset)
        at = offset
        numbers[offset] = number + 1 if lines is None else lines[min(number, len(lines) - 1)]
    return numbers
