# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Closing table of stack captures, and issue.md, the report of a run for an issue. Pure; texts are untrusted."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Dict, Optional, Sequence

from ..capture_names import LOG_WATCH, PROFILE_PREFIX, STACK, STACK_PPROF, STATUS_PREFIX, VERSION
from ..model import LedgerRow
from ..reasons import Status
from ..sanitize import inline, printable
from ..text import counted
from .log_report import log_section
from .profile_report import profile_lines
from .stack_groups import StackGroup, groups_of, innermost_own, merge_groups, rank_groups, shown_frames
from .tables import (
    component_table,
    place_lines,
    summarize_reasons,
)

LONGEST_WAITS = 5
MOST_GROUPS = 5

Loader = Callable[[str], Optional[Dict[str, Any]]]


def stack_table(rows: Sequence[LedgerRow]) -> list[str]:
    """Return the closing table of the dumps, and a line for each place that could not be searched.

    If a whole place is missing, such as an unreachable access point, its line comes first.
    """
    failed = [entry for entry in rows if entry.status == Status.FAILED.value and not entry.instance]
    return (
        place_lines(failed)
        + component_table(_dumps(rows), dump_finding)
        + place_lines([e for e in rows if e not in failed])
    )


def _dumps(rows: Sequence[LedgerRow]) -> list[LedgerRow]:
    """Return the dumps that answer a signal; for components without any, those from /debug/pprof."""
    signalled = {entry.component for entry in rows if entry.capture == STACK}
    return [
        entry
        for entry in rows
        if entry.capture == STACK or (entry.capture == STACK_PPROF and entry.component not in signalled)
    ]


def dump_finding(rows: Sequence[LedgerRow]) -> str:
    """Return the most important fact about the dumps of a component, in a few words."""
    restarted = sorted({entry.instance for entry in rows if entry.details.get("restarted")})
    if restarted:
        instances = restarted[0] if len(restarted) == 1 else str(len(restarted))
        return f"{instances} restarted after the signal!"
    trouble = summarize_reasons(rows)
    if trouble:
        return trouble
    totals = [int(entry.details.get("total") or entry.details.get("goroutines", 0)) for entry in rows]
    if len(set(totals)) == 1:
        return counted(totals[0], "goroutine") + (" each" if len(totals) > 1 else "")
    return f"{min(totals)}-{max(totals)} goroutines each"


def issue_text(run: dict[str, Any], rows: Sequence[LedgerRow], load: Loader) -> str:
    """Return the report for an issue, in Markdown, with a section for each kind of capture in the run.

    load(path) returns a parsed dump of the bundle, or None.
    """
    captures = _dumps(rows)
    watched = [entry for entry in rows if entry.capture == LOG_WATCH]
    profiles = profile_lines(rows)
    status = component_table([entry for entry in rows if entry.capture.startswith(STATUS_PREFIX)], summarize_reasons)
    made = {"goroutine dumps": captures, "log verdicts": watched, "profiles": profiles, "status": status}
    names = [name for name, found in made.items() if found]
    title = " and ".join(names) or "nothing was captured"
    lines = [f"# {title[:1].upper()}{title[1:]} of Cloudpods services", ""]
    facts = [f"- {key}: {inline(_words(value))}" for key, value in run.items() if value not in ("", [], None)]
    lines += [*facts, ""] if facts else []
    lines += _block(stack_table(rows))
    lines += log_section(watched)
    for component in sorted({entry.component for entry in captures}):
        own = [entry for entry in captures if entry.component == component]
        lines += _component_section(component, own, _versions(rows, component), load)
        timed = [entry for entry in rows if entry.capture == STACK_PPROF and entry.component == component]
        lines += _wait_section(timed, load)
    for head, found in (("## Profiles", profiles), ("## Status", status)):
        lines += [head, "", *_block(found)] if found else []
    lines += _not_captured(rows)
    return "\n".join(lines).rstrip("\n") + "\n"


