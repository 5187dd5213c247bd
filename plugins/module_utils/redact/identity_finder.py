# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find names of hosts, pods, projects, users and instances in everything that a bundle contains. Pure.

A name needs to be found only once, where a field or a notation identifies it; pseudonymizer.py replaces it everywhere.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Iterator, Sequence

from .identity_forms import ASSIGNED, DIVIDER, find_named, has_url_escapes, split_words, unescape_url
from .identity_words import DNS, HOST, ID, USER, is_common_word, kind_of_field
from .limits import LIMITS, RedactionLimits
from .pseudonym_table import PseudonymTable

# Shorter names occur in too many other texts; RFC 1035 allows no longer ones.
SHORTEST, LONGEST = 3, 253
# Maximum words of a quoted name, names in a list, and levels of nested URL escapes.
MAX_WORDS, MAX_LISTED, MAX_DEPTH = 16, 10_000, 2
# Maximum number of words remembered as seen: some hundred MB.
MAX_SEEN = 2_000_000
# Maximum distance by which a window ends early, at the end of a line.
_BACK = 64 << 10

_HEX_ID = re.compile(rb"(?:[0-9a-f]{32}|[0-9a-f]{64})\Z", re.IGNORECASE)
_ADDRESS = re.compile(rb"(?:\d{1,3}\.){3}\d{1,3}(?:[:/].*)?\Z")
_UUID = re.compile(rb"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z", re.IGNORECASE)
_MAC = re.compile(rb"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\Z", re.IGNORECASE)
_DISTINCT = re.compile(rb"[0-9._\x80-\xff-]")
_HAS_LETTER = re.compile(rb"[A-Za-z\x80-\xff]")
_FIELD_END = re.compile(rb"(?:^|[^A-Za-z0-9])([A-Za-z][A-Za-z0-9_.-]{1,63})(?:[:=]|\\{1,16})?\Z")
_PLAIN = re.compile(rb"[\w.@+~\x80-\xff-]+")
# Text with one of these words is not a name.
_SENTENCE = frozenset(
    ("a", "an", "and", "are", "be", "been", "by", "cannot", "failed", "for", "from", "has", "in", "is", "no", "not",
     "of", "on", "or", "the", "to", "was", "with")
)  # fmt: skip
_ASSIGNS = (b"=", b":", b"=>", b":=", b"==")


def split_windows(data: bytes, size: int) -> Iterator[bytes]:
    """Split text into pieces of about this size that end with a line, or at least between two words, if possible."""
    start = 0
    while start < len(data):
        end = start + size
        if end < len(data):
            low = max(start + 1, end - _BACK)
            end = next((at + 1 for at in (data.rfind(sign, low, end) for sign in (b"\n", b",", b" ")) if at >= 0), end)
        yield data[start:end]
        start = end


