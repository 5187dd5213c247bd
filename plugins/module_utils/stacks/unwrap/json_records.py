# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Extract the text of each process from JSON records: one on each line, or one document with all of them.

    {"log":"line\n","stream":"stderr","time":...}                docker's json-file, Fluent Bit
    {"_source":{"message":"line","kubernetes":{...}}}            Elasticsearch
    {"data":{"result":[{"stream":{...},"values":[["ns","line"]]}]}}   Loki
    {"MESSAGE":[103,111,...],"_PID":"7"}                         journalctl -o json

The lines are in the field in which a dump begins, whatever its name. Two records have the same writer if all their
other texts are equal, except times and fields that differ in most of the records.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from typing import Any, Iterator, NamedTuple

from .. import dump_headers
from ..limits import DEFAULT_LIMITS, ParseLimits
from .source_text import SourceText, TextBuilder

_LARGEST = 64 << 20  # bytes of one document; parsing takes many times as much memory
_SAMPLE = 5000  # records that determine which fields name the writer
_DEEPEST = 12
_MOST_OUTER = 64  # fields that a record inherits from the enclosing one
_BEGINS = re.compile(rb'\s*(?:\{\s*(?:"|\}|$)|\[\s*(?:[\["{]|$))')
_NEVER_NAMES = re.compile(
    r"(?:.*[._@])?(?:time|ts|t|date|timestamp|_?id|uuid|cursor|offset|sequence|seq|index|sort|score|level|"
    r"log|message|msg)$|.*(?:time|date|timestamp|cursor|offset|seqnum|_p|logtag|partial\w*)$",
    re.IGNORECASE,
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\d{10,19}(?:\.\d+)?$")
_TIME_NAME = re.compile(r"(?:.*[._@])?(?:time|ts|timestamp|_?date|0)$|.*timestamp$|.*time$", re.IGNORECASE)
# Fields that mark a line which continues in the next record: CRI's tag, docker's partial messages.
_PARTIAL = {"logtag": "P", "_p": "P", "partial_message": "true"}
# Of the fields that tell writers apart, those that make a writer's name, in this order.
_NAMES = (
    "namespace", "namespace_name", "pod", "pod_name", "container", "container_name", "hostname", "host", "_HOSTNAME",
    "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "unit", "app", "job", "service", "name", "stream",
)  # fmt: skip


class _Record(NamedTuple):
    """The texts of one record."""

    fields: dict[str, str]  # text by path
    number: int  # line number


def is_record(line: bytes) -> bool:
    """Return whether the line is a record, or a document, in which a dump begins."""
    return _BEGINS.match(line) is not None and _has_anchor(_load(line))


def has_document(data: bytes) -> bool:
    """Return whether a dump begins in a document that is written over several lines."""
    return any(_is_anchor(text) for record in _records(data, None) for text in record.fields.values())


def _has_anchor(value: Any) -> bool:
    return value is not None and any(_is_anchor(text) for record in _walk(value, 0) for text in record.fields.values())


def split(data: bytes, limits: ParseLimits = DEFAULT_LIMITS) -> Iterator[SourceText]:
    """Yield the text of each process, in the order of their first records; other lines come last."""
    paths: set[str] = set()
    sample: list[dict[str, str]] = []
    for record in _records(data, None):
        if len(sample) < _SAMPLE:
            sample.append(record.fields)
        paths.update(path for path, text in record.fields.items() if path not in paths and _is_anchor(text))
    writers, rest = _RecordWriters(_naming(sample, paths), limits.sources), TextBuilder()
    for record in _records(data, rest):
        for path in paths.intersection(record.fields):
            writers.add(path, record)
    yield from writers.texts()
    if rest.data:
        yield rest.text()


def spell(text: SourceText) -> SourceText | None:
    """Replace lists of bytes by texts; None if no such list has a dump in it."""
    if not any(word in text.data for word in dump_headers.AS_NUMBERS):
        return None
    return text._replace(data=_BYTES.sub(_spelled, text.data))


def _spelled(match: re.Match[bytes]) -> bytes:
    try:
        found = bytes(int(number) for number in match.group(1).split(b",") if number)
    except ValueError:  # more than a byte
        return match.group()
    return json.dumps(found.decode("utf-8", "replace")).encode()


_BYTES = re.compile(rb"\[\s*((?:\d{1,3}\s*,\s*)*\d{1,3}|)\s*\]")


class _RecordWriters:
    """The lines of each writer.

    names: the fields that tell one writer from another.
    """

    def __init__(self, names: list[str], most: int) -> None:
        self._names = names
        self._most = most
        self._found: dict[tuple[str | None, ...], _WriterLines] = {}
        self._more = _WriterLines(None)

    def add(self, path: str, record: _Record) -> None:
        key = (path, *(record.fields.get(name) for name in self._names))
        lines = self._found.get(key)
        if lines is None:
            is_known = len(self._found) < self._most
            lines = _WriterLines(_name(dict(zip(self._names, key[1:])))) if is_known else self._more
            if is_known:
                self._found[key] = lines
        lines.add(record.fields[path], record)

    def texts(self) -> Iterator[SourceText]:
        for key in list(self._found):
            yield self._found.pop(key).text()
        more = self._more.text()
        if more.data:
            yield more._replace(is_rest=True)


class _WriterLines:
    """The lines of one writer."""

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._lines: list[tuple[bytes, bool, int]] = []
        self._has_newlines = False
        self._last = ""
        self._later = 0  # records later than the one before, minus records earlier than it

    def add(self, text: str, record: _Record) -> None:
        line = text.encode("utf-8", "replace")
        self._has_newlines = self._has_newlines or line.endswith(b"\n")
        is_part = any(record.fields.get(name) == value for name, value in _PARTIAL.items())
        self._lines.append((line, is_part, record.number))
        time = _time(record.fields)
        if self._last and time and len(time) == len(self._last):
            self._later += (time > self._last) - (time < self._last)
        self._last = time

    def text(self) -> SourceText:
        """Return the lines in the order of writing. Loki and Kibana give the newest record first."""
        built = TextBuilder()
        for line, is_part, number in reversed(self._lines) if self._later < 0 else self._lines:
            # If lines end with a newline (docker), a record without one is a part of a long line.
            ends = is_part or line.endswith(b"\n") or (self._has_newlines and b"\n" not in line)
            built.add(line if ends else line + b"\n", number)
        return built.text(self._name)


def _time(fields: dict[str, str]) -> str:
    for path, text in fields.items():
        if isinstance(text, str) and _TIME_NAME.match(path) and _TIME.match(text):
            return text
    return ""


def _naming(sample: list[dict[str, str]], paths: set[str]) -> list[str]:
    """Return the fields that tell one writer from another."""
    values: dict[str, set[object]] = {}
    counts: dict[str, int] = {}
    for fields in sample:
        for path, text in fields.items():
            counts[path] = counts.get(path, 0) + 1
            if path not in paths:
                values.setdefault(path, set()).add(text)
    return sorted(
        path
        for path, found in values.items()
        if not _NEVER_NAMES.match(path)
        and (len(found) == 1 or 2 * len(found) <= counts[path])
        and not any(isinstance(text, str) and _TIME.match(text) for text in found)
    )


def _name(fields: dict[str, str | None]) -> str | None:
    found = [
        str(text)
        for name in _NAMES
        for path, text in fields.items()
        if isinstance(text, str) and text and path.rpartition(".")[2] == name
    ]
    return "/".join(dict.fromkeys(found)) or None


def _records(data: bytes, rest: TextBuilder | None) -> Iterator[_Record]:
    """Yield the records in the lines; other lines go to `rest`."""
    document = bytearray()
    closing, first = b"", 0
    for number, line in enumerate(io.BytesIO(data), 1):
        if document:
            document += line
            if line.rstrip().rstrip(b",") == closing:
                yield from _walked(bytes(document), first, rest)
                document.clear()
            elif len(document) > _LARGEST:
                _give_back(bytes(document), first, rest)
                document.clear()
        elif line.strip() in (b"{", b"[", b"[{"):
            document += line
            closing, first = _closing(line), number
        else:
            yield from _walked(line, number, rest)
    if document:
        _give_back(bytes(document), first, rest)


def _closing(line: bytes) -> bytes:
    """Return the last line of a document that begins with this line and is written over several lines."""
    body = line.rstrip()
    blanks = body[: len(body) - len(body.lstrip())]
    return blanks + b"".join(b"]" if byte == 0x5B else b"}" for byte in reversed(body.strip()))


def _give_back(text: bytes, first: int, rest: TextBuilder | None) -> None:
    if rest is not None:
        for number, line in enumerate(io.BytesIO(text), first):
            rest.add(line, number)


def _walked(text: bytes, number: int, rest: TextBuilder | None) -> Iterator[_Record]:
    value = _load(text) if _BEGINS.match(text) else None
    if value is None:
        _give_back(text, number, rest)
        return
    yield from _walk(value, number)


def _load(text: bytes) -> Any:
    """Return the parsed value; None if the text is no JSON object or list."""
    if len(text) > _LARGEST:
        return None
    try:
        found = json.loads(text.decode("utf-8", "replace").strip().rstrip(","), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, (dict, list)) else None


def _walk(value: Any, number: int, outer: dict[str, str] | None = None, depth: int = 0) -> Iterator[_Record]:
    """Yield the record that the value is, or the records in it, each with the first fields of the enclosing ones."""
    outer = outer or {}
    if isinstance(value, list) and _is_text(value):
        for line in value:
            yield _Record({**outer, "": line}, number)
        return
    fields, inner = _listed(value) if isinstance(value, list) else _fields(value)
    if fields:
        yield _Record({**outer, **fields}, number)
    if depth < _DEEPEST:
        outer = {**outer, **dict(itertools.islice(fields.items(), _MOST_OUTER))}
        for each in inner:
            yield from _walk(each, number, outer, depth + 1)


def _fields(value: dict[str, Any]) -> tuple[dict[str, str], list[Any]]:
    """Return the texts in a record by their paths, and the records in its lists."""
    fields: dict[str, str] = {}
    inner: list[Any] = []
    todo: list[tuple[str, Any, int]] = [("", value, 0)]
    for path, found, level in todo:
        if isinstance(found, str):
            fields[path] = found
        elif isinstance(found, dict) and level < _DEEPEST:
            todo.extend((f"{path}.{key}" if path else key, each, level + 1) for key, each in found.items())
        elif isinstance(found, list):
            has_records = any(isinstance(each, (dict, list)) for each in found)
            inner.extend((each for each in found if isinstance(each, (dict, list))) if has_records else [found])
    return fields, inner


def _listed(value: list[Any]) -> tuple[dict[str, str], list[Any]]:
    """Return the texts in a list by their indices, and the records in it."""
    fields = {str(place): each for place, each in enumerate(value) if isinstance(each, str)}
    return fields, [each for each in value if isinstance(each, (dict, list))]


def _is_text(value: list[Any]) -> bool:
    """Return whether the list is lines, and not a time and a line as in Loki's."""
    return all(isinstance(line, str) for line in value) and not (value and _TIME.match(value[0]))


def _is_anchor(text: str) -> bool:
    return "goroutine" in text and dump_headers.ANCHOR.search(text.encode("utf-8", "replace")) is not None
