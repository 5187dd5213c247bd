# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command line without its secrets. Pure.

Services are started with --config alone, but every option of theirs can be given on the command line, the database's
URL with its password among them. What looks like the value of a secret is left out before anything is written.
"""

from __future__ import annotations

import re

HIDDEN = b"***"
_SECRET = re.compile(rb"pass|pwd|secret|token|key|credential|auth|connection|dsn|private|cookie|session", re.IGNORECASE)
_OPTION = re.compile(rb"--[A-Za-z][\w.-]*\Z")
_NAME = re.compile(rb"--?[A-Za-z][\w.-]*\Z")
_ASSIGNED = re.compile(rb"(-{0,2}[A-Za-z][\w.-]*)=(.*)\Z", re.DOTALL)
_IN_URL = re.compile(rb"(?<=://)[^/@]*@")


def without_secrets(data: bytes) -> tuple[bytes, int]:
    """The arguments (divided by NUL, as net/http/pprof gives them), and how many of them were changed."""
    made: list[bytes] = []
    hidden = 0
    is_value = False
    for argument in data.split(b"\0"):
        assigned = _ASSIGNED.match(argument)
        if is_value and not _OPTION.match(argument) and not (assigned and argument.startswith(b"--")):
            shown = HIDDEN
        elif assigned and _SECRET.search(assigned.group(1)):
            shown = assigned.group(1) + b"=" + HIDDEN
        else:
            shown = _IN_URL.sub(HIDDEN + b"@", argument)
        is_value = _NAME.match(argument) is not None and _SECRET.search(argument) is not None
        hidden += shown != argument
        made.append(shown)
    return b"\0".join(made), hidden
