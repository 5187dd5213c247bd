# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on one capture, in the closed vocabulary of meanings.py.

Pure: nothing here does I/O or knows Ansible, Kubernetes or a transport.
"""

from __future__ import annotations

from dataclasses import dataclass

from .meanings import MEANINGS, Meaning, Reason, Status

__all__ = ("MEANINGS", "CaptureError", "Meaning", "Reason", "Status", "Verdict", "verdict")


@dataclass(frozen=True)
class Verdict:
    """The outcome of one capture. The status follows from the reason, so the two cannot contradict."""

    reason: Reason
    message: str

    @property
    def status(self) -> Status:
        return MEANINGS[self.reason].status


def verdict(reason: Reason, detail: str = "") -> Verdict:
    """A verdict whose message says what happened, the detail at hand, and the next step."""
    meaning = MEANINGS[reason]
    text = meaning.what[:1].upper() + meaning.what[1:]
    if detail:
        text = f"{text}: {detail}"
    text = text.rstrip(".") + "."
    if meaning.next_step:
        text += f" Next: {meaning.next_step}."
    return Verdict(reason, text)


class CaptureError(Exception):
    """A capture of one instance cannot go on; carries the verdict for its ledger row."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.verdict = verdict(reason, detail)
        super().__init__(self.verdict.message)
