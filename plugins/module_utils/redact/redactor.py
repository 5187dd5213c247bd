# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redact secrets in everything that is written or returned. Pure.

A secret is replaced by [redacted:RULE]; all other bytes stay the same. In formats that contain lengths (profiles) the
replacement is as long as the secret. If data cannot be searched, redaction fails and the data must not be shown.
"""

from __future__ import annotations

import bisect
import functools
import json
import re
import sys
from typing import Any, Iterable, Iterator, Tuple

from . import sent_credentials, text_encodings
from .binary_formats import (
    Patch,
    decompress,
    mask_outside,
    mask_unprintable,
    profile_strings,
    recompress,
    recompress_patched,
)
from .limits import LIMITS, RedactionLimits
from .secret_fields import Span, find_named_secrets, is_secret_name
from .secret_rules import OWN_RULES, TOKEN_LENGTH, TOKEN_RULES, SecretRule

LEVELS = SECRETS, NONE = ("secrets", "none")
# For a whole bundle: redact secrets, and replace identities by tokens (pseudonymizer.py).
IDENTITY = "identity"
MARKER = re.compile(rb"\[redacted:([a-z0-9-]{1,48})\]")
# Shorter known secrets, and words of letters shorter than the second, are not searched: they occur in any text.
KNOWN_LENGTH, KNOWN_WORD_LENGTH = 6, 12
# The first bytes of a known secret are redacted as well, because a peer may truncate a text inside the secret.
KNOWN_BEGINNING = 16
GZIP = b"\x1f\x8b"
# Above this number, searching the words takes as long as trying the rule everywhere.
WORDS_AT_A_TIME = 20
_BINARY = (".gz", ".der", ".out")
_JSON = (".json", ".jsonl")
PROFILE = ".pb.gz"
# Dividers of words, besides blanks.
DIVIDERS = bytes.maketrans(b"\"'`\0", b"    ")


class RedactionError(Exception):
    """Data could not be searched for secrets, so it must not be shown."""


def marker(rule: str) -> bytes:
    """Return the text that replaces a secret of this rule."""
    return b"[redacted:%s]" % rule.encode()


def count_markers(data: bytes) -> dict[str, int]:
    """Return the number of markers of each rule in this text."""
    counts: dict[str, int] = {}
    for match in MARKER.finditer(data):
        name = match.group(1).decode()
        counts[name] = counts.get(name, 0) + 1
    return counts


class Redactor:
    """Redact secrets.

    level: one of LEVELS. known: credentials of the run itself, which are redacted everywhere and at every level.
    """

    def __init__(self, level: str = SECRETS, known: Iterable[str] = (), limits: RedactionLimits = LIMITS) -> None:
        if level not in LEVELS:
            raise ValueError(f"'{level}' is not one of {', '.join(LEVELS)}")
        self.level = level
        self.limits = limits
        self._given = {word.encode() for word in known}

    @property
    def _known(self) -> list[bytes]:
        """Return the credentials of the run, the longest first."""
        return sorted(filter(_is_distinct, self._given | sent_credentials.remembered()), key=len, reverse=True)

    @property
    def _finds_nothing(self) -> bool:
        return self.level == NONE and not self._known

    def data(self, data: bytes, name: str = "") -> bytes:
        """Redact the content of a file. RedactionError.

        name: file name, which tells the format.
        """
        if self._finds_nothing or not data:
            return data
        try:
            if data.startswith(GZIP):
                return self._packed(data, name)
            made = text_encodings.transform_text(data, lambda text: self._plain(text, name))
            # Data in another encoding may follow the text.
            return self._plain(data, name) if made is None else self._masked(made)
        except (RecursionError, MemoryError, re.error, ValueError) as error:
            raise RedactionError(f"{type(error).__name__}: {error}") from error

    def _plain(self, data: bytes, name: str) -> bytes:
        """Redact uncompressed content; text must be UTF-8."""
        if name.endswith(_BINARY):
            return self._masked(data)
        if name.endswith(_JSON):
            return self._json(data, name)
        return self._replaced(data, is_json=False)

    def text(self, text: str) -> str:
        """Redact a text."""
        if self._finds_nothing or not text:
            return text
        data = text.encode("utf-8", "surrogatepass")
        made = self._replaced(data, is_json=False)
        return text if made is data else made.decode("utf-8", "surrogatepass")

    def value(self, value: Any) -> Any:
        """Redact plain values (dicts, lists, texts, …). Keys stay."""
        if self._finds_nothing:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._dict(value)
        if isinstance(value, (list, tuple)):
            return type(value)(self.value(item) for item in value)
        return value

    def _dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        named = is_secret_name(str(value.get("name") or ""))
        made = {}
        for key, item in value.items():
            secret = is_secret_name(str(key)) or (named and key == "value")
            is_plain = isinstance(item, (str, int, float)) and not isinstance(item, bool)
            whole = secret and is_plain and self.level != NONE
            made[key] = self._whole(item) if whole else self.value(item)
        return made

    def _whole(self, item: Any) -> Any:
        """Redact a whole value that is a secret by its name. Empty values and markers stay."""
        text = self.text(f"password={json.dumps(str(item))}")
        return json.loads(text[len("password=") :]) if "[redacted:" in text else item

    def _json(self, data: bytes, name: str) -> bytes:
        made = self._replaced(data, is_json=True)
        if made is data:
            return data
        before, after = ((one.splitlines() if name.endswith(".jsonl") else [one]) for one in (data, made))
        try:
            if all(_is_of_one_shape(json.loads(old), json.loads(new)) for old, new in zip(before, after)):
                return made
        except (ValueError, RecursionError):
            pass
        return self._by_value(data, name)

    def _by_value(self, data: bytes, name: str) -> bytes:
        """Redact JSON value by value, for documents that replacing in the text would break.

        Slow. Text that is not JSON is redacted as text.
        """
        try:
            documents = [json.loads(line) for line in (data.splitlines() if name.endswith(".jsonl") else [data])]
            lines = [json.dumps(self.value(one), ensure_ascii=False, sort_keys=True) for one in documents]
        except (ValueError, RecursionError):
            return self._replaced(data, is_json=False)
        return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")

    def _packed(self, data: bytes, name: str) -> bytes:
        """Redact the content of a gzip stream. A stream without secrets stays the same.

        A damaged stream is searched up to the damage; no reader gets beyond it.
        """
        content = decompressed_content(data, self.limits)
        if content is None and text_encodings.is_other_encoding(next(decompress(data), b"")):
            raise RedactionError("it contains text in another encoding that is too large to be searched")
        made = (
            text_encodings.transform_text(content, lambda text: self._replaced(text, is_json=False))
            if content
            else None
        )
        if content is not None and made is not None:
            made = self._masked(made)
            return data if made is content else recompress(made, data)
        texts = profile_strings(content) if content is not None and name.endswith(PROFILE) else None
        if content is not None and texts is not None:
            content = mask_outside(content, texts)
            patches = _patches(self._spans(content, is_json=False), content)
        else:
            patches = _patches(self._spans_of_pieces(decompress(data)), b"")
        return recompress_patched(data, patches) if patches else data

    def _spans_of_pieces(self, pieces: Iterable[bytes]) -> Iterator[Span]:
        """Yield all secrets in binary data that comes in pieces, so that it is never held as a whole."""
        size, before = 0, b""
        for piece in pieces:
            window = before + piece
            yield from _moved(
                self._spans_of_window(mask_unprintable(window), False, is_binary=True), size - len(before)
            )
            size += len(piece)
            before = window[-self.limits.overlap :]

    def _masked(self, data: bytes) -> bytes:
        """Redact binary data without changing any length."""
        made = bytearray(data)
        for start, text in _patches(self._spans_of_pieces([data]), data):
            made[start : start + len(text)] = text
        return bytes(made) if made != data else data

    def _replaced(self, data: bytes, is_json: bool) -> bytes:
        """Replace secrets in text by markers. Returns the same object if there is none."""
        pieces, place = [], 0
        for start, end, rule, around in _united(self._spans(data, is_json), data):
            pieces += [data[place:start], around + marker(rule) + around]
            place = end
        if not pieces:
            return data
        return b"".join([*pieces, data[place:]])

    def _spans(self, data: bytes, is_json: bool) -> Iterator[Span]:
        """Yield all secrets. A long text is searched in overlapping windows to limit memory."""
        size = self.limits.window
        for start in range(0, len(data), size):
            low = max(0, start - self.limits.overlap)
            window = data[low : start + size] if len(data) > size else data
            yield from _moved(self._spans_of_window(window, is_json, is_binary=False), low)

    def _spans_of_window(self, data: bytes, is_json: bool, is_binary: bool) -> Iterator[Span]:
        for word in self._known:
            place = data.find(word[:KNOWN_BEGINNING])
            while place >= 0:
                end = place + _common(word, data[place : place + len(word)])
                yield place, end, "own-credential", b""
                place = data.find(word[:KNOWN_BEGINNING], end)
        if self.level == NONE:
            return
        # Logs and dumps repeat the same words, so most rules search each distinct word once.
        unique = set(data.translate(DIVIDERS).split())
        words = b"\n".join(unique)
        lower = words.lower()
        for rule in _hinted(_OWN, lower):
            yield from _in_words(rule, words, data) if rule.one_word else _matches(rule, data)
        words = b"\n".join([word for word in unique if len(word) >= TOKEN_LENGTH])
        for rule in _hinted(_TOKENS, words.lower()):
            yield from _in_words(rule, words, data)
        yield from find_named_secrets(data, lower, is_json, is_binary)


_Hinted = Tuple[SecretRule, Tuple[bytes, ...], bytes]


def _with_hints(rules: Iterable[SecretRule]) -> tuple[_Hinted, ...]:
    return tuple((rule, tuple(word.encode() for word in rule.words), rule.also.encode()) for rule in rules)


_OWN, _TOKENS = _with_hints(OWN_RULES), _with_hints(TOKEN_RULES)


def _hinted(rules: Iterable[_Hinted], lower: bytes) -> Iterator[SecretRule]:
    """Yield the rules of which a word occurs."""
    return (rule for rule, hints, also in rules if also in lower and any(hint in lower for hint in hints))


def _common(one: bytes, other: bytes) -> int:
    """Return the length of the common prefix."""
    return next((at for at, (left, right) in enumerate(zip(one, other)) if left != right), min(len(one), len(other)))


def _is_distinct(word: bytes) -> bool:
    text = word.decode("utf-8", "replace")
    return len(text) >= (KNOWN_WORD_LENGTH if text.isalpha() else KNOWN_LENGTH)


def _is_of_one_shape(one: Any, other: Any) -> bool:
    """Return whether lists and objects are in the same places, so that no secret spanned several texts."""
    if isinstance(one, dict):
        return isinstance(other, dict) and _is_of_one_shape([*one.values()], [*other.values()])
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(_is_of_one_shape, one, other))
    return not isinstance(other, (dict, list))


def decompressed_content(data: bytes, limits: RedactionLimits = LIMITS) -> bytes | None:
    """Decompress a gzip stream. None: too large to be held as a whole. RedactionError: above the limit."""
    size = 0
    pieces: list[bytes] = []
    for piece in decompress(data):
        size += len(piece)
        pieces = [*pieces, piece] if size <= limits.whole else []
        if size > limits.unpacked:
            raise RedactionError(f"it decompresses to more than {limits.unpacked} bytes")
    return b"".join(pieces) if size <= limits.whole else None


def iter_texts(data: bytes) -> Iterator[bytes]:
    """Yield the content of a file in pieces: decompressed, and as UTF-8 if it is text in another encoding."""
    return text_encodings.iter_utf8(decompress(data) if data.startswith(GZIP) else (data,))


def fixed_length_marker(rule: str, size: int) -> bytes:
    """Return a replacement of the same length as the secret."""
    sign = marker(rule)
    return sign.ljust(size, b"*") if size >= len(sign) else b"*" * size


def _patches(spans: Iterable[Span], data: bytes) -> list[Patch]:
    """Return a replacement of the same length for each secret, and its offset."""
    return [(start, fixed_length_marker(rule, end - start)) for start, end, rule, _around in _united(spans, data)]


def _moved(spans: Iterable[Span], by: int) -> Iterator[Span]:
    return ((start + by, end + by, rule, around) for start, end, rule, around in spans)


def _united(spans: Iterable[Span], data: bytes) -> Iterator[Span]:
    """Yield the spans in order, overlapping ones merged, except those that begin or end in an existing marker."""
    markers = [match.span() for match in MARKER.finditer(data)] if b"[redacted:" in data else []
    last: Span | None = None
    for span in sorted(spans, key=lambda one: (one[0], -one[1])):
        if _is_in(markers, span[0]) or _is_in(markers, span[1] - 1):
            continue
        if last and span[0] < last[1]:
            last = (last[0], max(last[1], span[1]), last[2], last[3])
            continue
        if last:
            yield last
        last = span
    if last:
        yield last


def _is_in(ranges: list[tuple[int, int]], place: int) -> bool:
    number = bisect.bisect_right(ranges, (place, sys.maxsize)) - 1
    return number >= 0 and place < ranges[number][1]


@functools.lru_cache(maxsize=None)
def _compiled(rule: SecretRule) -> re.Pattern[bytes]:
    return re.compile(rule.expression.encode())


def _in_words(rule: SecretRule, words: bytes, data: bytes) -> Iterator[Span]:
    """Yield the matches of a rule whose matches are always inside one word."""
    expression = _compiled(rule)
    found: dict[bytes, list[tuple[int, int]]] = {}
    for match in expression.finditer(words):
        start, stop = match.span(rule.group)
        # The match may include the newlines around the word.
        start += words.startswith(b"\n", start)
        stop -= words.endswith(b"\n", start, stop)
        begin = words.rfind(b"\n", 0, start) + 1
        end = words.find(b"\n", stop)
        found.setdefault(words[begin : end if end >= 0 else None], []).append((start - begin, stop - begin))
    if len(found) > WORDS_AT_A_TIME:
        yield from _matches(rule, data)
        return
    for word, places in found.items():
        at = data.find(word)
        while at >= 0:
            yield from ((at + start, at + stop, rule.name, b"") for start, stop in places if stop > start)
            at = data.find(word, at + len(word))


def _matches(rule: SecretRule, data: bytes) -> Iterator[Span]:
    for match in _compiled(rule).finditer(data):
        start, end = match.span(rule.group)
        if end > start:
            yield start, end, rule.name, b""
