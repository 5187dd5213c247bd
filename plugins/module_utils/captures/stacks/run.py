# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole run of stack captures at one access point: discover, refuse, fan out, account for everything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Sequence

from ...bundle.store import Store
from ...catalog import Selection, component_of
from ...deadline import Deadline, DeadlineExceeded
from ...model import Instance, InstanceKey, LedgerRow, row, utc_moment, utc_now, utc_text
from ...progress import Progress
from ...reasons import CaptureError, Reason, Status, Verdict, verdict
from ...transports.base import Discovery, Transport
from ..engine.discovery import discover, discovery_rows
from ..engine.restarts import is_replaced
from ..profiles.goroutines import STACK_PPROF, take_goroutines
from .attempt import STACK, VERSION
from .collector import Options, StackCapture
from .rounds import Rounds
from .signal_policy import choose_process, refuse_early

SEEN_BY_EXEC = (
    "SIGUSR1 would be sent and the log followed, if the process catches the signal and its standard error is the log;"
    " to see that, a command has to run in the container"
)


@dataclass
class Report:
    """What a run did. signals: how many were sent; spread: seconds from the first to the last one, per sequence."""

    rows: list[LedgerRow] = field(default_factory=list)
    signals: int = 0
    spread: list[float] = field(default_factory=list)


def capture_all(
    transport: Transport,
    found: Discovery,
    selection: Selection,
    store: Store,
    options: Options,
    deadline: Deadline,
    progress: Progress | None = None,
) -> Report:
    """Capture from every instance found. Every instance has a row for each dump asked for, and one for its version."""
    report = Report()
    progress = progress or Progress()
    cluster = found.cluster_or(transport.cluster)
    store.record(discovery_rows(found, selection, cluster))
    targets = []
    for instance in found.instances if options.method != "pprof" else ():
        refusal = refuse_early(component_of(instance.component), instance)
        if refusal is None:
            targets.append(instance)
        else:
            store.record(_rows_without_capture(instance, refusal.verdict, range(1, options.count + 1)))
    capture = StackCapture(transport, store, options)
    progress.expect("dumps", options.count * len(targets))
    Rounds(capture, store, options, deadline, progress).run(targets)
    if options.method != "signal":
        take_goroutines(transport, found.instances, store, options, deadline)
    rows = _with_versions(store.rows, targets)
    rows = _with_restarts(rows, targets, transport, deadline)
    store.finish(rows)
    report.rows = rows
    sent = [(entry.sequence, entry.details["signal_sent"]) for entry in rows if "signal_sent" in entry.details]
    report.signals = len(sent)
    report.spread = [_spread([text for number, text in sent if number == wanted]) for wanted in sorted(dict(sent))]
    return report


def would_capture(
    transport: Transport, found: Discovery, selection: Selection, options: Options, deadline: Deadline
) -> list[LedgerRow]:
    """The rows of a check mode run: what would be refused, and what would be signalled. Touches nothing.

    Where the transport sees processes without running anything, all is looked at that is looked at before a signal.
    """
    cluster = found.cluster_or(transport.cluster)
    rows = discovery_rows(found, selection, cluster)
    if options.method in ("pprof", "both"):
        outcome = verdict(Reason.CHECK_MODE, "the goroutines would be asked for by /debug/pprof")
        rows += [row(instance, STACK_PPROF, outcome) for instance in found.instances]
    for instance in found.instances if options.method != "pprof" else ():
        outcome = _would_signal(transport, instance, deadline.child(options.timeout, "instance"))
        rows += [row(instance, STACK, outcome, number) for number in range(1, options.count + 1)]
    return rows


def _would_signal(transport: Transport, instance: Instance, deadline: Deadline) -> Verdict:
    """What a run would do with this instance, as far as that can be known."""
    try:
        refusal = refuse_early(component_of(instance.component), instance)
        if refusal:
            return refusal.verdict
        if not transport.reaches_processes:
            return verdict(Reason.HTTP_ONLY)
        if not transport.sees_processes:
            return verdict(Reason.CHECK_MODE, SEEN_BY_EXEC)
        log = transport.open_log(instance, deadline)
        if log is not None:
            log.close()
        with transport.open_process(instance, deadline) as session:
            choose_process(session.facts, transport.follows_files)
        return verdict(Reason.CHECK_MODE, "SIGUSR1 would be sent, the log followed")
    except CaptureError as error:
        return error.verdict
    except DeadlineExceeded as error:
        return verdict(Reason.TIMEOUT, f"the deadline of the {error.scope}")


def _rows_without_capture(instance: Instance, outcome: Verdict, sequences: Sequence[int]) -> list[LedgerRow]:
    now = utc_text(utc_now())
    return [row(instance, STACK, outcome, number, started=now) for number in sequences]


def _with_versions(rows: Sequence[LedgerRow], targets: Sequence[Instance]) -> list[LedgerRow]:
    """The rows, and a version row for each target that has none: it refers to the replica of the same image."""
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


def _with_restarts(
    rows: Sequence[LedgerRow],
    targets: Sequence[Instance],
    transport: Transport,
    deadline: Deadline,
) -> list[LedgerRow]:
    """The stack rows say whether their container still is the one it was before the signal (one list call)."""
    signalled = {_identity(entry) for entry in rows if "signal_sent" in entry.details}
    if not signalled:
        return list(rows)
    # Of the components that were signalled: instances that were given need not be the selection's.
    names = sorted({component for _namespace, component, _instance, _container in signalled})
    after = discover(transport, Selection(tuple(component_of(name) for name in names)), deadline)
    before_by = {one.key: one for one in targets}
    after_by = {one.key: one for one in after.instances}

    def told(entry: LedgerRow) -> LedgerRow:
        key = _identity(entry)
        if entry.capture != STACK or key not in signalled:
            return entry
        harm = _harm(before_by[key], after_by.get(key), bool(after.problems))
        note = " The container restarted after the signal." if harm["restarted"] else ""
        return replace(entry, details=dict(entry.details, **harm), message=entry.message + note)

    return [told(entry) for entry in rows]


def _harm(before: Instance, after: Instance | None, unseen: bool) -> dict[str, Any]:
    """restarted: True, False, or None where it could not be seen."""
    if after is None:
        return {"restarted": None if unseen else True, "after": "not seen" if unseen else "gone"}
    return {"restarted": is_replaced(before, after), "restarts": [before.restarts, after.restarts]}


def _identity(entry: LedgerRow) -> InstanceKey:
    return entry.namespace, entry.component, entry.instance, entry.container


def _spread(texts: Sequence[str]) -> float:
    moments = [utc_moment(text) for text in texts]
    return round((max(moments) - min(moments)).total_seconds(), 3)
