# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ledger rows of an interrupted run. Pure.

A capture that had not ended is neither complete nor a failure of its target.
"""

from __future__ import annotations

import dataclasses
import datetime

from ..capture_names import ACCESS, LOG_WATCH
from ..model import Instance, LedgerRow, row, utc_moment, utc_text
from ..reasons import Reason, Status, detail_of, verdict

# Reasons of skipped rows that mean that there was no time left.
_NO_TIME = (Reason.RUN_DEADLINE.value, Reason.NOT_ASKED.value, Reason.DUMP_AWAITED.value)
# Durations in rows are rounded to milliseconds.
_ROUNDING = datetime.timedelta(milliseconds=1)


def mark_interrupted(entry: LedgerRow, moment: datetime.datetime) -> LedgerRow:
    """Return a row of a run that was interrupted at this moment.

    A capture that ended before the interruption keeps its row. A later failure may be caused by the interruption. A log
    that was watched for a shorter time than requested is not complete.
    """
    if not _ended_later(entry, moment):
        return entry
    if entry.status == Status.FAILED.value or entry.reason in _NO_TIME:
        return _with_reason(entry, Reason.INTERRUPTED)
    if entry.status == Status.PARTIAL.value and entry.reason != Reason.LOG_GAP.value:
        return _with_reason(entry, Reason.STOPPED_EARLY)
    if entry.capture == LOG_WATCH and entry.status == Status.COMPLETE.value:
        return _with_reason(entry, Reason.STOPPED_EARLY)
    return entry


def interruption_row(cluster: str, cause: str, moment: datetime.datetime) -> LedgerRow:
    """Return the row that states that the run of a whole part was interrupted.

    cause: what interrupted it, "" if unknown.
    """
    by = f"by {cause}, " if cause else ""
    outcome = verdict(Reason.INTERRUPTED, f"{by}so captures without a row here were not made")
    return row(Instance(cluster=cluster, component="", name=""), ACCESS, outcome, started=utc_text(moment))


def is_interruption_row(entry: LedgerRow) -> bool:
    """Return whether interruption_row() made this row."""
    return entry.capture == ACCESS and entry.reason == Reason.INTERRUPTED.value and not entry.instance


def _ended_later(entry: LedgerRow, moment: datetime.datetime) -> bool:
    """Return whether a capture ended at or after the moment. Rows without a start are written at the end."""
    if not entry.started:
        return True
    return utc_moment(entry.started) + datetime.timedelta(seconds=entry.duration) + _ROUNDING >= moment


def _with_reason(entry: LedgerRow, reason: Reason) -> LedgerRow:
    was = detail_of(entry.reason, entry.message)
    outcome = verdict(reason, was)
    return dataclasses.replace(entry, status=outcome.status.value, reason=outcome.reason.value, message=outcome.message)
