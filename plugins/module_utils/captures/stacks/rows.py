# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Complete the rows of a stack dump: versions of replicas that share an image, and restarts after the signal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping, Sequence

from ...capture_names import STACK, VERSION
from ...model import Instance, InstanceKey, LedgerRow, row, utc_moment, utc_now, utc_text
from ...reasons import Reason, Status, Verdict, verdict
from ..engine.restarts import SecondLook


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


def with_restarts(
    rows: Sequence[LedgerRow], targets: Sequence[Instance], again: Mapping[InstanceKey, SecondLook]
) -> list[LedgerRow]:
    """Return the rows. Those of signalled instances tell whether the container or process was replaced."""
    signalled = {_key_of(entry) for entry in rows if "signal_sent" in entry.details}
    before = {instance.key: instance for instance in targets}

    def completed(entry: LedgerRow) -> LedgerRow:
        key = _key_of(entry)
        if entry.capture != STACK or key not in signalled:
            return entry
        details = _restart_details(before[key], again[key])
        note = " The container restarted after the signal." if details["restarted"] else ""
        return replace(entry, details=dict(entry.details, **details), message=entry.message + note)

    return [completed(entry) for entry in rows]


def _restart_details(before: Instance, look: SecondLook) -> dict[str, Any]:
    """Return details of a row. restarted: True, False, or None if that could not be seen."""
    if look.instance is None:
        return {"restarted": look.replaced, "after": "gone" if look.replaced else "not seen"}
    return {"restarted": look.replaced, "restarts": [before.restarts, look.instance.restarts]}


def _key_of(entry: LedgerRow) -> InstanceKey:
    return entry.namespace, entry.component, entry.instance, entry.container


def signal_spread(rows: Sequence[LedgerRow]) -> tuple[int, list[float]]:
    """Return how many signals were sent, and for each round the seconds from the first to the last."""
    sent: dict[int, list[str]] = {}
    for entry in rows:
        if "signal_sent" in entry.details:
            sent.setdefault(entry.sequence, []).append(entry.details["signal_sent"])
    moments = [[utc_moment(text) for text in sent[sequence]] for sequence in sorted(sent)]
    spread = [round((max(times) - min(times)).total_seconds(), 3) for times in moments]
    return sum(map(len, moments)), spread
