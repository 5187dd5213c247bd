# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""What each process wrote, out of a log whose lines have prefixes.

    [pod/NAME/CONTAINER] line           kubectl logs --prefix
    NAME CONTAINER line                 stern; for all namespaces NAMESPACE NAME CONTAINER line
    TIME line                           kubectl logs --timestamps; also after one of the two above
    TIME stderr F line                  a container's log on its node (CRI)
    {"log":"line\n","stream":"stderr"}  the same of docker

Two words may begin any line, so they are stern's only where a goroutine is seen to stand behind them.
"""

from __future__ import annotations

import io
import json
import re
from array import array
from typing import Iterator, NamedTuple

from .stacktext import MARK

MOST_SOURCES = 1000  # the lines of more are left as they are
_TIME = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) "
# The tag P says that the line goes on in the next record.
_RECORD = re.compile(rb"%s(?:(stdout|stderr) ([A-Z]+)(?::[A-Z]+)* )?" % _TIME)
_KUBECTL = re.compile(rb"\[pod/([^\s/\]]+/[^\s\]]+)\] ")
_COLOUR = re.compile(rb"\x1b\[[\d;]*m")
_WORDS = rb"(?:(?:%s)?[a-z0-9][-a-z0-9.]*(?:%s)? ){2,3}" % (_COLOUR.pattern, _COLOUR.pattern)
_STERN = re.compile(_WORDS)
_WRAPPED = re.compile(
    rb"(?:(?P<kubectl>%s)|(?P<stern>%s))?(?P<record>%s)?(?=goroutine (?:profile: total \d|\d+(?: \w+=\w+)* \[))"
    % (_KUBECTL.pattern, _WORDS, _RECORD.pattern)
)
_DOCKER = re.compile(rb'\{"log":"goroutine (?:profile|\d)')


class Source(NamedTuple):
    """The text of one of them; lines[i] is the number that its line i (from 0) has in the log (from 1).

    is_rest: it holds the lines of all sources after the first MOST_SOURCES, with their prefixes.
    """

    name: str | None
    text: bytes
    lines: array[int]
    is_rest: bool = False


def is_wrapped(data: bytes, start: int, stop: int) -> bool:
    """Whether the line data[start:stop] is one of a goroutine behind a prefix, and the next line has one like it."""
    match = _WRAPPED.match(data, start, stop)
    if match is None:
        return _DOCKER.match(data, start, stop) is not None
    if match.end() == start:
        return False
    kind = _KUBECTL if match.group("kubectl") else _STERN if match.group("stern") else _RECORD
    return stop + 1 >= len(data) or kind.match(data, stop + 1) is not None


def split(data: bytes) -> Iterator[Source]:
    """What each source wrote, in the order of their first lines."""
    stern = _stern_prefixes(data)
    found: dict[tuple[bytes, bytes], _Text] = {}
    rest = _Text()
    for number, line in enumerate(io.BytesIO(data), 1):
        source, stream, text = _unwrap(line, stern)
        into = found.get((source, stream))
        if into is None and len(found) < MOST_SOURCES:
            into = found[source, stream] = _Text()
        if into is None:
            rest.add(line, number)
        else:
            into.add(text, number)
    for source, stream in list(found):
        name = b"/".join(part for part in (source, stream) if part).decode("utf-8", "replace")
        one = found.pop((source, stream))
        yield Source(name or None, bytes(one.text), one.lines)
    if rest.text:
        yield Source(None, bytes(rest.text), rest.lines, is_rest=True)


class _Text:
    def __init__(self) -> None:
        self.text = bytearray()
        self.lines = array("Q")
        self._begins = True

    def add(self, text: bytes, number: int) -> None:
        """Take what stands in the record that is line `number` of the log."""
        newlines = text.count(b"\n")
        self.lines.extend([number] * (newlines + self._begins - text.endswith(b"\n")))
        self._begins = text.endswith(b"\n")
        self.text += text


def _stern_prefixes(data: bytes) -> dict[bytes, bytes]:
    """The prefixes of stern's that stand before goroutines, and the names in them."""
    found: dict[bytes, bytes] = {}
    hit = data.find(MARK)
    at = 0
    while hit >= 0 and len(found) < MOST_SOURCES:
        start = max(at, data.rfind(b"\n", at, hit) + 1)
        stop = data.find(b"\n", hit)
        at = len(data) if stop < 0 else stop + 1
        match = _WRAPPED.match(data, start, at)
        if match is not None and match.group("stern"):
            prefix = match.group("stern")
            found[prefix] = _COLOUR.sub(b"", prefix)[:-1].replace(b" ", b"/")
        hit = data.find(MARK, at)
    return found


def _unwrap(line: bytes, stern: dict[bytes, bytes]) -> tuple[bytes, bytes, bytes]:
    """Source and stream, empty where the line does not say them, and what was written."""
    if line.startswith(b'{"'):
        return (b"", *_docker(line))
    source, at = b"", 0
    match = _KUBECTL.match(line)
    if match is not None:
        source, at = match.group(1), match.end()
    elif stern:
        source, at = _stern(line, stern)
    match = _RECORD.match(line, at)
    if match is None:
        return source, b"", line[at:] if at else line
    stream, tag = match.groups()
    text = line[match.end() :]
    if tag == b"P" and text.endswith(b"\n"):
        text = text[:-1]
    return source, stream or b"", text


def _stern(line: bytes, stern: dict[bytes, bytes]) -> tuple[bytes, int]:
    at = line.find(b" ", line.find(b" ") + 1) + 1
    for _words in (2, 3):
        name = stern.get(line[:at])
        if name is not None:
            return name, at
        at = line.find(b" ", at) + 1
    return b"", 0


def _docker(line: bytes) -> tuple[bytes, bytes]:
    """Stream and text; a record that is not well-formed is given as it is: losing it would be worse."""
    try:
        record = json.loads(line)
        return record["stream"].encode("utf-8", "replace"), record["log"].encode("utf-8", "replace")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return b"", line
