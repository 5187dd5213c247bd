# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make one sealed bundle from the parts of all access points, and decide whether the run failed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from dataclasses import dataclass
from typing import Any, Sequence

from ..capture_names import ACCESS, LOG_WATCH, PROFILE_PREFIX, STACK, STACK_PPROF, STATUS_PREFIX, VERSION
from ..model import Instance, LedgerRow, count_by_status, row, utc_now, utc_text
from ..reasons import Reason, Status, detail_of, verdict
from ..redact.redactor import IDENTITY, Redactor
from .folder_pseudonyms import replace_identities
from .folder_redaction import redact_folder
from .identity_map import check_map, map_of_identities
from .interrupted_rows import interruption_row, is_interruption_row
from .issue_report import issue_text, stack_table
from .manifest import MANIFEST
from .merge import DuplicateFileError, merge_part, seal
from .part_origin import conflicting_rows, part_name
from .profile_report import profile_lines
from .resume import discovery_failures, repair_part
from .run_folder import PARTS, RUNNING, remove_empty
from .store import LEDGER, archive_of, ledger_bytes, make_directory, safe_name, write_file
from .tables import message_lines

ISSUE = "issue.md"
FAIL_ON = ("none", "failed", "partial", "any")


@dataclass(frozen=True)
class SealedBundle:
    """Sealed bundle: its folder, archive, rows, and lines for the terminal.

    folder, archive: "" if nothing was sealed, because no access point had a capture. rows, table: always with the real
    names, even if the bundle has tokens instead.
    """

    folder: str
    archive: str
    rows: list[LedgerRow]
    table: list[str]


def seal_bundle(
    folder: str,
    parts: Sequence[str],
    absent: Sequence[dict[str, str]],
    run: dict[str, Any],
    reports: Sequence[str] = (),
    redactor: Redactor | None = None,
    identity_map: str = "",
    interrupted: bool = False,
) -> SealedBundle:
    """Merge the parts into the folder, write ledger, report and manifest, and pack everything.

    absent: {cluster, error, reason} of each access point without a result; reason is a value of Reason. reports:
    folders of reports made on the controller; only their files may be at the top of the bundle. redactor: redacts all
    files once more, in addition to the redaction where they were made. identity_map: file with the tokens that replace
    identities in the whole bundle; "" keeps the identities. interrupted: the run was interrupted. Its parts are
    repaired, and a row and the manifest state that the bundle is incomplete.

    If access points are absent or could not list their instances, or if the run was interrupted, and there is no other
    capture, nothing is sealed. The folder is then removed unless it contains something else. A part that cannot be used
    becomes a row, does not end the run, and stays where it is. If two access points report on the same instance, both
    reports are kept, and a row states the conflict. ValueError: the folder is a sealed bundle already. Nothing of it is
    overwritten, and the parts stay where they are.
    """
    if identity_map:
        check_map(identity_map, folder)
    if os.path.lexists(os.path.join(folder, MANIFEST)) or os.path.lexists(archive_of(folder)):
        raise ValueError(f"{folder} is a sealed bundle already")
    missed = [_place_row(item["cluster"], Reason(item["reason"]), item["error"]) for item in absent]
    redactor = redactor or Redactor()
    unlisted = _unlisted(parts)
    if unlisted is not None and (absent or interrupted or unlisted):
        missed += [dataclasses.replace(entry, message=redactor.text(entry.message)) for entry in unlisted]
        return _nothing_sealed(folder, [*parts, *reports], missed, interrupted)
    make_directory(folder)
    merged = _merge_interrupted(folder, parts, reports) if interrupted else _merge_all(folder, parts, reports)
    rows = mark_not_deployed(missed + merged)
    _remove_of_run(folder)
    run = dict(run, interrupted=True) if interrupted else run
    redaction = redact_folder(folder, redactor)
    rows = redaction.rows(rows, redactor)
    about = redactor.value(dict(run, sealed=utc_text(utc_now()), rows=len(rows), **count_by_status(rows)))
    level, sealed_rows = redactor.level, rows
    if identity_map:
        level = IDENTITY
        with map_of_identities(identity_map, folder) as tokens:
            rows, sealed_rows, about = replace_identities(folder, rows, about, redaction, redactor, tokens)
    ledger = ledger_bytes(sealed_rows)
    redaction.count(ledger)
    write_file(os.path.join(folder, LEDGER), ledger)
    if not _without_stacks(rows):
        write_file(
            os.path.join(folder, ISSUE), issue_text(about, sealed_rows, _loader(folder)).encode("utf-8", "replace")
        )
    archive = seal(folder, about, redaction.about(level))
    # The terminal shows the real names.
    return SealedBundle(folder, archive, rows, profile_lines(rows) + stack_table(rows))


def _unlisted(parts: Sequence[str]) -> list[LedgerRow] | None:
    """Return the rows of parts that contain only failures to list instances; None if one contains more."""
    found: list[LedgerRow] = []
    for part in parts:
        rows = discovery_failures(part)
        if rows is None:
            return None
        found += rows
    return found


def _nothing_sealed(folder: str, more: Sequence[str], missed: list[LedgerRow], interrupted: bool) -> SealedBundle:
    """Remove the folder of a run without any capture, unless it contains something else.

    more: its parts and reports.
    """
    rows = [*missed, interruption_row("", "", utc_now())] if interrupted else missed
    remove_empty(folder, also=more)
    return SealedBundle("", "", rows, stack_table(rows))


