# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse every goroutine dump in any bytes: entry point of this package."""

from __future__ import annotations

from typing import Callable, Iterable, Iterator

from . import dump_headers
from .debug1.grouping import dump_of
from .debug1.text_reader import is_leak, read_profiles
from .debug2.goroutine import GAPS
from .debug2.scanner import CUT, DumpScanner
from .limits import DEFAULT_LIMITS, ParseLimits
from .model import Dump, ParseError, ParseResult
from .unwrap import characters, escapes, indentation, json_records, line_breaks, quotes
from .unwrap.line_prefixes import Prefixes
from .unwrap.source_text import SourceText

_GZIP = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"
_DEEPEST = 6  # nested wrappings
_MOST_TIMES = 20
_AT_LEAST = 1 << 20  # bytes
_UNREAD = "goroutines are in an unknown format: from here on {} headers of them cannot be read"


def parse(data: bytes, limits: ParseLimits = DEFAULT_LIMITS) -> ParseResult:
    """Return all dumps in the bytes, in the order in which they begin.

    Any bytes are accepted. The dumps have the forms of model.Dump, alone or in a log. If a part cannot be read as it
    is, the usual changes are undone: prefixes of lines, records of JSON, escapes, and what copying does to characters,
    blanks and lines. The dumps of each writer are read apart from the others' lines.
    """
    text = SourceText(_with_newlines(data))
    result = _read(text, _DEEPEST, _Budget(len(data), limits))
    if not result.dumps and not result.unread:
        hint = ": it is compressed; unpack it, and take a profile with debug=1 or debug=2"
        result.errors.append(ParseError(1, None, "no goroutines were found" + (hint if data[:2] == _GZIP else "")))
    result.dumps.sort(key=lambda dump: dump.line)
    return result


def _with_newlines(data: bytes) -> bytes:
    r"""Return the text with \n for \r\n, and without a byte order mark."""
    data = data[len(_MARK) :] if data.startswith(_MARK) else data
    return data.replace(b"\r\n", b"\n") if b"\r" in data else data


class _Wrappings:
    """Wrappings of the lines of some bytes."""

    def __init__(self, data: bytes, limits: ParseLimits) -> None:
        self._data = data
        self._limits = limits
        self._prefixes = Prefixes(data, limits)
        self._has_document: bool | None = None
        self._split: Callable[[], Iterator[SourceText]] | None = None

    def matches(self, start: int, stop: int) -> bool:
        """Return whether a dump begins within a known wrapping in the line data[start:stop]."""
        if self._is_record(start, stop):
            self._split = lambda: json_records.split(self._data, self._limits)
        elif self._prefixes.matches(start, stop):
            self._split = self._prefixes.split
        return self._split is not None

    def split(self) -> Iterator[SourceText]:
        """Yield the text of each writer."""
        return iter(()) if self._split is None else self._split()

    def _is_record(self, start: int, stop: int) -> bool:
        first = self._data[start : start + 1]
        if first not in (b"{", b"[", b" ", b"\t", b'"'):
            return False
        line = self._data[start:stop]
        if json_records.is_record(line):
            return True
        if b'"' in line and self._has_document is None:
            self._has_document = json_records.has_document(self._data)
        return b'"' in line and bool(self._has_document)


class _Budget:
    """Number of bytes that may still be read again, in other ways."""

    def __init__(self, size: int, limits: ParseLimits) -> None:
        self.limits = limits
        self._left = _MOST_TIMES * size + _AT_LEAST

    def spend(self, size: int) -> bool:
        """Take the bytes from the budget; False if it has fewer."""
        self._left -= size
        return self._left >= 0


def _read(text: SourceText, depth: int, budget: _Budget) -> ParseResult:
    """Return the dumps in a text, as it is or after changes to it are undone, step by step."""
    result, is_doubtful = _read_as_is(text, depth, budget)
    if not depth or not is_doubtful:
        return result
    for undo in _CHANGES:
        changed = undo(text) if budget.spend(len(text.data)) else None
        if changed is None:
            continue
        text = changed
        other, is_doubtful = _read_as_is(text, depth, budget)
        if _rank(other) > _rank(result):
            result = other
            if not is_doubtful:
                break
    return result


def _read_as_is(text: SourceText, depth: int, budget: _Budget) -> tuple[ParseResult, bool]:
    """Return the dumps in a text, and whether unread ones may be in it."""
    wrappings = _Wrappings(text.data, budget.limits)
    scan = DumpScanner(text.data, wrappings.matches if depth else None, budget.limits)
    if scan.is_wrapped:
        del scan
        result = _joined(_read_part(part, text, depth, budget) for part in wrappings.split())
    else:
        result = _collect(scan, text)
        if not result.dumps:
            return result, dump_headers.may_be_there(text.data, scan.has_word)
    return result, bool(result.unread) or any(map(_is_doubtful, result.dumps))


