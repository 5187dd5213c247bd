# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find secrets by the name before them: password=…, "token": "…", --secret-key …, Cookie: …, in any notation. Pure.

A value after a strong name (password) is always a secret. A value after a weak name (token) is a secret if it looks
like one: "token: expired" stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterator, Tuple

# Random bytes contain a short name before this many printable characters once in some gigabytes.
BY_CHANCE = 8
# Start, end and rule of a secret, and the bytes to write around the marker.
Span = Tuple[int, int, str, bytes]

_JOINED = "[_. -]?"
_STRONG = (
    "passw(?:or)?d", "passwd", "passphrase", "passcode", "requirepass", "secret", "sqlstr", "authorization",
    "set-cookie", "cookie", "bindpw",
    *(_JOINED.join(words) for words in (
        ("private", "key"), ("api", "key"), ("access", "key"), ("encrypt(?:ion)?", "key"), ("signing", "key"),
        ("master", "key"), ("shared", "key"), ("account", "key"), ("auth", "key"), ("sql", "connection"),
        ("connection", "string"), ("auth", "token"), ("access", "token"), ("refresh", "token"), ("session", "token"),
        ("subject", "token"), ("bearer", "token"), ("client", "key", "data"), ("security", "token"),
    )),
)  # fmt: skip
_WEAK = ("token", "credential", "signature", "session[_-]?id", "jsessionid", "phpsessid", "csrf", "otp")
# These are parts of many other words, so they must be whole words.
_SHORT_STRONG, _SHORT_WEAK = ("pass", "pwd", "pw", "psw", "dsn"), ("auth", "sk", "sid", "jwt")


def _any(words: tuple[str, ...]) -> str:
    return "|".join(words)


_PATTERN = (
    rf"(?P<strong>{_any(_STRONG)})|(?P<weak>{_any(_WEAK)})"
    rf"|(?<![a-z])(?:(?P<short>{_any(_SHORT_STRONG)})|(?P<short_weak>{_any(_SHORT_WEAK)}))(?![a-z])"
).encode()
STEM = re.compile(_PATTERN, re.IGNORECASE)
# Literal beginning -> expression: searching the literal first is much faster than the expression alone.
_LOWER_STEMS = tuple(
    (re.split(r"[(\[]", stem)[0].encode(), re.compile(stem.encode()))
    for stem in (*_STRONG, *_WEAK, *_SHORT_STRONG, *_SHORT_WEAK)
)
# Stems that may be two words in the text.
_PAIRS = tuple(b"%s key" % word for word in (b"api", b"access", b"private", b"encryption", b"account"))

