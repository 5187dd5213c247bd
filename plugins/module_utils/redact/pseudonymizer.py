# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace identities by their tokens in texts, files and paths of a bundle. Pure.

Each distinct word is examined once, whatever the number of identities. The text is then assembled from a table of the
words that change, so the time is linear in the size of the text.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from typing import Any, Iterable, Iterator

from .binary_formats import (
    Patch,
    decompress,
    mask_unprintable,
    profile_strings,
    recompress,
    recompress_patched,
    replace_profile_strings,
)
from .identity_finder import MAX_DEPTH, IdentityFinder, is_distinct, split_windows
from .identity_forms import (
    BEGINS,
    DIVIDER,
    escape_url,
    has_url_escapes,
    is_code,
    is_form,
    long_forms,
    may_contain_forms,
    short_forms,
    unescape_url,
)
from .limits import LIMITS, RedactionLimits
from .pseudonym_table import PseudonymTable, kind_of_token
from .redactor import GZIP, PROFILE, RedactionError, decompressed_content
from .text_encodings import is_other_encoding, transform_text

# Bytes of memory that each examined word takes besides its own.
_OVERHEAD = 100
_BINARY = (".der", ".out")
_ATOM = re.compile(BEGINS + rb"(?=([0-9a-z\x80-\xff]+))")
_ATOMS = re.compile(rb"[0-9a-z\x80-\xff]+")
_ALNUM = re.compile(rb"[0-9a-z\x80-\xff]")
_LETTERS = re.compile(rb"[a-z]+\Z")
_ESCAPED = re.compile(rb"%[0-9A-Fa-f]{2}")
_UNSAFE = re.compile(rb"[^A-Za-z0-9._-]")
# Text has no such bytes; so many bytes of a file are checked.
_CONTROL, _LOOKED_AT = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]"), 1 << 20
# Beginning of a redaction marker, without its bracket.
_MARKER = b"redacted:"


