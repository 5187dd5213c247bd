# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on one capture, in the closed vocabulary of reason_texts.py.

Pure: nothing here does I/O or knows Ansible, Kubernetes or a transport.
"""

from __future__ import annotations

from dataclasses import dataclass

from .reason_texts import MEANINGS, ReasonText
from .redact.redactor import Redactor
from .text import MAX_DETAIL, shortened
from .vocabulary import Reason, Status

__all__ = ("MEANINGS", "CaptureError", "Reason", "ReasonText", "Status", "Verdict", "detail_of", "said", "verdict")

# Of a longer text only its beginning and its end, each half as long as this, are searched for secrets and shortened.
LOOKED_THROUGH = 64 << 10
_REDACTOR = Redactor()


def said(text: str, length: int = MAX_DETAIL) -> str:
    """Return what a peer said as one printable line of about this length: its beginning and its end.

    Secrets that stand on several lines, or where the text is cut, are not recognised afterwards, so they are taken out
    first.
    """
    if len(text) <= length and len(text.splitlines()) < 2:
        return shortened(text, length)
    left_out = max(0, len(text) - LOOKED_THROUGH)
    if not left_out:
        return shortened(_REDACTOR.text(text), length)
    half = LOOKED_THROUGH // 2
    ends = (_REDACTOR.text(text[:half])[:length], _REDACTOR.text(text[-half:])[-length:])
    return shortened("".join(ends), length, left_out + LOOKED_THROUGH - sum(map(len, ends)))


@dataclass(frozen=True)
class Verdict:
    """The outcome of one capture. The status follows from the reason, so the two cannot contradict."""

    reason: Reason
    message: str

    @property
    def status(self) -> Status:
        return MEANINGS[self.reason].status


def verdict(reason: Reason, detail: str = "") -> Verdict:
    """Return a verdict whose message says what happened, the detail at hand, and the next step.

    The detail is often a text that a peer wrote, so it becomes one line and is cut at text.MAX_DETAIL.
    """
    meaning = MEANINGS[reason]
    text = meaning.what[:1].upper() + meaning.what[1:]
    if detail:
        text = f"{text}: {said(detail)}"
    text = text if text.endswith("?") else text.rstrip(".") + "."
    if meaning.next_step:
        text += f" Next: {meaning.next_step}."
    return Verdict(reason, text)


def detail_of(reason: str, message: str) -> str:
    """Return the detail that verdict() put into a message; "" where there is none, and of a message of another form
    all of it."""
    meaning = MEANINGS.get(Reason(reason)) if reason in {known.value for known in Reason} else None
    if meaning is None:
        return message
    what = meaning.what[:1].upper() + meaning.what[1:]
    if not message.startswith(what):
        return message
    after = f" Next: {meaning.next_step}." if meaning.next_step else ""
    text = message[len(what) : len(message) - len(after) if message.endswith(after) else None]
    return text.strip(": ").rstrip(".")


class CaptureError(Exception):
    """A capture of one instance cannot go on; carries the verdict for its ledger row, and the detail in it."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.verdict = verdict(reason, detail)
        self.detail = detail
        super().__init__(self.verdict.message)