_SUFFIX = rb"(?:[_. -]?(?:hash|data|value|text|key|id|b64|base64|enc|encrypted|plain|string|str|new|old|again|\d{1,2}))"
# Quotes of text in XML.
_ENTITY = rb"&(?:quot|apos|#34|#39);"
_SUFFIXES = re.compile(rb"(?i)" + _SUFFIX + rb"{0,2}s?")
_TO_VALUE = re.compile(
    rb"(?i)" + _SUFFIX + rb"{0,2}s?(?![A-Za-z0-9_])"
    rb"(?P<close>\\{0,8}[\"'`]?|" + _ENTITY + rb")\)?\]?"
    rb"(?:[ \t]{0,4}(?P<sign>=>|:=|==?|:|%3d|%3a)[ \t]{0,16}"
    # Name-value pair of Kubernetes, separate argument, XML element, tuple, sentence.
    rb"|[\s,\\n]{1,64}\\{0,8}[\"']?value\\{0,8}[\"']?[ \t]{0,4}[:=][ \t]{0,4}"
    rb"|(?P<prose> is )|(?P<blank>[ \x00]{1,4}|\\u0000)|(?P<xml>>|&gt;)|(?P<comma>, ?))"
)
# In JSON the end of the previous argument is written as \\u0000.
_OPTION = re.compile(rb"(?:u0000)?-")
_QUOTE = re.compile(rb"\\{0,8}[\"'`]|" + _ENTITY)
_UNTIL = {
    b'"': re.compile(rb'(?:[^"\\\n]|\\.)*'),
    b"'": re.compile(rb"(?:[^'\n\\]|''|\\.)*"),
    b"`": re.compile(rb"[^`\n]*"),
}
# The fields inside an object have names of their own.
_OBJECT = re.compile(rb"\{\s{0,16}(?:\\{0,8}\"|\}|\n)")
_LIST = re.compile(rb"\[[^\]\n]*\]?")
_BARE = re.compile(rb"(?:[^\s\"'`<>\x00\\]|\\(?![\"'nrtu\\])){1,8192}")
# The next field ends an unquoted value.
_NEXT_FIELD = re.compile(rb"[&,;](?:[\w.-]{1,64}[=:]|\s|$)")
_BLOCK = re.compile(rb"[|>][+-]?\d?[ \t]*(?=\n|\\n)")
_BLOCK_LINE = re.compile(rb"\n(?P<indent>[ \t]*)(?P<text>[^\n]*)")
_BLOCK_LINE_IN_JSON = re.compile(rb"\\n(?P<indent>[ \t]*)(?P<text>(?:[^\n\\\"]|\\[^n\"])*)")
_REST = re.compile(rb"[^\n\x00]*")
_REST_IN_JSON = re.compile(rb"(?:[^\"\\\n]|\\.)*")
_SCHEME = re.compile(rb"(?i)(?:bearer|basic|negotiate|token)\s{1,4}")
_WHOLE_LINE = (b"authorization", b"cookie")
# A data source name may hold blanks: libpq takes "host=… user=… password=…".
_HOLDS_BLANKS = (b"dsn",)
_HARMLESS = re.compile(
    rb"(?i)(?:true|false|null|nil|none|<nil>|<none>|undefined|yes|no|on|off|[*x.-]+|\[?redacted.*|\$\{?[\w.-]+\}?"
    rb"|\{\{.*|%[sdvq+#]{1,3}|\(?empty\)?)?[,;.)\]}]*\Z"
)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?\Z")
_LOOKS = re.compile(rb"(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[\w+/=.~%:-]{6,}\Z|[\w+=~%-]{20,}\Z")
_LOOKS_NOT = re.compile(
    rb"(?:0x[0-9a-f]+|[\d:.TZ+-]+|[\d.]+(?:ns|us|\xc2\xb5s|ms|s|m|h|B|[kKMG]i?B?)|[./~].*|https?:.*|[\w./-]+\.\w{1,4}:\d+)\Z"
)
_TRAILING = b",;)]}."


@dataclass(frozen=True)
class _Key:
    """Name of a field in the text.

    strong: a strong name. option: a command line option (--name).
    """

    start: int
    end: int
    strong: bool
    stem: bytes
    option: bool


def find_named_secrets(data: bytes, words: bytes, is_json: bool, is_binary: bool = False) -> Iterator[Span]:
    """Yield all secrets with a name before them, in order.

    words: the distinct words of the text, in lower case. is_json: values end at the end of a JSON string. is_binary:
    ignore short values after short names, because random bytes contain them by chance.
    """
    done = 0
    for match in _stems(data, words):
        if match.start() < done:
            continue
        key = _key(data, match)
        found = _TO_VALUE.match(data, key.end)
        if found is None or not _fits(data, key, found):
            continue
        strong = key.strong and not (found["prose"] or found["comma"])
        for start, end, around in _value(data, key, found, strong, is_json):
            is_chance = is_binary and end - start < BY_CHANCE and (match["short"] or match["short_weak"])
            if end > start and not is_chance:
                done = max(done, end)
                yield start, end, _rule(key.stem), around


def _stems(data: bytes, words: bytes) -> Iterator[re.Match[bytes]]:
    """Yield the names in order.

    Searching only for the stems that the text has is much faster than one expression for all of them.
    """
    stems: set[bytes] = set()
    for head, form in _LOWER_STEMS:
        if head in words:
            stems.update([head] if head == form.pattern else [match.group() for match in form.finditer(words)])
    if b"key" in words:
        stems.update(_PAIRS)
    lower = data.lower() if stems else b""
    places: set[int] = set()
    for stem in stems:
        place = lower.find(stem)
        while place >= 0:
            places.add(place)
            place = lower.find(stem, place + 1)
    for place in sorted(places):
        match = STEM.match(data, place)
        if match:
            yield match


def is_secret_name(name: str) -> bool:
    """Return whether any value with this name is a secret."""
    text = name.encode("utf-8", "replace")
    matches = list(STEM.finditer(text))
    if not matches or not (matches[-1]["strong"] or matches[-1]["short"]):
        return False
    return _SUFFIXES.fullmatch(text, matches[-1].end()) is not None


def _key(data: bytes, match: re.Match[bytes]) -> _Key:
    start = match.start()
    limit = max(0, start - 64)
    while start > limit and (data[start - 1 : start].isalnum() or data[start - 1] in b"_-."):
        start -= 1
    strong = bool(match["strong"] or match["short"])
    option = _OPTION.match(data, start, match.end()) is not None
    return _Key(start, match.end(), strong, match.group().lower(), option)


