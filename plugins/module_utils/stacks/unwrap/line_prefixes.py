# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Infer the prefix (and suffix) that a log tool writes around each line, and remove it.

    [pod/NAME/CONTAINER] line            kubectl logs --prefix
    NAME CONTAINER line                  stern
    TIME stderr F line                   a container's log on its node (CRI)
    region-1  | line                     docker compose
    Nov 23 00:22:28 node1 region[7]: line  syslog, journalctl
    > > line                             a mail

The first line of a goroutine or of a debug=1 dump (an anchor) is found anywhere in a line, so the text before it is the
prefix. Times in it change from line to line; words in it name the writer. If the expected next line does not follow the
anchor with the same words, numbers may be what changes (a counter), then all words with digits.
"""

from __future__ import annotations

import io
import re
from typing import Iterator, NamedTuple, Tuple

from .. import dump_headers
from ..limits import DEFAULT_LIMITS, ParseLimits
from .source_text import SourceText, TextBuilder

_MOST_SHAPES = 16
_MOST_FAILURES = 100  # after these no more prefixes are inferred
_LONGEST = 512  # bytes of a prefix
_FAR = 5 * _LONGEST  # bytes in which the anchor must end: it may be long itself
_LINES = 400  # lines after an anchor that are searched for the line that must follow it
_MATCHING = 60  # lines of these with the same prefix
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATE = rb"|".join(
    (
        rb"\d{4}[-/.]\d\d[-/.]\d\d",
        rb"\d\d?[-/.]\d\d?[-/.]\d{2,4}",
        rb"\d\d?[ /-]%s[ /-]\d{4}" % _MONTH,
        rb"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?%s +\d\d?(?:,? \d{4})?" % _MONTH,
        rb"\d{6}",
    )
)
_ZONE = rb"(?: ?(?:Z|UTC|[A-Z]{3,4}(?=[ \]])|[+-]\d\d:?\d\d))"
_CLOCK = rb"\d{1,2}:\d\d:\d\d(?:[.,:]\d{1,9})?(?: ?[AP]M)?%s?(?: \d{4}(?= ))?" % _ZONE
_TIME = rb"(?:(?:%s)[T ,:_]{1,2})?%s" % (_DATE, _CLOCK)
_EPOCH = rb"(?:\d{19}|\d{16}|\d{13}|\d{10}(?:\.\d+)?|\d+\.\d{3,9})(?![\w.])"
_WORD = rb"[\w.\-/@\x80-\xff]+"
_COLOUR = rb"(?:\x1b\[[\d;]*[mK])+"
_TOKEN = re.compile(
    rb"(?P<cri>(?:stdout|stderr) [FP](?::[A-Z]+)*(?= |$))|(?P<gitlab>(?<=Z )[0-9a-f]{2}[EO][ +])"
    rb"|(?P<klog>[IWEF]\d{4} %s)|(?P<time>%s)|(?P<epoch>%s)|(?P<word>%s)|(?P<blank>[ \t]+)|(?P<colour>%s)|(?P<other>.)"
    % (_CLOCK, _TIME, _EPOCH, _WORD, _COLOUR),
    re.DOTALL,
)
_PATTERNS = {
    "cri": rb"(stdout|stderr) (?P<tag>[A-Z]+)(?::[A-Z]+)*",  # P: the line continues in the next record
    "gitlab": rb"[0-9a-f]{2}[EO](?P<tag>[ +])",  # +: the line continues the one before
    "colour": rb"(?:%s)?" % _COLOUR,
    "blank": rb"[ \t]*",
    "word": rb"(%s)" % _WORD,
}
# Parts of a time: a fraction of a second may be left out if it is zero.
_TIME_PART = re.compile(
    rb"(?P<second>:\d\d)(?:[.,]\d+)?(?!:)|(?P<digits>\d+)|(?P<letters>[A-Za-z]+)|(?P<blanks> +)|.", re.DOTALL
)
_TIME_PATTERNS = {"second": rb":\d\d(?:[.,]\d+)?", "digits": rb"\d+", "letters": rb"[A-Za-z]+", "blanks": rb" +"}
_NUMBERS = rb"[ \t]*\d+"
_ANY_WORD = rb"[ \t]*%s" % _WORD
_GREP = re.compile(rb"(?:(?P<file>[^\s:]+):)?\d+:$")
_TIMES = ("time", "epoch", "klog")
_BLANKS = b" \t"
_JSON = re.compile(rb'[{\[] *"')
_KUBECTL = re.compile(r"pod/(.+/.+)$")


class Shape(NamedTuple):
    """The form of a prefix.

    pattern: of the prefix. key: the numbers of its groups that name the writer. suffix: text at the end of each line.
    """

    pattern: re.Pattern[bytes]
    key: tuple[int, ...]
    suffix: bytes = b""
    has_tag: bool = False

    def strip(self, line: bytes) -> tuple[tuple[bytes, ...], bytes, bytes] | None:
        """Return the writer, the tag of a partial line or b"", and the line; None if it has no such prefix."""
        match = self.pattern.match(line)
        if match is None:
            return None
        rest = line[match.end() :]
        if self.suffix:
            body = rest.rstrip()
            if body.endswith(self.suffix):
                rest = body[: -len(self.suffix)] + rest[len(body) :]
        tag = match.group("tag") if self.has_tag else b""
        return match.group(0, 0, *self.key)[2:], tag or b"", rest


class PrefixFinding(NamedTuple):
    """A prefix before an anchor."""

    shape: Shape
    key: tuple[bytes, ...]


def name_of(key: tuple[bytes, ...]) -> str | None:
    """Return the writer's name for results."""
    words = [word.decode("utf-8", "replace") for word in key if any(byte in _NAMING for byte in word)]
    name = "/".join(words)
    kubectl = _KUBECTL.match(name)
    return (kubectl.group(1) if kubectl else name) or None


