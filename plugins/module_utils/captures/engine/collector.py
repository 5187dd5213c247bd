# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface between the engine and the collectors.

A collector knows what to capture of an instance and how. When, on how many threads, and what becomes of captures that
do not end, is the engine's part. An object of a collector serves one run.
"""

from __future__ import annotations

import abc
import threading
from dataclasses import dataclass, field
from typing import Generic, Iterator, Mapping, Sequence, Tuple, TypeVar

from ...deadline import Deadline
from ...model import Instance, InstanceKey, LedgerRow
from ...reasons import Reason, Verdict, verdict
from ...transports.base import Discovery
from .job import Job
from .restarts import SecondLook

AnyJob = TypeVar("AnyJob", bound=Job)
# Capture, sequence number, and why it is not attempted.
Refused = Tuple[str, int, Verdict]


@dataclass(frozen=True)
class Plan(Generic[AnyJob]):
    """Everything that is owed of one instance: jobs that are run, and captures that are refused beforehand."""

    instance: Instance
    jobs: Sequence[AnyJob] = ()
    refused: Sequence[Refused] = ()


@dataclass(eq=False)
class Batch(Generic[AnyJob]):
    """Jobs that are run at the same time. concurrency: threads at most; None for the run's limit.

    ended: every job has ended or was given up.
    """

    jobs: Sequence[AnyJob]
    concurrency: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class Collector(abc.ABC, Generic[AnyJob]):
    """One kind of capture.

    counted: the name by which its jobs are counted for progress, "" for none. additional: captures that get rows
    besides the planned ones.
    """

    counted = ""
    additional: frozenset[str] = frozenset()

    @abc.abstractmethod
    def plan(self, instance: Instance) -> Plan[AnyJob]:
        """Return what is owed of an instance. No I/O: check mode shows the same plan."""

    @abc.abstractmethod
    def collect(self, job: AnyJob) -> None:
        """Take the captures of a job and record their rows. Never raises for what a target does."""

    def preview(self, instance: Instance, deadline: Deadline) -> Verdict:
        """Return the verdict of check mode on the captures that are planned."""
        del instance, deadline
        return verdict(Reason.CHECK_MODE, "it would be asked for")

    def batches(self, jobs: Sequence[AnyJob], deadline: Deadline) -> Iterator[Batch[AnyJob]]:
        """Yield the jobs in the order in which they start.

        A batch starts at once when it is yielded. To have it wait for an earlier one, wait for that one's `ended`.
        """
        del deadline
        yield Batch(jobs)

    def prepare(self, found: Discovery, cluster: str, deadline: Deadline) -> None:
        """Capture what concerns the access point as a whole, before the first batch."""
        del found, cluster, deadline

    def look_again_at(self, plans: Sequence[Plan[AnyJob]]) -> Sequence[Instance]:
        """Return the instances to list once more at the end, to detect restarts."""
        del plans
        return ()

    def finish(
        self, rows: Sequence[LedgerRow], plans: Sequence[Plan[AnyJob]], again: Mapping[InstanceKey, SecondLook]
    ) -> list[LedgerRow]:
        """Return the rows of the run in their final form. again: the instances of look_again_at()."""
        del plans, again
        return list(rows)
