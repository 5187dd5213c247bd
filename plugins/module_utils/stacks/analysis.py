# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the dumps in files, folders and archives, as plain values. The only module of this package that reads files."""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterator, NamedTuple

from ..inputs.containers import HEAD
from ..inputs.inputs import Input, open_inputs
from ..inputs.signatures import STACKS, signature_of
from ..sanitize import path_text
from .model import ParseError, ParseResult, verdict
from .parse import parse


class _ParsedFile(NamedTuple):
    """One file's result.

    is_named: the user named this file, so that it is expected to hold a dump.
    """

    path: str
    result: ParseResult
    is_named: bool

    @property
    def counts(self) -> bool:
        """Return whether the total verdict depends on this file."""
        return self.is_named or any(dump.form != "stack" for dump in self.result.dumps)


def analyse(paths: list[str], patterns: list[str], max_bytes: int, max_groups: int | None = None) -> dict[str, Any]:
    """Return what stack_analysis returns for these files, and for files in folders and archives that match a pattern.

    max_bytes: limit for each file, after unpacking. max_groups: limit for each dump.
    A file that cannot be read is among the errors; nothing is raised.
    """
    files: list[dict[str, Any]] = []
    dumps: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    verdicts: list[bool | None] = []
    for file in _files(paths, patterns, max_bytes):
        path, found = path_text(file.path), file.result
        own = [error.to_dict() for error in found.errors]
        files.append(
            {
                "path": path,
                "dumps": len(found.dumps),
                "goroutines": sum(dump.goroutines for dump in found.dumps),
                "complete": verdict(found.complete),
                "errors": own,
            }
        )
        dumps.extend(dict(dump.to_dict(max_groups), path=path) for dump in found.dumps)
        errors.extend(dict(error, path=path) for error in own)
        if file.counts:
            verdicts.append(found.complete)
    return {
        "files": files,
        "dumps": dumps,
        "errors": errors,
        "totals": {
            "files": len(files),
            "dumps": len(dumps),
            "goroutines": sum(file["goroutines"] for file in files),
            "forms": dict(Counter(dump["form"] for dump in dumps)),
        },
        "complete": verdict(False if not verdicts or False in verdicts else None if None in verdicts else True),
    }


def _files(paths: list[str], patterns: list[str], max_bytes: int) -> Iterator[_ParsedFile]:
    for found in open_inputs(paths, patterns):
        yield _ParsedFile(found.name, _read(found, max_bytes), found.is_named)


def _read(found: Input, max_bytes: int) -> ParseResult:
    if found.problem:
        return _failed(found.problem)
    content = found.open()
    data = content.read(max_bytes)
    is_cut = not content.problem and bool(content.read(1))
    if content.problem and not data:
        return _failed(content.problem)
    result = parse(data)
    if not result.dumps:
        signature = signature_of(data[:HEAD])
        if signature and signature.reader != STACKS:
            result = ParseResult([], [ParseError(1, None, f"no goroutines were found: it is {signature.text}")])
    last = data.count(b"\n") + 1
    if is_cut:
        result.errors.append(ParseError(last, None, f"only the first {max_bytes} bytes were read"))
    if content.problem:
        result.errors.append(ParseError(last, None, content.problem))
    return result


def _failed(message: str) -> ParseResult:
    return ParseResult([], [ParseError(0, None, message)])