_NAMING = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") | frozenset(range(0x80, 0x100))


def infer(data: bytes, start: int, stop: int) -> PrefixFinding | None:
    """Return the prefix of the line data[start:stop] if it has an anchor and the next lines prove the prefix."""
    line = data[start:stop].rstrip(b"\r")
    anchor = dump_headers.ANCHOR.search(line, 0, _FAR)
    if anchor is None or anchor.start() > _LONGEST:
        return None
    prefix, suffix = line[: anchor.start()], line[anchor.end() :].strip(_BLANKS)
    is_json = False
    record = _JSON.search(prefix)
    if record is not None:
        prefix, suffix, is_json = prefix[: record.start()], b"", True
    if (not prefix and not suffix) or len(suffix) > _LONGEST:
        return None
    following = list(_following(data, stop + 1))
    shapes = list(_shapes(prefix, suffix))
    if following and not is_json and _is_inline(shapes[0], anchor, following[0]):
        return None
    for shape in (*shapes, *_shorter_shapes(prefix, suffix)):
        found = shape.strip(line)
        if found is not None and _is_confirmed(shape, found[0], anchor, following, is_json):
            return PrefixFinding(shape, found[0])
    return None


def _shorter_shapes(prefix: bytes, suffix: bytes) -> Iterator[Shape]:
    """Yield shapes of the beginnings of a prefix, the longest first: a dump may begin within a message after it."""
    starts = [token.start() for token in _TOKEN.finditer(prefix)][1:]
    blanks = len(prefix) - len(prefix.rstrip(b" \t"))
    if blanks > 1:
        starts.append(len(prefix) - blanks + 1)
    for start in reversed(starts):
        yield from _shapes(prefix[:start], suffix)


def _kind(line: bytes) -> bytes:
    """Return a key that is the same for anchor lines with alike prefixes and suffixes."""
    anchor = dump_headers.ANCHOR.search(line, 0, _FAR)
    around = line if anchor is None else line[: anchor.start()] + b"\n" + line[anchor.end() :]
    return _DIGITS.sub(b"0", around[: 2 * _LONGEST])


_DIGITS = re.compile(rb"\d+")


def _following(data: bytes, at: int) -> Iterator[bytes]:
    for _line in range(_LINES):
        if at >= len(data):
            return
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        yield data[at : min(end, at + 4 * _LONGEST)]
        at = end + 1


def _is_inline(strict: Shape, anchor: re.Match[bytes], line: bytes) -> bool:
    """Return whether the dump continues without the prefix: it was logged as part of a message."""
    return strict.strip(line) is None and dump_headers.follows(anchor, line)