class Pseudonymizer:
    """Replace identities.

    found: the names; identities with a form of their own are found without it. counts: replacements of each kind.
    """

    def __init__(self, tokens: PseudonymTable, found: IdentityFinder, limits: RedactionLimits = LIMITS) -> None:
        self._limits = limits
        self.counts: Counter[str] = Counter()
        self._tokens = tokens
        # Short names, which are replaced only in fields and path components of their own.
        self._short: dict[bytes, bytes] = {}
        # Form of a name -> its token. A name has several forms if notations write it differently.
        self._names: dict[bytes, bytes] = {}
        # First word of names of several words -> their expressions.
        self._phrases: dict[bytes, dict[bytes, re.Pattern[bytes]]] = {}
        # Names of several words or with non-ASCII letters, which binary data does not show as words.
        self._unusual: list[bytes] = []
        # First letters and digits of a form -> lengths of the forms with that beginning, the longest first.
        self._lengths: dict[bytes, list[int]] = {}
        # Examined chunks: replacement and kinds of those that change, beginnings of phrases, and all chunks.
        self._changed: dict[bytes, bytes] = {}
        self._kinds: dict[bytes, Counter[str]] = {}
        self._begin: dict[bytes, dict[bytes, re.Pattern[bytes]]] = {}
        self._seen: set[bytes] = set()
        self._remembered = 0
        tokens.avoid = {*found.names, *found.short}
        for name, (kind, prefix) in found.short.items():
            self._short[name] = tokens.of(name, kind, prefix).encode()
        for name, (kind, prefix) in found.names.items():
            self._learn(name, tokens.of(name, kind, prefix).encode())
        for name, token in list(tokens.known()):
            if is_distinct(name) and not is_form(name):
                self._learn(name, token.encode())
        for lengths in self._lengths.values():
            lengths.sort(reverse=True)

    def _learn(self, name: bytes, token: bytes) -> None:
        for form in _forms(name):
            atom = _ATOM.search(form)
            if not atom:
                continue
            begun = form[atom.start() :]
            if begun in self._names:
                continue
            self._names[begun] = token
            words = DIVIDER.split(begun)
            if len(words) > 1 or begun.translate(_ASCII) != begun:
                self._unusual.append(begun)
            if len(words) > 1:
                expression = re.compile(BEGINS + re.escape(begun) + rb"(?![0-9A-Za-z\x80-\xff])", re.IGNORECASE)
                self._phrases.setdefault(words[0], {})[begun] = expression
                continue
            lengths = self._lengths.setdefault(atom.group(1), [])
            if len(begun) not in lengths:
                lengths.append(len(begun))

    def name(self, name: str) -> str:
        """Replace a name in a field that contains nothing else, where even short names are replaced."""
        token = self._short.get(name.encode("utf-8", "surrogateescape").lower())
        return token.decode() if token else self.text(name)

    def text(self, text: str) -> str:
        """Replace the identities in a text."""
        return self._text(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def value(self, value: Any) -> Any:
        """Replace the identities in plain values (dicts, lists, texts, …), also in keys."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.value(item) for item in value)
        return value

    def data(self, data: bytes, name: str = "") -> bytes:
        """Replace the identities in the content of a file. RedactionError.

        name: file name, which tells the format.
        """
        try:
            if data.startswith(GZIP):
                return self._packed(data, name)
            made = transform_text(data, self._text)
            if made is not None:
                return self._patched(made)
            if name.endswith(_BINARY) or _CONTROL.search(data, 0, _LOOKED_AT):
                return self._patched(data)
            return self._text(data)
        except (RecursionError, MemoryError, re.error, ValueError) as error:
            raise RedactionError(f"{type(error).__name__}: {error}") from error

    def _packed(self, data: bytes, name: str) -> bytes:
        content = decompressed_content(data, self._limits)
        if content is None and is_other_encoding(next(decompress(data), b"")):
            raise RedactionError("it contains text in another encoding that is too large to be searched")
        if content is None:
            patches = list(self._patches(decompress(data)))
            return recompress_patched(data, patches) if patches else data
        made = transform_text(content, self._text)
        made = self._content(content, name) if made is None else self._patched(made)
        return data if made == content else recompress(made, data)

    def _content(self, content: bytes, name: str) -> bytes:
        places = profile_strings(content) if name.endswith(PROFILE) else None
        if places is None:
            return self._patched(content) if _CONTROL.search(content, 0, _LOOKED_AT) else self._text(content)
        texts = [content[start:end] for start, end in places]
        # Strings of a profile contain no NUL.
        made = self._text(b"\0".join(texts)).split(b"\0")
        if len(made) != len(texts):
            made = [self._text(text) for text in texts]
        return replace_profile_strings(content, made)

    def _patched(self, data: bytes) -> bytes:
        """Replace the identities in binary data without changing any length."""
        made = bytearray(data)
        for start, text in self._patches([data]):
            made[start : start + len(text)] = text
        return bytes(made)

    def _patches(self, pieces: Iterable[bytes]) -> Iterator[Patch]:
        """Yield patches for identities in binary data, each as long as the identity, so that no offset moves."""
        size, before, done = 0, b"", 0
        for piece in pieces:
            window = before + piece
            start = size - len(before)
            yield from self._unusual_in(window, start)
            place = start
            # URL escapes divide words as well, because nothing may become shorter.
            for word in DIVIDER.split(_ESCAPED.sub(b"   ", mask_unprintable(window).translate(_ASCII))):
                end = place + len(word)
                if end > done and len(word) > 2:
                    made = self._glued(word)
                    if made is not None:
                        yield place, made
                        done = end
                place = end
            size += len(piece)
            before = window[-self._limits.overlap :]

    def _unusual_in(self, window: bytes, start: int) -> Iterator[Patch]:
        lower = window.lower() if self._unusual else b""
        for form in self._unusual:
            token = self._names[form]
            at = lower.find(form)
            while at >= 0:
                self.counts[kind_of_token(token.decode())] += 1
                yield start + at, _fitted(token, len(form))
                at = lower.find(form, at + len(form))

    def _glued(self, word: bytes) -> bytes | None:
        """Return a word of binary data with its identities replaced, at the same length; None without any.

        The length byte before a text may look like its first letter.
        """
        for skipped in (0, 1):
            found = self._found(word[skipped:])
            if found:
                made = bytearray(word)
                for start, end, token, kind in found:
                    self.counts[kind] += 1
                    made[start + skipped : end + skipped] = _fitted(token, end - start)
                return bytes(made)
        return None

    def _text(self, data: bytes, depth: int = 0) -> bytes:
        made = [self._window(window, depth) for window in split_windows(data, self._limits.window)]
        return b"".join(made)

    def _window(self, data: bytes, depth: int) -> bytes:
        # Splitting by blanks alone is much faster. Each distinct chunk is examined once.
        chunks = data.split(b" ")
        unique = self._look_at(chunks, depth)
        phrases = {form: each for chunk in unique & self._begin.keys() for form, each in self._begin[chunk].items()}
        if phrases:
            # Longest phrases first, and before single words, because their words may be names as well.
            for form in sorted(phrases, key=len, reverse=True):
                data, count = phrases[form].subn(self._names[form], data)
                self.counts[kind_of_token(self._names[form].decode())] += count
            chunks = data.split(b" ")
            unique = self._look_at(chunks, depth)
        transform_text = self._changed
        if transform_text.keys().isdisjoint(unique):
            return data
        for chunk, times in Counter(chunk for chunk in chunks if chunk in transform_text).items():
            for kind, count in self._kinds[chunk].items():
                self.counts[kind] += count * times
        return b" ".join([transform_text.get(chunk, chunk) for chunk in chunks])

    def _look_at(self, chunks: Iterable[bytes], depth: int) -> set[bytes]:
        """Examine the chunks that are new; return all distinct ones."""
        unique = set(chunks)
        # Not inside a nested word: the results for the surrounding words are still needed.
        if self._remembered > self._limits.remembered and not depth:
            self._forget()
        for chunk in unique - self._seen:
            pieces = DIVIDER.split(chunk)
            words = set(pieces[::2])
            for word in words - self._seen:
                self._decide(word, depth)
            if len(pieces) == 1:
                continue
            self._remember(chunk)
            changing = words & self._changed.keys()
            if changing:
                self._changed[chunk] = b"".join([self._changed.get(piece, piece) for piece in pieces])
                kinds = self._kinds[chunk] = Counter()
                for word in filter(changing.__contains__, pieces):
                    kinds.update(self._kinds[word])
            for word in words & self._begin.keys():
                self._begin.setdefault(chunk, {}).update(self._begin[word])
        return unique

    def _decide(self, word: bytes, depth: int) -> None:
        self._remember(word)
        if may_contain_forms(word) or self._may_hold_names(word):
            made, kinds = self._word(word, depth)
            if made != word:
                self._changed[word], self._kinds[word] = made, kinds
        if self._phrases:
            self._look_for_phrases(word)

    def _remember(self, chunk: bytes) -> None:
        self._seen.add(chunk)
        self._remembered += len(chunk) + _OVERHEAD

    def _forget(self) -> None:
        self._remembered = 0
        for each in (self._seen, self._changed, self._kinds, self._begin):
            each.clear()

    def _may_hold_names(self, word: bytes) -> bool:
        if b"\\" in word or word[1:3].count(b"m"):
            return True
        return not self._lengths.keys().isdisjoint(_ATOMS.findall(word.lower()))

    def _look_for_phrases(self, word: bytes) -> None:
        lower = word.lower()
        for match in _ATOM.finditer(lower):
            begins = self._phrases.get(lower[match.start() :])
            if begins:
                self._begin.setdefault(word, {}).update(begins)

    def _word(self, word: bytes, depth: int) -> tuple[bytes, Counter[str]]:
        if b"%" in word and depth < MAX_DEPTH and has_url_escapes(word):
            plain = unescape_url(word)
            total, self.counts = self.counts, Counter()
            try:
                made = self._text(plain, depth + 1)
                kinds = self.counts
            finally:
                self.counts = total
            if made != plain:
                return escape_url(made), kinds
        found = self._found(word)
        made, place = b"", 0
        for start, end, token, _kind in found:
            made += word[place:start] + token
            place = end
        return made + word[place:], Counter(kind for _start, _end, _token, kind in found)

    def _found(self, word: bytes) -> list[tuple[int, int, bytes, str]]:
        """Return start, end, token and kind of each identity in a word, in order."""
        if len(word) < 3 or word.startswith(_MARKER):
            return []
        found: list[tuple[int, int, bytes, str]] = []
        for start, end, identity, kind in long_forms(word):
            _put(found, start, end, self._tokens.of(identity, kind).encode(), kind)
        for start, end, token in self._named(word):
            _put(found, start, end, token, kind_of_token(token.decode()))
        for start, end, identity, kind in short_forms(word):
            if not self._tokens.is_token(identity.decode("utf-8", "replace")):
                _put(found, start, end, self._tokens.of(identity, kind).encode(), kind)
        return sorted(found)

    def _named(self, word: bytes) -> Iterator[tuple[int, int, bytes]]:
        lower = word.lower()
        past = 0
        code = None
        for match in _ATOM.finditer(lower):
            start = match.start()
            lengths = self._lengths.get(match.group(1))
            if start < past or not lengths:
                continue
            for length in lengths:
                end = start + length
                form = lower[start:end]
                if form not in self._names or len(form) < length or _ALNUM.match(lower, end):
                    continue
                if _LETTERS.match(form):
                    code = is_code(word) if code is None else code
                    if code:
                        continue
                yield start, end, self._names[form]
                past = end
                break


# In binary data only ASCII is text.
_ASCII = bytes(each if each < 128 else 10 for each in range(256))


def _fitted(token: bytes, size: int) -> bytes:
    """Return a token padded to this size, or only stars if there is no room for it."""
    return token.ljust(size, b"*") if len(token) <= size else b"*" * size


def _put(found: list[tuple[int, int, bytes, str]], start: int, end: int, token: bytes, kind: str) -> None:
    """Add a match unless it overlaps an earlier one."""
    if all(end <= other[0] or other[1] <= start for other in found):
        found.append((start, end, token, kind))


def _forms(name: bytes) -> list[bytes]:
    """Return the lower-case forms of a name in plain text, JSON, HTML and paths of a bundle."""
    text = name.decode("utf-8", "surrogateescape")
    forms = [name, json.dumps(text)[1:-1].lower().encode("utf-8", "surrogateescape")]
    forms.append(html.escape(text).encode("utf-8", "surrogateescape"))
    safe = _UNSAFE.sub(b"_", re.sub(rb"[\xc0-\xff][\x80-\xbf]*", b"_", name))
    # A name in another script becomes only underscores.
    if sum(1 for sign in safe if sign != 95) > 3:
        forms.append(safe)
    return list(dict.fromkeys(forms))
