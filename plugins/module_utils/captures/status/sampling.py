# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of one instance: the jobs that take them, and the status document that they become.

Samples are held as compressed JSON: for thousands of instances, Python objects would take many times the memory.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from dataclasses import dataclass
from typing import Any, Sequence

from ...bundle.store import json_bytes
from ...capture_names import CERTIFICATE, LOG, STATUS_PREFIX
from ...deadline import Clock
from ...model import Instance, LedgerRow, utc_now, utc_text
from ...reasons import Reason, Status, Verdict, verdict
from ...status.rates import window_document
from ..engine.job import Job

FORMAT, VERSION = "cloudpods.diagnostics/status", 1


@dataclass(frozen=True)
class Question:
    """One endpoint (of one database), the certificate, or the log. name: in documents."""

    endpoint: str
    database: str = ""

    @property
    def name(self) -> str:
        return f"{self.endpoint}/{self.database}" if self.database else self.endpoint

    @property
    def capture(self) -> str:
        """Return its name in the ledger."""
        return self.name if self.endpoint in (CERTIFICATE, LOG) else STATUS_PREFIX + self.name


class SampledInstance:
    """One instance, shared by its jobs. Safe to use from several threads.

    begun: when the first sample began. hangs: neither /ping nor the question after it was answered last time.
    expected: names of the endpoints that are asked for.
    """

    def __init__(self, instance: Instance, expected: Sequence[str], clock: Clock = time.monotonic) -> None:
        self.instance = instance
        self.expected = list(expected)
        self.clock = clock
        self.begun = 0.0
        self.hangs = False
        self._lock = threading.Lock()
        self._samples: dict[int, bytes] = {}
        self._others: dict[str, Any] = {}
        self._missing: list[dict[str, Any]] = []

    def begin(self) -> float:
        """Return the seconds since the first sample began, which is now if there was none."""
        with self._lock:
            self.begun = self.begun or self.clock()
            return self.clock() - self.begun

    def add_sample(self, number: int, sample: dict[str, Any]) -> None:
        """Keep a sample that has ended."""
        packed = zlib.compress(json_bytes(sample), 1)
        with self._lock:
            self._samples[number] = packed

    def add_other(self, question: Question, document: dict[str, Any]) -> None:
        """Keep the document of the certificate or the log."""
        with self._lock:
            self._others[question.name] = document

    def add_missing(self, question: Question, number: int, outcome: Verdict) -> None:
        """Note a question without a complete answer."""
        entry = {"endpoint": question.name, "sample": number, "reason": outcome.reason.value}
        with self._lock:
            self._missing.append(dict(entry, message=outcome.message))

    def document(self, after: Instance | None, restarted: bool | None) -> dict[str, Any]:
        """Return status.json. after: the instance from the final listing, or None."""
        with self._lock:
            samples = [json.loads(zlib.decompress(self._samples[number])) for number in sorted(self._samples)]
            return {
                "format": FORMAT,
                "version": VERSION,
                "instance": (after or self.instance).as_dict(),
                "expected": self.expected,
                "samples": samples,
                "window": window_document(samples, restarted),
                "missing": sorted(self._missing, key=lambda item: (item["sample"], item["endpoint"])),
                CERTIFICATE: self._others.get(CERTIFICATE),
                LOG: self._others.get(LOG),
            }


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
                _add(self._sample, question, document, round(self.sampled.clock() - self.sampled.begun, 4))
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


def _add(sample: dict[str, Any], question: Question, document: dict[str, Any], at: float) -> None:
    """Add the document of an endpoint to a sample. Documents of several databases become one."""
    sample["taken"].setdefault(question.endpoint, at)
    if question.endpoint == "db_stats":
        named = [dict(item, name=question.database) for item in document["databases"]]
        sample.setdefault("db_stats", {"databases": []})["databases"] += named
    else:
        sample[question.endpoint] = document