def _is_confirmed(
    shape: Shape, key: tuple[bytes, ...], anchor: re.Match[bytes], following: list[bytes], is_json: bool
) -> bool:
    matching = 0
    for line in following:
        found = shape.strip(line)
        if found is None or found[0] != key or not found[2].strip():
            continue
        if shape.suffix and not line.rstrip().endswith(shape.suffix):
            continue
        rest = found[2]
        if _JSON.match(rest) if is_json else dump_headers.follows(anchor, rest):
            return True
        matching += 1
        if matching > _MATCHING:
            break
    return False


def _shapes(prefix: bytes, suffix: bytes) -> Iterator[Shape]:
    """Yield the possible shapes of lines with this prefix; the likeliest first."""
    tokens = [(str(match.lastgroup), match.group()) for match in _TOKEN.finditer(prefix)]
    grep = _GREP.match(prefix)
    yield _shape(tokens, suffix)
    if grep is not None:
        name = b"(%s)[:-]" % re.escape(grep.group("file")) if grep.group("file") else b""
        yield Shape(re.compile(b"%s\\d+[:-]" % name), (1,) if name else (), suffix)
    for pattern, what in ((_NUMBERS, bytes.isdigit), (_ANY_WORD, _has_digit)):
        changing = [number for number, (kind, text) in enumerate(tokens) if kind == "word" and what(text)]
        if changing:
            yield _shape(tokens, suffix, pattern, changing)
    if prefix.strip():
        yield from _hanging_indents(tokens, suffix, len(prefix))


def _has_digit(word: bytes) -> bool:
    return any(byte in b"0123456789" for byte in word)


def _hanging_indents(tokens: list[tuple[str, bytes]], suffix: bytes, width: int) -> Iterator[Shape]:
    """Yield the shape of journalctl, which indents the further lines of a message below its first one."""
    first = _shape(tokens, suffix)
    if not any(kind in _TIMES for kind, _text in tokens):
        return
    pattern = rb"(?:%s|(?P<hanging> {%d}))" % (first.pattern.pattern, width)
    yield Shape(re.compile(pattern), (), suffix, first.has_tag)


def _time_pattern(text: bytes) -> bytes:
    """Return a pattern for times of this form."""
    parts = ((str(match.lastgroup), match.group()) for match in _TIME_PART.finditer(text))
    return b"".join(_TIME_PATTERNS.get(kind, re.escape(part)) for kind, part in parts)


def _shape(
    tokens: list[tuple[str, bytes]], suffix: bytes, other: bytes = b"", changing: list[int] | None = None
) -> Shape:
    """Return the shape of these tokens; `other` is the pattern of the words at the indices `changing`."""
    parts: list[bytes] = []
    groups = 0
    key: list[int] = []
    is_first_tag = True
    for number, (kind, text) in enumerate(tokens):
        if kind == "word" and changing and number in changing:
            if tokens[number - 1][0] == "blank" and number:
                parts[-1] = b""  # a counter may be aligned
            parts.append(other)
            continue
        if kind in ("word", "cri"):
            key.append(groups + 1)
        pattern = _time_pattern(text) if kind in _TIMES else _PATTERNS.get(kind, re.escape(text))
        if kind == "blank" and number in (0, len(tokens) - 1):
            pattern = re.escape(text)  # the line itself may begin with blanks, too
        if kind in ("cri", "gitlab"):
            pattern = pattern if is_first_tag else pattern.replace(b"?P<tag>", b"")
            is_first_tag = False
        groups += re.compile(pattern).groups
        parts.append(pattern)
    last = tokens[-1][0] if tokens else ""
    if last == "blank":
        # Many tools and people remove the blanks at the end of an empty line.
        parts[-1] = rb"(?:%s|[ \t]*(?=\r?\n|\Z))" % parts[-1]
    return Shape(re.compile(b"".join(parts)), tuple(key), suffix, not is_first_tag)


