# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a log line may be shown: one printable line without secrets. Pure."""

from __future__ import annotations

import re

from ..redact.redactor import Redactor
from ..text import clean

MAX_SHOWN = 240
# So much of a line is looked through for what is shown of it: a secret that begins in there may go on for long.
LOOKED_THROUGH = 64 << 10
REDACTOR = Redactor()
# Keys, tokens and certificates of a form that no rule knows; identifiers in form of a UUID are shorter.
_LONG_WORD = re.compile(r"[\w+=-]{40,}")


def shown(message: str, length: int = MAX_SHOWN) -> str:
    """A message for people: one printable line of at most this length, without what may be a secret."""
    return clean(_LONG_WORD.sub("[redacted:long-word]", REDACTOR.text(message[:LOOKED_THROUGH])), length)
