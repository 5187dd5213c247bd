# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outcome of one capture: its reason, and the message built from the texts in reason_texts.py.

Pure: nothing here does I/O or knows Ansible, Kubernetes or a transport.
"""

from __future__ import annotations

from dataclasses import dataclass

from .reason_texts import MEANINGS, ReasonText
from .redact.redactor import Redactor
from .sanitize import MAX_DETAIL, shortened
from .vocabulary import Reason, Status

__all__ = ("MEANINGS", "CaptureError", "Reason", "ReasonText", "Status", "Verdict", "detail_of", "peer_text", "verdict")

# Only the beginning and the end of a longer text, half of this each, are searched for secrets and shortened.
MAX_SEARCHED = 64 << 10
_REDACTOR = Redactor()


def peer_text(text: str, length: int = MAX_DETAIL) -> str:
    """Return a peer's text as one printable line of about this length: its beginning and its end.

    Secrets are redacted first, because those on several lines or at the cut are not recognized afterwards.
    """
    if len(text) <= length and len(text.splitlines()) < 2:
        return shortened(text, length)
    left_out = max(0, len(text) - MAX_SEARCHED)
    if not left_out:
        return shortened(_REDACTOR.text(text), length)
    half = MAX_SEARCHED // 2
    ends = (_REDACTOR.text(text[:half])[:length], _REDACTOR.text(text[-half:])[-length:])
    return shortened("".join(ends), length, left_out + MAX_SEARCHED - sum(map(len, ends)))


@dataclass(frozen=True)
class Verdict:
    """Outcome of one capture. The status follows from the reason, so the two cannot contradict each other."""

    reason: Reason
    message: str

    @property
    def status(self) -> Status:
        return MEANINGS[self.reason].status


def verdict(reason: Reason, detail: str = "") -> Verdict:
    """Return a verdict whose message has the text of the reason, the detail and the next step.

    The detail is often a peer's text, so it becomes one line of at most about sanitize.MAX_DETAIL characters.
    """
    meaning = MEANINGS[reason]
    text = meaning.what[:1].upper() + meaning.what[1:]
    if detail:
        text = f"{text}: {peer_text(detail)}"
    text = text if text.endswith("?") else text.rstrip(".") + "."
    if meaning.next_step:
        text += f" Next: {meaning.next_step}."
    return Verdict(reason, text)


def detail_of(reason: str, message: str) -> str:
    """Return the detail in a message of verdict(): "" if it has none, the whole text of any other message."""
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
    """Failure of a capture of one instance, with the verdict for its ledger row and the verdict's detail."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.verdict = verdict(reason, detail)
        self.detail = detail
        super().__init__(self.verdict.message)