def _fits(data: bytes, key: _Key, found: re.Match[bytes]) -> bool:
    """Return whether the text after the name assigns a value to it."""
    if found["blank"]:
        return key.option or (b"\0" in found["blank"] and data[max(0, key.start - 1)] == 0)
    if found["xml"]:
        return data[max(0, key.start - 4) : key.start].endswith((b"<", b"&lt;"))
    if found["comma"]:
        return bool(found["close"])
    return True


def _value(
    data: bytes, key: _Key, found: re.Match[bytes], strong: bool, is_json: bool
) -> Iterator[tuple[int, int, bytes]]:
    """Yield start and end of the value, and the bytes to write around the marker."""
    start = found.end()
    block = _BLOCK.match(data, start)
    if block:
        yield from ((begin, end, b"") for begin, end in _block(data, key.start, block.end()) if strong)
        return
    quote = _QUOTE.match(data, start)
    if quote:
        end = _end_of_quoted(data, quote)
        content = data[quote.end() : end]
        if _is_secret(content, strong, key.stem):
            yield quote.end(), end, b""
        return
    if data[start : start + 1] == b"[":
        end = _end_of(_LIST, data, start)
        content = data[start + 1 : end].rstrip(b"]")
        if strong and not _HARMLESS.match(content.strip(b'" ')):
            yield start + 1, start + 1 + len(content), b'"' if b'"' in content else b""
        return
    if _OBJECT.match(data, start):
        return
    end = _end_of_bare(data, start, key, is_json)
    if _is_secret(data[start:end], strong, key.stem):
        is_number = found["close"] and _NUMBER.match(data[start:end])
        yield start, end, found["close"] if is_number else b""


def _end_of(form: re.Pattern[bytes], data: bytes, start: int) -> int:
    """Return the end of a match that begins here, or the start without a match."""
    match = form.match(data, start)
    return match.end() if match else start


def _end_of_quoted(data: bytes, quote: re.Match[bytes]) -> int:
    sign = quote.group()
    if len(sign) == 1:
        return _end_of(_UNTIL[sign], data, quote.end())
    place, line = quote.end(), data.find(b"\n", quote.end())
    line = len(data) if line < 0 else line
    while True:
        place = data.find(sign, place, line)
        if place < 0:
            return line
        if data[place - 1] != 0x5C:
            return place
        place += len(sign)


def _end_of_bare(data: bytes, start: int, key: _Key, is_json: bool) -> int:
    if key.stem in _HOLDS_BLANKS and not key.option:
        return _end_of(_REST_IN_JSON if is_json else _REST, data, start)
    if key.stem.endswith(_WHOLE_LINE):
        scheme = _SCHEME.match(data, start)
        if not scheme:
            return _end_of(_REST_IN_JSON if is_json else _REST, data, start)
        start = scheme.end()
    bare = _BARE.match(data, start)
    if bare is None:
        return start
    end = bare.end()
    following = _NEXT_FIELD.search(data, start, end)
    if following and following.start() > start:
        end = following.start()
    while end > start and data[end - 1] in _TRAILING:
        end -= 1
    return end


def _block(data: bytes, key: int, place: int) -> Iterator[tuple[int, int]]:
    """Yield the lines of a YAML block: those with more indentation than the name."""
    newline, form = (b"\n", _BLOCK_LINE) if data[place : place + 1] == b"\n" else (b"\\n", _BLOCK_LINE_IN_JSON)
    before = data.rfind(newline, 0, key)
    name = data[before + len(newline) if before >= 0 else 0 : key]
    indent = len(name) - len(name.lstrip(b" -")) if before >= 0 else 0
    line = form.match(data, place)
    while line and not (line["text"].strip() and len(line["indent"]) <= indent):
        if line["text"].strip():
            yield line.span("text")
        line = form.match(data, line.end())


def _is_secret(content: bytes, strong: bool, stem: bytes = b"") -> bool:
    # PWD is the folder that a program runs in.
    if _HARMLESS.match(content) or (stem == b"pwd" and content.startswith(b"/")):
        return False
    return strong or bool(_LOOKS.match(content) and not _LOOKS_NOT.match(content))


def _rule(stem: bytes) -> str:
    """Return the rule for the marker: one of a few kinds."""
    if stem.startswith(b"pass") or stem in (b"pwd", b"pw", b"psw", b"bindpw", b"requirepass"):
        return "password"
    for word in (b"cookie", b"authorization", b"token", b"connection", b"key"):
        if word in stem:
            return word.decode()
    return "secret"
