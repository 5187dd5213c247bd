# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dumps in files and folders, as plain values. The only part of this room that reads files."""

from __future__ import annotations

import fnmatch
import os
from collections import Counter
from typing import Any, Iterator, NamedTuple

from ..regular_file import open_regular
from ..text import path_text
from .model import ParseError, ParseResult, verdict
from .parse import parse


class _File(NamedTuple):
    """is_named: it was asked for by its own name, so that it is expected to hold a dump."""

    path: str
    result: ParseResult
    is_named: bool

    @property
    def counts(self) -> bool:
        """Whether the verdict on everything depends on it."""
        return self.is_named or any(dump.form != "stack" for dump in self.result.dumps)


def analyse(paths: list[str], patterns: list[str], max_bytes: int, max_groups: int | None = None) -> dict[str, Any]:
    """What stack_analysis returns for these files, and the files in these folders whose names match a pattern.

    max_bytes: of each file, no more is read. max_groups: of each dump, no more are given.
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


def _files(paths: list[str], patterns: list[str], max_bytes: int) -> Iterator[_File]:
    for path in paths:
        if not os.path.isdir(path):
            yield _File(path, _read(path, max_bytes), True)
            continue
        unreadable: list[OSError] = []
        names = _names_in(path, patterns, unreadable)
        for name in names:
            yield _File(name, _read(name, max_bytes), False)
        for error in unreadable:
            yield _File(str(error.filename or path), _failed(f"cannot be read: {error.strerror}"), True)
        if not names and not unreadable:
            yield _File(path, _failed("there is no file in this folder whose name matches a pattern"), True)


def _names_in(folder: str, patterns: list[str], unreadable: list[OSError]) -> list[str]:
    """The paths of the matching files in the folder and those below it, sorted; links to folders are not followed."""
    return sorted(
        os.path.join(base, name)
        for base, _folders, names in os.walk(folder, onerror=unreadable.append)
        for name in names
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    )


def _read(path: str, max_bytes: int) -> ParseResult:
    try:
        with open_regular(path) as file:
            data = file.read(max_bytes)
            is_cut = bool(file.read(1))
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        return _failed(f"cannot be read: {error.strerror if isinstance(error, OSError) else error}")
    result = parse(data)
    if is_cut:
        result.errors.append(ParseError(data.count(b"\n") + 1, None, f"only the first {max_bytes} bytes were read"))
    return result


def _failed(message: str) -> ParseResult:
    return ParseResult([], [ParseError(0, None, message)])