class IdentityFinder:
    """Collect names and their kinds.

    tokens: table whose tokens are not names.
    """

    def __init__(self, tokens: PseudonymTable, limits: RedactionLimits = LIMITS) -> None:
        self._tokens = tokens
        self._window = limits.window
        self._seen: set[bytes] = set()
        self._excluded: set[bytes] = set()
        # Name -> its kind, and the prefix of its token. The first occurrence counts.
        self.names: dict[bytes, tuple[str, str]] = {}
        # The same for names so short that they are replaced only in a field or path component of their own.
        self.short: dict[bytes, tuple[str, str]] = {}

    def exclude(self, name: str) -> None:
        """Never take this word for a name."""
        self._excluded.add(name.encode("utf-8", "surrogateescape").lower())

    def add_name(self, name: str, kind: str, prefix: str = "") -> None:
        """Add a name from a field that contains nothing else."""
        word = name.encode("utf-8", "surrogateescape").lower()
        if not word or self._tokens.is_token(name) or (kind == HOST and _ADDRESS.match(word)):
            return
        if not is_distinct(word):
            self.short.setdefault(word, (kind, prefix))
        elif kind == HOST and b"." in word:
            self._host(word)
        elif not _is_common(word):
            self.names.setdefault(word, (kind, prefix))

    def add_text(self, data: bytes, depth: int = 0) -> None:
        """Add the names in text of any notation."""
        for window in split_windows(data, self._window):
            unique = dict.fromkeys(split_words(window))
            new = [word for word in unique if word not in self._seen]
            if len(self._seen) > MAX_SEEN:
                self._seen.clear()
            self._seen.update(new)
            self._from_words(new, depth)
            fields = {word: kind for word, kind in ((word, _kind(word)) for word in unique) if kind}
            if not fields:
                continue
            pieces = DIVIDER.split(window)
            words, signs = pieces[::2], pieces[1::2]
            for number in [number for number, word in enumerate(words) if word in fields]:
                self._from_field(fields[words[number]], words, signs, number)

    def _from_words(self, words: Sequence[bytes], depth: int) -> None:
        block = b"\n".join(words)
        for name, kind in find_named(block):
            self._take(name, kind)
        for match in ASSIGNED.finditer(block):
            kind = kind_of_field(match.group(1).decode())
            if kind:
                self._take(match.group(2), kind)
        if depth < MAX_DEPTH and b"%" in block:
            self.add_text(b"\n".join([unescape_url(word) for word in words if has_url_escapes(word)]), depth + 1)

    def _from_field(self, kind: str, words: Sequence[bytes], signs: Sequence[bytes], number: int) -> None:
        """Add the value or values after the name of a field."""
        if number >= len(signs):
            return
        sign, assigned = signs[number], words[number][-1:] in (b":", b"=")
        colon = words[number].endswith(b":")
        number += 1
        if not assigned and words[number].rstrip(b"\\") in _ASSIGNS and number < len(signs):
            # key = value, and in some notations "key" : "value".
            sign, assigned, colon = signs[number], True, words[number].startswith(b":")
            number += 1
        if not words[number].strip(b"\\") and words[number] and number < len(signs):
            # In JSON within JSON a backslash precedes the quote; here it is a separate word.
            sign = signs[number]
            number += 1
        if assigned and b"{" in sign:
            self._from_object(kind, words, signs, number)
            return
        opened, quote, listed = _opening(sign)
        if not opened:
            return
        if listed:
            self._from_list(kind, words, signs, number, quote)
        elif quote:
            self._take(_quoted(words, signs, number, quote), kind, is_quoted=True)
        elif _is_name(words, signs, number, assigned, colon):
            self._take(words[number], kind)

    def _from_object(self, kind: str, words: Sequence[bytes], signs: Sequence[bytes], number: int) -> None:
        """Add the name in an object that a field contains, as in {"user": {"id": "…", "name": "…"}}."""
        for place in range(number, min(number + MAX_WORDS, len(signs))):
            if words[place].rstrip(b":\\").lower() == b"name":
                self._from_field(kind, words, signs, place)
                return
            if b"{" in signs[place] or b"}" in signs[place]:
                return

    def _from_list(self, kind: str, words: Sequence[bytes], signs: Sequence[bytes], number: int, quote: bytes) -> None:
        for place in range(number, min(number + MAX_LISTED, len(words))):
            self._take(words[place], kind, is_quoted=bool(quote))
            if place >= len(signs) or b"]" in signs[place] or b"}" in signs[place] or b"{" in signs[place]:
                return

    def _take(self, value: bytes, kind: str, is_quoted: bool = False) -> None:
        """Add a value after a check of its form: a host may have a port, an id must look like one."""
        value = value.strip(b" \t()*&:.,!?/\\=")
        if not value or len(value) > LONGEST:
            return
        if _UUID.match(value) or _ADDRESS.match(value) or _MAC.match(value):
            return  # recognized by their form
        if _HEX_ID.match(value):
            self.names.setdefault(value.lower(), (ID, ""))
            return
        if kind == ID:
            return
        if kind == HOST or b"://" in value:
            self._host(_host_of(value))
            return
        if not is_quoted:
            plain = _PLAIN.match(value)
            value = plain.group().strip(b".,:-_") if plain else b""
        elif _is_sentence(value):
            return
        if kind == USER and b"@" in value:
            value, _at, host = value.partition(b"@")
            self._host(host)
        self._add(value.lower(), kind)

    def _host(self, name: bytes) -> None:
        """Add a host name: its first label, and its domain."""
        name = name.lower().strip(b".-_")
        if _ADDRESS.match(name) or _is_common(name):
            return
        label, _dot, domain = name.partition(b".")
        if domain and not _is_common(domain) and _HAS_LETTER.search(domain):
            self._add(domain, DNS)
        if domain and (not _DISTINCT.search(label) or len(label) < SHORTEST) and not _is_common(label):
            # The first label alone may be an ordinary word: "web", "mail".
            self._add(name, HOST)
        else:
            self._add(label, HOST)

    def _add(self, name: bytes, kind: str) -> None:
        if len(name) > LONGEST or not is_distinct(name) or _is_common(name) or name in self._excluded:
            return
        if not self._tokens.is_token(name.decode("utf-8", "surrogateescape")):
            self.names.setdefault(name, (kind, ""))