def _words(value: Any) -> str:
    """Return a fact about the run as text."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _block(lines: Sequence[str]) -> list[str]:
    """Return the lines as a literal block, or nothing for no lines."""
    return ["```text", *(line.replace("```", "'''") for line in lines), "```", ""] if lines else []


def _versions(rows: Sequence[LedgerRow], component: str) -> Counter[str]:
    """Count the instances of each version."""
    words: Counter[str] = Counter()
    for entry in rows:
        if entry.capture == VERSION and entry.component == component:
            version = entry.details.get("version") or {}
            text = f"{version.get('gitBranch', '')}({version.get('gitCommit', '')[:9]})"
            words[(version.get("gitVersion") or text) if version else f"unknown ({entry.reason})"] += 1
    return words


def _component_section(component: str, rows: Sequence[LedgerRow], versions: Counter[str], load: Loader) -> list[str]:
    read = [entry for entry in rows if entry.details.get("parsed")]
    total = sum(int(entry.details.get("goroutines", 0)) for entry in read)
    complete = sum(1 for entry in rows if entry.status == Status.COMPLETE.value)
    instances = len({(entry.cluster, entry.namespace, entry.instance) for entry in rows})
    shown = ", ".join(f"{inline(text)} x {count}" for text, count in versions.most_common())
    lines = [f"## {inline(component)}", ""]
    lines += ["- version: %s" % (shown or "unknown"), f"- instances: {instances}"]
    lines += [f"- dumps: {len(rows)}, complete: {complete}, goroutines in them: {total}", ""]
    lines += _group_section(merge_groups(load(entry.details["parsed"]) for entry in read))
    lines += ["Full files:", ""]
    lines += [
        f"- `{entry.path}` ({entry.status}, {counted(int(entry.details.get('goroutines', 0)), 'goroutine')})"
        for entry in rows
        if entry.path
    ] or ["- none"]
    return [*lines, ""]


def _group_section(groups: Sequence[StackGroup]) -> list[str]:
    """Return the groups worth reading with their frames, and the number of goroutines in the others."""
    lines = []
    found = rank_groups(groups)
    if found:
        lines += [
            "Groups of equal stacks in all dumps of the component. Goroutines that hold a pool worker come first:",
            "",
        ]
    for group in found[:MOST_GROUPS]:
        state = f" [{group.state}]" if group.state else ""
        worker = ", in pool workers" if group.in_worker else ""
        size = f"{counted(group.count, 'goroutine')} in {counted(group.dumps, 'dump')}"
        lines += [printable(f"{size}{state}{worker}"), ""]
        lines += _block([printable(frame) for frame in shown_frames(group.functions, group.locations)])
    rest = _rest(groups, found[MOST_GROUPS:])
    head = "The other goroutines:" if found else "The goroutines:"
    return [*lines, head, "", *rest, ""] if rest else lines


def _rest(groups: Sequence[StackGroup], left_out: Sequence[StackGroup]) -> list[str]:
    """Count the goroutines in groups that are not shown, by what they do."""
    counts: Counter[str] = Counter()
    for group in groups:
        words = group.waits_as or ("as in an idle service" if group.is_idle else "")
        if words:
            counts[words] += group.count
    lines = [f"- {count}: {words}" for words, count in counts.most_common()]
    if left_out:
        more = sum(group.count for group in left_out)
        lines.append(f"- {more}: in {counted(len(left_out), 'smaller group')}, see the full files")
    return lines


def _wait_section(rows: Sequence[LedgerRow], load: Loader) -> list[str]:
    """Return the longest waits, which only /debug/pprof reports.

    Goroutines of an idle service are left out: they have waited since it started.
    """
    found = []
    for entry in rows:
        for group in groups_of(load(str(entry.details.get("parsed", "")))):
            minutes, functions = group.get("wait_minutes_max"), tuple(group["functions"])
            if isinstance(minutes, int) and minutes > 0 and functions:
                shown = StackGroup(
                    group["count"], 1, str(group.get("state") or ""), functions, tuple(group["locations"])
                )
                if not shown.is_idle:
                    found.append((minutes, shown, entry))
    if not found:
        return []
    found.sort(key=lambda item: (-item[0], -item[1].count))
    lines = ["Longest waits, by /debug/pprof:", ""]
    for minutes, waiting, entry in found[:LONGEST_WAITS]:
        own = innermost_own(waiting.functions, waiting.locations)
        called = f" (called by {own})" if own and own != waiting.functions[0] else ""
        words = f"{counted(waiting.count, 'goroutine')} in {waiting.functions[0]}{called}: {waiting.state}, "
        lines.append(f"- {inline(words + counted(minutes, 'minute'))} ({inline(entry.instance)})")
    return [*lines, ""]


def _not_captured(rows: Sequence[LedgerRow]) -> list[str]:
    missing = [entry for entry in rows if _is_missing(entry)]
    if not missing:
        return []
    lines = ["## Incomplete or missing captures", "", "| where | status | reason | what happened, what to do |"]
    lines.append("|---|---|---|---|")
    for entry in missing:
        where = "/".join(part for part in (entry.cluster, entry.component, entry.instance) if part)
        cells = [where or "-", entry.status, entry.reason, entry.message]
        lines.append(f"| {' | '.join(inline(cell) for cell in cells)} |")
    return [*lines, ""]


def _is_missing(entry: LedgerRow) -> bool:
    """Return whether a row is about a missing capture. Profiles that a service does not offer are not missing."""
    if entry.capture.startswith(PROFILE_PREFIX):
        return entry.status not in (Status.COMPLETE.value, Status.SKIPPED.value)
    concerned = entry.capture in (STACK, STACK_PPROF, LOG_WATCH) or not entry.instance
    return concerned and entry.status != Status.COMPLETE.value
