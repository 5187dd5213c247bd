# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered pseudonyms ("tokens") of identities: host-0001, region-pod-0002. Pure.

Identities are lower-case bytes: host names are case-insensitive, and the database of Cloudpods compares names without
case.
"""

from __future__ import annotations

import re
from typing import Container, Iterable, Mapping

from .identity_words import KINDS

_TOKEN = re.compile(rf"(?:[a-z][a-z0-9-]*-)?(?P<kind>{'|'.join(KINDS)})-(?P<number>\d{{4,}})")
FORMAT, VERSION = "cloudpods.diagnostics/identities", 1


def kind_of_token(token: str) -> str:
    """Return the kind that a token names, or "" if the text does not have the form of a token."""
    match = _TOKEN.fullmatch(token)
    return match.group("kind") if match else ""


class PseudonymTable:
    """One-to-one table of identities and their tokens.

    avoid: words that must not become tokens, because something real has that name.
    """

    def __init__(self, known: Mapping[bytes, str] | None = None) -> None:
        self._tokens: dict[bytes, str] = dict(known or {})
        self._taken = set(self._tokens.values())
        self._last = dict.fromkeys(KINDS, 0)
        self.avoid: Container[bytes] = ()
        for token in self._taken:
            match = _TOKEN.fullmatch(token)
            if not match:
                raise ValueError(f"{token!r} is no token")
            kind = match.group("kind")
            self._last[kind] = max(self._last[kind], int(match.group("number")))
        if len(self._taken) != len(self._tokens):
            raise ValueError("two identities have the same token")

    def of(self, identity: bytes, kind: str, prefix: str = "") -> str:
        """Return the token of an identity; create it if there is none.

        prefix: text before a new token.
        """
        token = self._tokens.get(identity)
        if token is None:
            token = self._tokens[identity] = self._new(kind, prefix)
            self._taken.add(token)
        return token

    def _new(self, kind: str, prefix: str) -> str:
        while True:
            self._last[kind] += 1
            token = f"{prefix}{'-' if prefix else ''}{kind}-{self._last[kind]:04}"
            if token.encode() not in self.avoid:
                return token

    def is_token(self, word: str) -> bool:
        """Return whether the word is a token in use."""
        return word in self._taken

    def known(self) -> Iterable[tuple[bytes, str]]:
        """Return all identities with their tokens."""
        return self._tokens.items()

    def document(self) -> dict[str, object]:
        """Return the table as plain values, for a file."""
        tokens = {identity.decode("utf-8", "surrogateescape"): token for identity, token in self._tokens.items()}
        return {"format": FORMAT, "version": VERSION, "tokens": tokens}


def parse_table(document: object) -> PseudonymTable:
    """Parse the result of document(). ValueError for anything else."""
    if not isinstance(document, dict) or (document.get("format"), document.get("version")) != (FORMAT, VERSION):
        raise ValueError("it is of another format")
    tokens = document.get("tokens")
    if not isinstance(tokens, dict) or not all(isinstance(token, str) for token in tokens.values()):
        raise ValueError("it holds no tokens")
    return PseudonymTable({identity.encode("utf-8", "surrogateescape"): token for identity, token in tokens.items()})
