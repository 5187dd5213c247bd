# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of the status of one instance, and the document that they become.

Samples are held as compressed JSON: for thousands of instances, Python objects would take many times the memory.
"""

from __future__ import annotations

import json
import threading
import zlib
from dataclasses import dataclass
from typing import Any, Callable, Sequence

from ..capture_names import CERTIFICATE, LOG, STATUS_PREFIX
from ..model import Instance
from ..reasons import Verdict
from .rates import window_document

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

    def __init__(self, instance: Instance, expected: Sequence[str], clock: Callable[[], float]) -> None:
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
        packed = zlib.compress(json.dumps(sample).encode(), 1)
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


def add_document(sample: dict[str, Any], question: Question, document: dict[str, Any], at: float) -> None:
    """Add the document of an endpoint to a sample. Documents of several databases become one."""
    sample["taken"].setdefault(question.endpoint, at)
    if question.endpoint == "db_stats":
        named = [dict(item, name=question.database) for item in document["databases"]]
        sample.setdefault("db_stats", {"databases": []})["databases"] += named
    else:
        sample[question.endpoint] = document