class Prefixes:
    """The prefixes before the anchors of some bytes."""

    def __init__(self, data: bytes, limits: ParseLimits = DEFAULT_LIMITS) -> None:
        self._data = data
        self._limits = limits
        self._known: dict[Shape, set[tuple[bytes, ...]]] = {}
        self._failed: set[bytes] = set()

    def matches(self, start: int, stop: int) -> bool:
        """Return whether the line data[start:stop] has an anchor after a prefix."""
        line = self._data[start:stop]
        for shape, keys in self._known.items():
            found = shape.strip(line)
            if found is not None and found[0] in keys:
                return True
        if len(self._failed) >= _MOST_FAILURES:
            return False
        kind = _kind(line)
        if kind in self._failed:
            return False
        finding = infer(self._data, start, stop)
        if finding is None or (len(self._known) >= _MOST_SHAPES and finding.shape not in self._known):
            self._failed.add(kind)
            return False
        self._known.setdefault(finding.shape, set()).add(finding.key)
        return True

    def split(self) -> Iterator[SourceText]:
        """Yield the text of each writer, in the order of their first lines; lines without a known prefix come last."""
        for start, stop in _anchor_lines(self._data):
            self.matches(start, stop)
        if len(self._known) == 1:
            (shape, keys), *_none = self._known.items()
            only = _of_every_line(self._data, shape, keys, self._limits.strip_bytes)
            if only is not None:
                yield only
                return
        yield from self._by_line()

    def _by_line(self) -> Iterator[SourceText]:
        writers, rest = _PrefixWriters(self._limits.sources), TextBuilder()
        shapes = list(self._known.items())
        for number, line in enumerate(io.BytesIO(self._data), 1):
            place, stripped = _stripped(line, shapes)
            if stripped is None:
                rest.add(line, number)
                continue
            if place:
                shapes.insert(0, shapes.pop(place))  # the next line likely has the same
            writers.add(*stripped, number, line)
        yield from writers.texts()
        if rest.data:
            yield rest.text()


_Stripped = Tuple[Tuple[bytes, ...], bytes, bytes]


def _stripped(line: bytes, shapes: list[tuple[Shape, set[tuple[bytes, ...]]]]) -> tuple[int, _Stripped | None]:
    """Return the index of the line's shape and the result of Shape.strip; None if its writer is unknown."""
    for place, (shape, keys) in enumerate(shapes):
        stripped = shape.strip(line)
        if stripped is not None and stripped[0] in keys:
            return place, stripped
    return 0, None


class _PrefixWriters:
    """The text of each writer."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: dict[tuple[bytes, ...], TextBuilder] = {}
        self._more = TextBuilder()

    def add(self, key: tuple[bytes, ...], tag: bytes, text: bytes, number: int, line: bytes) -> None:
        builder = self._found.get(key)
        if builder is None:
            if len(self._found) >= self._most:
                self._more.add(line, number)
                return
            builder = self._found[key] = TextBuilder()
        if tag == b"+":
            builder.continue_line()
        elif tag == b"P" and text.endswith(b"\n"):
            text = text[:-1]
        builder.add(text, number)

    def texts(self) -> Iterator[SourceText]:
        for key in list(self._found):
            yield self._found.pop(key).text(name_of(key))
        if self._more.data:
            yield self._more.text()._replace(is_rest=True)


def _of_every_line(data: bytes, shape: Shape, keys: set[tuple[bytes, ...]], strip_bytes: int) -> SourceText | None:
    """Return the text of a single writer whose prefix every line has, else None.

    This is the usual case, and fast.
    """
    if len(keys) != 1 or shape.suffix:
        return None
    (key,) = keys
    pattern = shape.pattern.pattern
    for word in key:
        group = _GROUP.search(pattern)
        if group is not None:
            pattern = pattern[: group.start()] + re.escape(word) + pattern[group.end() :]
    pattern = pattern.replace(_PATTERNS["gitlab"], rb"[0-9a-f]{2}[EO] ").replace(rb"(?P<tag>[A-Z]+)", b"F")
    prefix = re.compile(rb"(?m)^(?:%s)" % pattern)
    parts = []
    stop = 0
    while stop < len(data):
        start, stop = stop, data.find(b"\n", stop + strip_bytes) + 1 or len(data)
        text, count = prefix.subn(b"", data[start:stop])
        if count != data.count(b"\n", start, stop) + (data[stop - 1 : stop] != b"\n"):
            return None
        parts.append(text)
    return SourceText(b"".join(parts), name=name_of(key))


# A group that names the writer, in the pattern of a shape.
_GROUP = re.compile(b"|".join(re.escape(group) for group in (b"(%s)" % _WORD, b"(stdout|stderr)")))


def _anchor_lines(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of the lines with an anchor."""
    stop = -1
    for match in dump_headers.ANCHOR.finditer(data):
        if match.start() < stop:
            continue
        start = data.rfind(b"\n", 0, match.start()) + 1
        end = data.find(b"\n", match.end())
        stop = len(data) if end < 0 else end
        yield start, stop
