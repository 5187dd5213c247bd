# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that take the samples of one instance."""

from __future__ import annotations

from typing import Any, Sequence

from ...capture_names import LOG
from ...model import LedgerRow, utc_now, utc_text
from ...reasons import Reason, Status, Verdict, verdict
from ...status.samples import Question, SampledInstance, add_document
from ..engine.job import Job


class StatusJob(Job):
    """Questions that one thread puts to an instance, one after the other. sequence: number of the sample.

    previous: the job of the same instance that has to end first; rank: how many come before it. Rows are written
    together, when the job ends: one by one, those of thousands of instances take noticeably longer.
    """

    writes_at_once = False

    def __init__(
        self,
        sampled: SampledInstance,
        questions: Sequence[Question],
        sequence: int,
        previous: StatusJob | None = None,
        is_sample: bool = True,
    ) -> None:
        super().__init__(sampled.instance, [question.capture for question in questions], sequence)
        self.sampled = sampled
        self.questions = {question.capture: question for question in questions}
        self.previous = previous
        self.is_sample = is_sample
        self.rank: int = previous.rank + 1 if previous else 0
        self._asked: set[str] = set()
        self._sample: dict[str, Any] | None = None

    @property
    def is_log(self) -> bool:
        """Return whether the job reads the log, which asks nothing of the process."""
        return LOG in self.questions

    def begin(self) -> None:
        """Begin the sample. The clock of all samples runs from the first."""
        if self.is_sample:
            elapsed = round(self.sampled.begin(), 3)
            with self.lock:
                self._sample = {"at": utc_text(utc_now()), "elapsed_seconds": elapsed, "taken": {}}

    def ask(self, question: Question) -> None:
        """Note that the question is put now: one that was never put is not reported as unanswered."""
        with self.lock:
            self._asked.add(question.capture)

    def answer(self, question: Question, entry: LedgerRow, document: dict[str, Any] | None) -> None:
        """Record the row of a question, and keep the document of its answer if there is one."""
        with self.lock:
            if not self.record(entry):
                return
            if entry.status != Status.COMPLETE.value:
                self.sampled.add_missing(question, self.sequence, Verdict(Reason(entry.reason), entry.message))
            if document is not None and self._sample is not None:
                add_document(self._sample, question, document, round(self.sampled.clock() - self.sampled.begun, 4))
            elif document is not None:
                self.sampled.add_other(question, document)

    def unfinished(self, capture: str, outcome: Verdict) -> tuple[Verdict, dict[str, Any]]:
        if outcome.reason is Reason.NO_ANSWER and capture not in self._asked:
            outcome = verdict(Reason.NOT_ASKED, "its turn did not come")
        self.sampled.add_missing(self.questions[capture], self.sequence, outcome)
        return outcome, {}

    def on_closed(self) -> None:
        if self._sample is not None:
            self.sampled.add_sample(self.sequence, self._sample)
            self._sample = None