def is_distinct(name: bytes) -> bool:
    """Return whether a name is long enough and not a number, so that replacing it everywhere is safe."""
    return len(name) >= SHORTEST and _HAS_LETTER.search(name) is not None


def _is_common(name: bytes) -> bool:
    return is_common_word(name.decode("utf-8", "replace"))


def _host_of(value: bytes) -> bytes:
    """Return the host in a URL, an image name, or an address with a port or a user."""
    is_url = b"://" in value
    value = value.split(b"://", 1)[-1]
    head, slash, _rest = value.partition(b"/")
    if slash and not is_url and b"." not in head and b":" not in head:
        return b""
    # Go's MySQL driver writes tcp(HOST:PORT).
    head = head.rsplit(b"@", 1)[-1].rpartition(b"(")[2]
    match = _PLAIN.match(head)
    return match.group() if match else b""


@functools.lru_cache(maxsize=65536)
def _kind(word: bytes) -> str:
    """Return the kind of the field that a word names, with or without an assignment sign; "" for other words."""
    match = _FIELD_END.search(word) if len(word) < 256 else None
    return kind_of_field(match.group(1).decode()) if match else ""


@functools.lru_cache(maxsize=4096)
def _opening(sign: bytes) -> tuple[bool, bytes, bool]:
    """Return whether a value can begin after this divider, the quote before it, and whether a list begins with it."""
    match = re.fullmatch(
        rb"(\\{0,16}[\"'`])?[ \t:=]*(?:\x1b\[[0-9;]*m)*([\[({<][ \t\r\n]*|&[ \t]*)?(>)?(\\{0,16}[\"'`])?", sign
    )
    if not match or (match.group(2) or b"")[:1] == b"{":
        return False, b"", False
    closed, opened = match.group(1), match.group(4)
    if closed and not opened and not re.search(rb"[:=]", sign):
        # One quote alone opens a value: host "x".
        return (True, closed, False) if sign.rstrip().endswith(closed) else (False, b"", False)
    return True, opened or b"", (match.group(2) or b"")[:1] == b"["


def _quoted(words: Sequence[bytes], signs: Sequence[bytes], number: int, quote: bytes) -> bytes:
    """Return the text up to the closing quote, with its escapes decoded."""
    pieces: list[bytes] = []
    for place in range(number, min(number + MAX_WORDS, len(words))):
        pieces.append(words[place])
        sign = signs[place] if place < len(signs) else quote
        before, found, _after = sign.partition(quote)
        if found:
            pieces.append(before)
            break
        pieces.append(sign)
    else:
        return b""
    text = b"".join(pieces)
    if b"\\" in text:
        try:
            return str(json.loads(b'"%s"' % text)).encode("utf-8", "surrogateescape")
        except ValueError:
            return text
    return text


def _is_name(words: Sequence[bytes], signs: Sequence[bytes], number: int, assigned: bool, colon: bool) -> bool:
    """Return whether an unquoted word after the name of a field is a name and not part of a sentence."""
    value = words[number].strip(b".,:;!?()-_")
    if (assigned and not colon) or words[number - 1].startswith(b"-"):
        return True  # host = x, --host x
    if assigned and _DISTINCT.search(value):
        return True  # host: node-7
    if assigned:
        # In YAML nothing else may be on the line.
        begins = number < 2 or b"\n" in signs[number - 2] or words[number - 2] == b"-"
        return begins and (number >= len(signs) or signs[number].lstrip(b" \t\r").startswith(b"\n"))
    return bool(re.search(rb"\d", value) and re.search(rb"[A-Za-z]", value))  # host node7


def _is_sentence(value: bytes) -> bool:
    words = value.decode("utf-8", "replace").lower().split()
    return len(words) > 1 and (not _SENTENCE.isdisjoint(words) or all(is_common_word(word) for word in words))
