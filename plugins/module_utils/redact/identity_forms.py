# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognize identities by their own form, and split text into words. Pure.

Logs repeat the same words, so every distinct word is examined only once.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Iterator, Tuple

from .identity_words import DOMAIN, HOST, ID, IP, MAC, NAME, POD, PROJECT, USER, VM, is_common_word

# Start, end, identity and kind.
IdentityMatch = Tuple[int, int, bytes, str]

# Captured, so that split text can be joined again: words have even indexes, dividers odd ones.
_DIVIDERS = bytes([*range(0x21), 0x7F]) + b"\"'`,;{}[]<>|"
DIVIDER = re.compile(b"([%s]+)" % re.escape(_DIVIDERS))
_BLANKS = bytes.maketrans(_DIVIDERS, b" " * len(_DIVIDERS))
# Start of a name: not inside a word, but after an escape of JSON or Go (\n, \u003d), and after the rest of a terminal's
# color sequence (ESC [ 31 m).
BEGINS = rb"(?:(?<![0-9A-Za-z\x80-\xff])|(?<=\\[nrtbfv])|(?<=\\u[0-9A-Fa-f]{4})|(?<=\A[0-9]m)|(?<=\A[0-9]{2}m))"
_URL_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_NOT_IN_URLS = re.compile(rb"[^A-Za-z0-9/:=&?.~_+@!*'(),;$-]")
# A word without a match contains no form.
_SIGNS = re.compile(
    rb"\d\.\d+\.\d+\.\d|[-_][0-9A-Fa-f]{4}[-_]|:[0-9A-Fa-f]*:|[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-|%[0-9A-Fa-f]{2}|/home/|=\Z"
)
_UUID = re.compile(rb"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![0-9A-Fa-f])")
_UUID_JOINED = re.compile(rb"[0-9A-Fa-f]{8}_(?:[0-9A-Fa-f]{4}_){3}[0-9A-Fa-f]{12}(?![0-9A-Fa-f])")
_MAC = re.compile(
    BEGINS + rb"(?<![:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![0-9A-Za-z]|[:-][0-9A-Fa-f]{2})"
)
_IPV6 = re.compile(BEGINS + rb"(?<!:)(?=[0-9A-Fa-f]*:[0-9A-Fa-f]*:)[0-9A-Fa-f:]{2,39}(?![0-9A-Za-z]|\.\d)")
_IPV4 = re.compile(BEGINS + rb"(?<!\.)(?:\d{1,3}\.){3}\d{1,3}(?![0-9A-Za-z]|\.\d)")
# SHA-1 of a host name, which services log with each request (appsrv).
_HOST_HASH = re.compile(rb"[A-Za-z0-9_+/-]{27}=")
_HOME = re.compile(rb"(?<=/home/)[A-Za-z0-9_.\x80-\xff-]+")
_BROWSER = re.compile(rb"(?:Chrome|Chromium|Safari|Edge?|OPR|Firefox|Version|HeadlessChrome|Electron)/\Z")
_NO_MAC = (b"00:00:00:00:00:00", b"ff:ff:ff:ff:ff:ff")
_NO_UUID = b"00000000-0000-0000-0000-000000000000"
# Go functions, source files and stack frames.
_CODE = re.compile(
    rb"\.\(\*|\(0x|\(\.\.\.\)|\(\)\Z|\+0x[0-9a-f]+\Z|\.(?:go|s|c)(?::\d+)?\)?\Z|\A(?:runtime|main|net/|sync|time|internal/"
    rb"|reflect|syscall|database/sql|encoding/|crypto/|yunion\.io/|github\.com/|google\.golang\.org/|golang\.org/|k8s\.io/"
    rb"|go\.[a-z]+\.|gopkg\.in/|sigs\.k8s\.io/|/usr/local/go/|/root/go/)[\w./()*~-]*\Z"
)


def split_words(data: bytes) -> list[bytes]:
    """Split text into its words. Faster than splitting by DIVIDER, which also returns the dividers."""
    return data.translate(_BLANKS).split()


def has_url_escapes(word: bytes) -> bool:
    """Return whether a word has URL escapes such as %3D."""
    return _URL_ESCAPE.search(word) is not None


def unescape_url(word: bytes) -> bytes:
    """Decode the URL escapes of a word."""
    return _URL_ESCAPE.sub(lambda match: bytes([int(match.group()[1:], 16)]), word)


def escape_url(text: bytes) -> bytes:
    """Encode text as a word of a URL."""
    return _NOT_IN_URLS.sub(lambda match: b"%%%02X" % match.group()[0], text)


def may_contain_forms(word: bytes) -> bool:
    """Return whether a word may contain a form or an escape, so that a closer look is worth the time."""
    return _SIGNS.search(word) is not None


def is_code(word: bytes) -> bool:
    """Return whether a word is a name in Go code, in which plain words are not identities."""
    return _CODE.search(word) is not None


def is_form(identity: bytes) -> bool:
    """Return whether an identity is recognized by its form, without being known."""
    return any(True for _found in long_forms(identity)) or any(True for _found in short_forms(identity))


