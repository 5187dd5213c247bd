# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats that a module does not read, so that its error can name them. Data, and pure."""

from __future__ import annotations

import re
from typing import Callable, NamedTuple

from .encodings import possible_encoding_of

_AS_TEXT = "request it without debug for profile_analysis; go tool pprof reads this form, too"
STACKS, PROFILES = "stack_analysis", "profile_analysis"
_STACKS, _PROFILES = (f"module {each} reads it" for each in (STACKS, PROFILES))


class Signature(NamedTuple):
    """One format.

    what: for people. next_step: advice. tells: returns whether content with this head has this format. reader: the
    module that reads it, "" for none.
    """

    what: str
    next_step: str
    tells: Callable[[bytes], object]
    reader: str = ""

    @property
    def text(self) -> str:
        """Return the end of a sentence that begins with "it is"."""
        return f"{self.what}: {self.next_step}"


# Wire types of the fields of Profile (pprof's profile.proto): 0 for numbers, 2 for values with a length. Lists of
# numbers may have either.
_PROFILE_FIELDS = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6, 11), (2,)),
    **dict.fromkeys((7, 8, 9, 10, 12, 14, 15), (0,)),
    13: (0, 2),
}
# Number of fields that must be valid.
_LEAST_FIELDS = 3


def is_profile(head: bytes) -> bool:
    """Return whether content begins like a profile of pprof: its first fields have valid types."""
    offset = fields = 0
    while offset < len(head) and fields < 16:
        tag = head[offset]
        if tag & 7 not in _PROFILE_FIELDS.get(tag >> 3, ()) or tag & 0x80:
            return False
        size, offset = _varint(head, offset + 1)
        if offset < 0:
            break
        if tag & 7 == 2:
            # The message of a sample type begins with a number.
            if tag >> 3 == 1 and size and head[offset : offset + 1] not in (b"", b"\x08", b"\x10"):
                return False
            offset += size
        fields += 1
    return fields >= _LEAST_FIELDS


def _varint(head: bytes, offset: int) -> tuple[int, int]:
    """Return a number and its end; -1 if it does not end."""
    value = 0
    for shift in range(0, 70, 7):
        if offset >= len(head):
            break
        value |= (head[offset] & 0x7F) << shift
        offset += 1
        if not head[offset - 1] & 0x80:
            return value, offset
    return 0, -1


def _begins(expression: bytes) -> Callable[[bytes], object]:
    return re.compile(expression, re.IGNORECASE).match


def _has(expression: bytes) -> Callable[[bytes], object]:
    return re.compile(expression, re.MULTILINE).search


PROFILE = Signature("a profile of pprof (protobuf)", _PROFILES, is_profile, PROFILES)
# The first match applies. Sources: runtime/pprof (debug=1), runtime/trace, file(1)'s magic numbers.
SIGNATURES: tuple[Signature, ...] = (
    PROFILE,
    Signature("a heap profile as text (debug=1)", _AS_TEXT, _begins(rb"heap profile: *\d+: \d+ \[")),
    Signature("a block profile as text (debug=1)", _AS_TEXT, _begins(rb"--- contention:\n")),
    Signature("a mutex profile as text (debug=1)", _AS_TEXT, _begins(rb"--- mutex:\n")),
    Signature("a threadcreate profile as text (debug=1)", _AS_TEXT, _begins(rb"threadcreate profile: total \d")),
    Signature("goroutines as text (debug=1)", _STACKS, _has(rb"\bgoroutine(?:leak)? profile: total \d"), STACKS),
    Signature("goroutines as text", _STACKS, _has(rb"\bgoroutine \d+ (?:[^\n\[]{1,80} )?\[[a-z]"), STACKS),
    Signature("an execution trace", "go tool trace shows it", _begins(rb"go 1\.\d+ trace\0")),
    Signature(
        "a CPU profile of gperftools", "go tool pprof reads it",
        _begins(rb"\0{8}\x03\0{7}\0{8}|\0{4}\x03\0{3}\0{4}|\0{8}\0{7}\x03\0{8}"),
    ),
    Signature("a page of HTML", "the server sent a page instead of the answer", _begins(rb"\s*<(!doctype|html)\b")),
    Signature("a journal of systemd", "write it as text: journalctl --file FILE -o short-iso", _begins(rb"LPKSHHRH")),
    Signature("a picture", "send the text itself", _begins(rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP")),
    Signature("a document of PDF", "send the text itself", _begins(rb"%PDF-")),
    Signature("a program or a core dump (ELF)", "send the text of the dump", _begins(rb"\x7fELF")),
    Signature("probably text in UTF-16 without a byte order mark", "save it as UTF-8", possible_encoding_of),
)  # fmt: skip


def signature_of(head: bytes) -> Signature | None:
    """Return the format of content with this head; None if it is not in the table."""
    return next((each for each in SIGNATURES if each.tells(head)), None)