def _remove_of_run(folder: str) -> None:
    """Remove files that are needed only until the run is sealed."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, RUNNING))
    waiting = os.path.join(folder, PARTS)
    if os.path.isdir(waiting) and not os.listdir(waiting):
        os.rmdir(waiting)


def _merge_interrupted(folder: str, parts: Sequence[str], reports: Sequence[str]) -> list[LedgerRow]:
    """Repair and merge the parts of an interrupted run; add a row that states the interruption."""
    for part in parts:
        repair_part(part)
    rows = _merge_all(folder, parts, reports)
    return rows if any(is_interruption_row(entry) for entry in rows) else [*rows, interruption_row("", "", utc_now())]


def _merge_all(folder: str, parts: Sequence[str], reports: Sequence[str]) -> list[LedgerRow]:
    """Merge all usable parts. Return their rows, and rows about unusable parts and conflicts."""
    rows: list[LedgerRow] = []
    merged: list[tuple[str, list[LedgerRow]]] = []
    for part in [*parts, *reports]:
        try:
            merged.append((part, _merge(folder, part, part in reports)))
        except ValueError as error:
            rows.append(_place_row(os.path.basename(part), Reason.ERROR, str(error)))
    rows += [entry for _part, of_part in merged for entry in of_part]
    return rows + [_disputed_row(names, entries) for names, entries in conflicting_rows(merged).items()]


def _merge(folder: str, part: str, is_report: bool) -> list[LedgerRow]:
    """Merge a part. If another part has files of the same names, put the files of this part into a folder aside."""
    try:
        return merge_part(folder, part, top=is_report)
    except DuplicateFileError:
        if is_report:
            raise
        return merge_part(folder, part, aside=safe_name(f"of-{part_name(part)}"))


def _disputed_row(names: tuple[str, str], entries: Sequence[LedgerRow]) -> LedgerRow:
    """Return the row about a conflict between two access points."""
    entry, (first, second) = entries[0], names
    more = f" and {len(entries) - 1} more captures" if len(entries) > 1 else ""
    detail = f"{first} and {second} both report {entry.component}/{entry.instance}, {entry.capture}{more}"
    return _place_row(entry.cluster, Reason.DISPUTED, detail)


def _without_stacks(rows: Sequence[LedgerRow]) -> bool:
    """Return whether only status or profiles were captured, which have reports of their own."""
    captures = {entry.capture for entry in rows}
    others = (STATUS_PREFIX, PROFILE_PREFIX)
    return not captures & {STACK, STACK_PPROF, LOG_WATCH} and any(capture.startswith(others) for capture in captures)


def _place_row(cluster: str, reason: Reason, detail: str) -> LedgerRow:
    place = Instance(cluster=cluster, component="", name="")
    return row(place, ACCESS, verdict(reason, detail), started=utc_text(utc_now()))


def _loader(folder: str) -> Any:
    def load(path: str) -> dict[str, Any] | None:
        try:
            with open(os.path.join(folder, *path.split("/")), "rb") as stream:
                document = json.loads(stream.read())
        except (OSError, ValueError, RecursionError):
            # The report uses the readable files; verify reports the others.
            return None
        return document if isinstance(document, dict) else None

    return load


def mark_not_deployed(rows: Sequence[LedgerRow]) -> list[LedgerRow]:
    """Return the rows of all access points; a named component is not found only if no other machine has it.

    Each machine of a cluster may lack components that other machines have.
    """
    present = {(entry.cluster, entry.component) for entry in rows if entry.instance}

    def checked(entry: LedgerRow) -> LedgerRow:
        if entry.reason != Reason.NOT_FOUND.value or (entry.cluster, entry.component) not in present:
            return entry
        outcome = verdict(Reason.NOT_DEPLOYED, detail_of(entry.reason, entry.message))
        return dataclasses.replace(
            entry, status=outcome.status.value, reason=outcome.reason.value, message=outcome.message
        )

    return [checked(entry) for entry in rows]


def failure_message(rows: Sequence[LedgerRow], fail_on: str) -> str:
    """Return why the run failed under this policy, or "". A run without any capture fails, except for "none".

    failed: nothing at all was captured, or a named component was not found. partial: a dump is partial or failed. any:
    a dump is not complete. Versions are not counted, because each is read together with a dump.
    """
    captures = [entry for entry in rows if entry.capture != VERSION]
    counts = count_by_status(captures)
    good, partial = counts[Status.COMPLETE.value], counts[Status.PARTIAL.value]
    failed, refused = counts[Status.FAILED.value], counts[Status.REFUSED.value]
    if fail_on == "none":
        return ""
    if not good + partial:
        return f"Nothing was captured: {_summary(captures)}."
    missing = [entry for entry in captures if entry.reason == Reason.NOT_FOUND.value]
    if missing:
        whys = "; ".join(dict.fromkeys(detail_of(entry.reason, entry.message) for entry in missing))
        return f"Not all named components were found: {whys}{'' if whys.endswith('?') else '.'}"
    if fail_on in ("partial", "any") and partial + failed:
        return f"Some captures are incomplete: {_summary(captures)}."
    if fail_on == "any" and refused:
        return f"Some captures were refused: {_summary(captures)}."
    return ""


_WORST_FIRST = tuple(status.value for status in (Status.FAILED, Status.REFUSED, Status.PARTIAL, Status.SKIPPED))


def _summary(rows: Sequence[LedgerRow]) -> str:
    """Return the number of rows of each status, their reasons, and the message of the first of the worst."""
    missing = [entry for entry in rows if entry.status != Status.COMPLETE.value]
    missing.sort(key=lambda entry: _WORST_FIRST.index(entry.status))
    if not missing:
        return "no instance was found"
    words = ", ".join(f"{count} {status}" for status, count in count_by_status(list(rows)).items() if count)
    reasons = ", ".join(dict.fromkeys(entry.reason for entry in missing))
    return f"{words} ({reasons}). The first: {message_lines(missing[:1])[0].rstrip('.')}"