def long_forms(word: bytes) -> Iterator[IdentityMatch]:
    """Yield UUIDs, MAC addresses, IPv6 addresses and hashes of host names."""
    if _HOST_HASH.fullmatch(word) and len(set(word)) > 8:
        yield 0, len(word), word, ID
        return
    if word.count(b"-") >= 4 or word.count(b"_") >= 4:
        yield from _uuids(word)
    if word.count(b":") >= 2 or word.count(b"-") >= 5:
        yield from _macs(word)
        yield from filter(None, map(_ipv6, _IPV6.finditer(word)))


def _uuids(word: bytes) -> Iterator[IdentityMatch]:
    for expression in (_UUID, _UUID_JOINED):
        for match in expression.finditer(word):
            identity = match.group().lower().replace(b"_", b"-")
            if identity != _NO_UUID:
                yield match.start(), match.end(), identity, ID


def _macs(word: bytes) -> Iterator[IdentityMatch]:
    for match in _MAC.finditer(word):
        identity = match.group().lower().replace(b"-", b":")
        if identity not in _NO_MAC:
            yield match.start(), match.end(), identity, MAC


def _ipv6(match: re.Match[bytes]) -> IdentityMatch | None:
    """Return the IPv6 address of a match unless it is loopback or unspecified. A colon after it is not part of it."""
    text = match.group()
    if not re.search(rb"\d", text):
        return None  # a::b
    # A port may follow without brackets; then it cannot be distinguished from a part of the address.
    for end in (len(text), len(text) - 1):
        try:
            address = ipaddress.IPv6Address(text[:end].decode())
        except ValueError:
            continue
        if address.is_loopback or address.is_unspecified:
            return None
        return match.start(), match.start() + end, address.compressed.encode(), IP
    return None


def short_forms(word: bytes) -> Iterator[IdentityMatch]:
    """Yield IPv4 addresses, and user names in paths of home directories."""
    if word.count(b".") >= 3:
        for match in _IPV4.finditer(word):
            parts = match.group().split(b".")
            is_address = all(int(part) < 256 for part in parts) and not _is_common(parts)
            if is_address and not _BROWSER.search(word, 0, match.start()):
                yield match.start(), match.end(), b".".join(b"%d" % int(part) for part in parts), IP
    if b"/home/" in word:
        for match in _HOME.finditer(word):
            if not is_common_word(match.group().lower().decode("utf-8", "replace")):
                yield match.start(), match.end(), match.group().lower(), USER


def _is_common(parts: list[bytes]) -> bool:
    """Return whether an IPv4 address is loopback, unspecified, a netmask or broadcast."""
    return parts[0] == b"127" or parts == [b"0"] * 4 or parts[:2] == [b"255", b"255"]


_TOP = "com|cn|net|org|io|local|lan|internal|corp|intra|example|test|home|private|localdomain|cloud|site|cluster|de|eu"
_LABELS = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+"
_ANY_ID = "(?:[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|[0-9a-f]{32})"
_WORD = r"[\w.\x80-\xff][\w.\x80-\xff-]*"
_WITH_DIGIT = r"[\w.\x80-\xff-]*\d[\w.\x80-\xff-]*"
# Names that the text around them in the same word identifies: expression, and kind of its group.
_NAMED = tuple(
    (re.compile(expression.encode("latin-1")), kind)
    for expression, kind in (
        (rf"[a-z][a-z0-9+.-]{{1,15}}://(?:[^/@\s]{{0,256}}@)?(?:\w{{1,8}}\()?({_WORD})", HOST),
        (r"(?<![\w./@-])([A-Za-z][\w.+-]*)@[A-Za-z][\w-]*(?:\.[\w-]+)+(?![\w(])", USER),
        (r"(?<![\w./-])[A-Za-z][\w.+-]*@([A-Za-z][\w-]*(?:\.[\w-]+)+)(?![\w(:/]*sha)", HOST),
        (rf"(?<![\w./@$-])({_LABELS}(?:{_TOP}))(?![\w/(.-])", HOST),
        (rf"(?<![\w.\x80-\xff-])({_WORD})\({_ANY_ID}(?![\w-])", NAME),
        (rf"/(?:hosts|baremetals|nodes)/({_WITH_DIGIT})", HOST),
        (rf"/(?:projects|tenants)/({_WITH_DIGIT})", PROJECT),
        (rf"/users/({_WITH_DIGIT})", USER),
        (rf"/(?:servers|guests|instances|vms)/({_WITH_DIGIT})", VM),
        (rf"/domains/({_WITH_DIGIT})", DOMAIN),
        (rf"/home/({_WORD})", USER),
        (rf"/pods/({_WORD})", POD),
    )
)
# Field and value in one word: name=value, Name:value; in queries, environments and Go structs.
ASSIGNED = re.compile(
    rb"(?:^|(?<=[^A-Za-z0-9]))([A-Za-z][A-Za-z0-9_.-]{0,63})[=:](?!//)([^\s=&?]{1,253})", re.MULTILINE
)


def find_named(words: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield names and their kinds that the text around them identifies. words: one word a line."""
    for expression, kind in _NAMED:
        for match in expression.finditer(words):
            yield match.group(1), kind