def _read_part(part: SourceText, outer: SourceText, depth: int, budget: _Budget) -> ParseResult:
    part = part.within(outer)
    result = _read(part, 0 if part.is_rest else depth - 1, budget)
    if part.is_rest:
        result.errors.append(ParseError(part.number(0), None, "from here on, new sources are not separated"))
    return result


def _joined(results: Iterable[ParseResult]) -> ParseResult:
    dumps: list[Dump] = []
    errors: list[ParseError] = []
    unread = 0
    for result in results:
        dumps.extend(result.dumps)
        errors.extend(result.errors)
        unread += result.unread
    return ParseResult(dumps, errors, unread)


def _is_doubtful(dump: Dump) -> bool:
    """Return whether more of the dump may be readable. Missing lines at its beginning or end do not count."""
    if dump.form == "debug1":
        return dump.complete is False
    cut = {error.goroutine for error in dump.errors if error.message == CUT}
    return not _frames(dump) or any(
        error.message.startswith(GAPS) and error.goroutine not in cut for error in dump.errors
    )


def _frames(dump: Dump) -> int:
    return sum(len(group.frames) * group.count for group in dump.groups)


def _rank(result: ParseResult) -> tuple[int, ...]:
    """Return a sort key for parses of one text: goroutines with frames, proven dumps, frames, errors."""
    dumps = [dump for dump in result.dumps if _frames(dump)]
    return (
        sum(group.count for dump in dumps for group in dump.groups if group.frames or group.created_by),
        sum(dump.complete is not False for dump in dumps) - sum(dump.complete is False for dump in result.dumps),
        sum(_frames(dump) for dump in dumps),
        -sum(len(dump.errors) for dump in result.dumps),
        -result.unread,
    )


def _relayout(text: SourceText) -> SourceText | None:
    """Restore the lines and tabs of the text."""
    changed: SourceText = text
    for undo in (line_breaks.undouble, line_breaks.rejoin, indentation.retab, line_breaks.separate_blocks):
        changed = undo(changed) or changed
    return None if changed is text else changed


def _strip(text: SourceText) -> SourceText | None:
    """Remove blanks at the ends of lines.

    Return None where lines were broken: such blanks may be inside a line.
    """
    stripped = characters.without_trailing_blanks(text)
    return None if stripped is None or line_breaks.is_broken(text) else stripped


def _relayout_without_blanks(text: SourceText) -> SourceText | None:
    stripped = characters.without_trailing_blanks(text)
    return None if stripped is None else _relayout(stripped) or stripped


# Changes that may have been made to a text. Each function returns None if nothing shows that change.
_CHANGES: tuple[Callable[[SourceText], SourceText | None], ...] = (
    characters.plain,
    json_records.spell,
    characters.from_mail,
    _strip,
    quotes.unquote,
    escapes.unescape,
    escapes.separate,
    line_breaks.unfold,
    _relayout,
    _relayout_without_blanks,
    line_breaks.end_blocks,
)


def _collect(scan: DumpScanner, text: SourceText) -> ParseResult:
    """Return the result of a scan, with lines for offsets."""
    dumps = [found.dump() for found in scan.dumps] + [found.dump(is_single=True) for found in scan.single]
    for start, reader in read_profiles(text.data, scan.profiles):
        dumps.append(dump_of(reader, start, needs_writer=not is_leak(text.data, start)))
    errors = [ParseError(offset, None, message) for offset, message in scan.errors]
    if scan.left_out:
        errors.append(ParseError(len(text.data), None, f"{scan.left_out} more dumps are not shown"))
    if scan.unread:
        errors.append(ParseError(scan.unread_at, None, _UNREAD.format(scan.unread)))
    offsets = {dump.line for dump in dumps} | {error.line for dump in dumps for error in dump.errors}
    numbers = _line_numbers(text, offsets | {error.line for error in errors})
    for dump in dumps:
        _set_lines(dump, numbers, text)
    return ParseResult(dumps, [error._replace(line=numbers[error.line]) for error in errors], scan.unread)


def _set_lines(dump: Dump, numbers: dict[int, int], text: SourceText) -> None:
    """Turn offsets into lines, and withdraw what the text cannot prove."""
    dump.line = numbers[dump.line]
    dump.errors = [error._replace(line=numbers[error.line]) for error in dump.errors]
    dump.source = text.name
    if text.loss and dump.complete:
        dump.complete = None
        dump.errors.append(ParseError(dump.line, None, f"it cannot be proven to be complete: {text.loss}"))


def _line_numbers(text: SourceText, offsets: Iterable[int]) -> dict[int, int]:
    """Return the lines in the input, from 1, of these offsets in the text."""
    numbers: dict[int, int] = {}
    at = line = 0
    for offset in sorted(offsets):
        line += text.data.count(b"\n", at, offset)
        at = offset
        numbers[offset] = text.number(line)
    return numbers
