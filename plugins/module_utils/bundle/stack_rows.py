# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a stack dump: versions of replicas that share an image, and the signals that were sent. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from ..capture_names import VERSION
from ..model import Instance, LedgerRow, row, utc_moment, utc_now, utc_text
from ..reasons import Reason, Status, Verdict, verdict


def with_versions(rows: Sequence[LedgerRow], targets: Sequence[Instance]) -> list[LedgerRow]:
    """Return the rows, and a version row for each target without one. It refers to a replica of the same image."""
    result = list(rows)
    by_instance = {
        (entry.namespace, entry.instance, entry.container): entry for entry in rows if entry.capture == VERSION
    }
    by_image = {(entry.details.get("image_id"), entry.component): entry for entry in by_instance.values()}
    for instance in targets:
        if (instance.namespace, instance.name, instance.container) in by_instance:
            continue
        source = by_image.get((instance.image_id, instance.component)) if instance.image_id else None
        if source is None:
            result.append(row(instance, VERSION, verdict(Reason.STACK_NOT_TAKEN), started=utc_text(utc_now())))
        elif source.status == Status.COMPLETE.value:
            outcome = verdict(Reason.SAME_IMAGE, source.instance)
            entry = row(instance, VERSION, outcome, started=source.started, details=source.details)
            result.append(replace(entry, path=source.path, bytes=source.bytes, sha256=source.sha256))
        else:
            entry = row(instance, VERSION, Verdict(Reason(source.reason), source.message), details=source.details)
            result.append(replace(entry, started=source.started))
    return result


def signal_spread(rows: Sequence[LedgerRow]) -> tuple[int, list[float]]:
    """Return how many signals were sent, and for each round the seconds from the first to the last."""
    sent: dict[int, list[str]] = {}
    for entry in rows:
        if "signal_sent" in entry.details:
            sent.setdefault(entry.sequence, []).append(entry.details["signal_sent"])
    moments = [[utc_moment(text) for text in sent[sequence]] for sequence in sorted(sent)]
    spread = [round((max(times) - min(times)).total_seconds(), 3) for times in moments]
    return sum(map(len, moments)), spread
