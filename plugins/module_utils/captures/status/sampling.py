# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of one instance for its status, and what of it has been read: every question has one row for each time.

Samples are held as compressed JSON: of thousands of instances, Python's own objects would take many times the memory.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from dataclasses import dataclass
from typing import Any, Iterable, Sequence

from ...bundle.store import Store, json_bytes
from ...model import Instance, LedgerRow, row, utc_now, utc_text
from ...reasons import Reason, Status, Verdict, verdict
from ...status.rates import window_document

FORMAT, VERSION = "cloudpods.diagnostics/status", 1
CERTIFICATE, LOG = "certificate", "log"


@dataclass(frozen=True)
class Question:
    """One endpoint (of one database), or the certificate, or the log; name is what it is called in documents."""

    endpoint: str
    database: str = ""

    @property
    def name(self) -> str:
        return f"{self.endpoint}/{self.database}" if self.database else self.endpoint

    @property
    def capture(self) -> str:
        """Its name in the ledger."""
        return self.name if self.endpoint in (CERTIFICATE, LOG) else f"status:{self.name}"


@dataclass(frozen=True, eq=False)
class Turn:
    """A number of questions that one thread puts to an instance, one after the other. number: of the sample."""

    number: int
    questions: tuple[Question, ...]
    sample: bool = True

    @property
    def is_log(self) -> bool:
        """Whether it reads the log, which asks nothing of the process."""
        return self.questions == (Question(LOG),)


class Record:
    """One instance: its turns, its documents, its rows. Safe to use from several threads.

    A turn ends once: what its thread still brings when it was given up is left out. hangs: it did not answer /ping, nor
    what was asked after that, when it was asked last.
    """

    def __init__(self, instance: Instance, turns: Sequence[Turn], store: Store) -> None:
        self.instance = instance
        self.turns = tuple(turns)
        self.begun = 0.0
        self.hangs = False
        self._store = store
        self._lock = threading.Lock()
        self._rows: dict[Turn, list[LedgerRow]] = {turn: [] for turn in turns}
        self._asked: set[tuple[Turn, Question]] = set()
        self._answered: set[tuple[Turn, Question]] = set()
        self._documents: dict[Turn, dict[str, Any]] = {}
        self._samples: dict[int, bytes] = {}
        self._others: dict[str, Any] = {}
        self._missing: list[dict[str, Any]] = []
        self._ended = {turn: threading.Event() for turn in turns}

    def begin(self, turn: Turn) -> None:
        """Remember when its first sample began, from which its clock runs."""
        with self._lock:
            if turn.sample:
                self.begun = self.begun or time.monotonic()
                elapsed = round(time.monotonic() - self.begun, 3)
                self._documents[turn] = {"at": utc_text(utc_now()), "elapsed_seconds": elapsed, "taken": {}}

    def wait_for(self, turn: Turn, seconds: float) -> bool:
        """Whether that turn has ended, waiting for so long at most."""
        return self._ended[turn].wait(seconds)

    def ask(self, turn: Turn, question: Question) -> None:
        """Remember that this question is put now: of what was never asked it is not said that no answer came."""
        with self._lock:
            self._asked.add((turn, question))

    def answer(self, turn: Turn, question: Question, entry: LedgerRow, document: dict[str, Any] | None) -> None:
        """One question's row, and what was read where something was."""
        with self._lock:
            if self._ended[turn].is_set():
                return
            self._put(turn, question, entry)
            if document is not None and turn.sample:
                _add(self._documents[turn], question, document, round(time.monotonic() - self.begun, 4))
            elif document is not None:
                self._others[question.name] = document

    def _put(self, turn: Turn, question: Question, entry: LedgerRow) -> None:
        self._rows[turn].append(entry)
        self._answered.add((turn, question))
        if entry.status != Status.COMPLETE.value:
            missing = {"endpoint": question.name, "sample": turn.number, "reason": entry.reason}
            self._missing.append(dict(missing, message=entry.message))

    def end(self, turn: Turn, unanswered: Verdict) -> None:
        """Put the turn's rows into the ledger; questions without an answer get this verdict, or that they were not
        asked."""
        now = utc_text(utc_now())
        with self._lock:
            if self._ended[turn].is_set():
                return
            for question in turn.questions:
                if (turn, question) not in self._answered:
                    unasked = unanswered.reason is Reason.NO_ANSWER and (turn, question) not in self._asked
                    outcome = verdict(Reason.NOT_ASKED, "its turn did not come") if unasked else unanswered
                    self._put(turn, question, row(self.instance, question.capture, outcome, turn.number, started=now))
            self._store.record(self._rows[turn])
            self._rows[turn] = []
            document = self._documents.pop(turn, None)
            if document is not None:
                self._samples[turn.number] = zlib.compress(json_bytes(document), 1)
            self._ended[turn].set()

    def refuse(self, outcome: Verdict) -> None:
        """Ask nothing of it."""
        for turn in self.turns:
            self.end(turn, outcome)

    def note(self, questions: Iterable[Question], outcome: Verdict) -> None:
        """A single row for each of these, which are not put to it at all."""
        now = utc_text(utc_now())
        self._store.record(row(self.instance, question.capture, outcome, started=now) for question in questions)

    def document(self, after: Instance | None, restarted: bool | None) -> dict[str, Any]:
        """status.json. after: the instance as it was seen last, where somebody looked again."""
        with self._lock:
            samples = [json.loads(zlib.decompress(self._samples[number])) for number in sorted(self._samples)]
            return {
                "format": FORMAT,
                "version": VERSION,
                "instance": (after or self.instance).as_dict(),
                "expected": list(dict.fromkeys(q.name for turn in self.turns if turn.sample for q in turn.questions)),
                "samples": samples,
                "window": window_document(samples, restarted),
                "missing": sorted(self._missing, key=lambda item: (item["sample"], item["endpoint"])),
                CERTIFICATE: self._others.get(CERTIFICATE),
                LOG: self._others.get(LOG),
            }


def _add(sample: dict[str, Any], question: Question, document: dict[str, Any], at: float) -> None:
    """Put one endpoint's document into a sample; those of several databases become one."""
    sample["taken"].setdefault(question.endpoint, at)
    if question.endpoint == "db_stats":
        named = [dict(item, name=question.database) for item in document["databases"]]
        sample.setdefault("db_stats", {"databases": []})["databases"] += named
    else:
        sample[question.endpoint] = document
