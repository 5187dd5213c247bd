# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a log line may be shown: one printable line, without what may be a secret. Pure.

Services print their connection strings at the start, and tasks their parameters, passwords included.
"""

from __future__ import annotations

import re

from ..text import clean

MAX_SHOWN = 240
# What follows such a word may be a secret, up to the end of the line: where it ends cannot be told.
_NAMED = re.compile(
    r"(?i)(passw|passphrase|secret|token|credential|private_?key|access_?key|authorization|cookie|sqlstr"
    r"|sql_connection)([^:=]{0,12}[:=]).*"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic) +[\w+/=.~-]{8,}")
# The password of user:password@host and user:password@tcp(host).
_LOGIN = re.compile(r"([\w.+-]{1,64}):[^\s:@/]{1,128}@(?=[\w\[(])")
# Keys, tokens and certificates; identifiers in form of a UUID are shorter.
_LONG_WORD = re.compile(r"[\w+=-]{40,}")


def shown(message: str, length: int = MAX_SHOWN) -> str:
    """A message for people: one printable line of at most this length, without what may be a secret."""
    text = message[: 8 * length]
    text = _NAMED.sub(r"\1\2***", text)
    text = _BEARER.sub(r"\1 ***", text)
    text = _LOGIN.sub(r"\1:***@", text)
    return clean(_LONG_WORD.sub("***", text), length)
