# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people read: the closing table and the ready-to-paste issue. Pure; the texts in it come from hostile places."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Dict, Iterable, Optional, Sequence

from ..model import LedgerRow
from ..reasons import Status
from ..text import columns, inline, printable

STACK, VERSION = "stack", "version"
STATUS_PREFIX = "status:"  # of the captures that are questions to a service's HTTP side
PROFILE_PREFIX = "profile:"
STACK_PPROF = "stack:pprof"  # the goroutines by /debug/pprof
LONGEST_WAITS = 5
LARGEST_GROUPS = 5
FRAMES_SHOWN = 12

Loader = Callable[[str], Optional[Dict[str, Any]]]


def table(rows: Sequence[LedgerRow]) -> list[str]:
    """The closing table: per component the instances, what became of its captures, and the most notable finding."""
    captures = _dumps(rows)
    heads = ["component", "instances"] + [status.value for status in Status] + ["finding"]
    body = []
    for component in sorted({entry.component for entry in captures}):
        own = [entry for entry in captures if entry.component == component]
        counts = Counter(entry.status for entry in own)
        instances = len({(entry.cluster, entry.namespace, entry.instance, entry.container) for entry in own})
        numbers = [str(counts[status.value]) if counts[status.value] else "-" for status in Status]
        body.append([component, str(instances), *numbers, finding(own)])
    lines = columns([heads, *body]) if body else []
    return [printable(line) for line in lines] + places(rows)


def _dumps(rows: Sequence[LedgerRow]) -> list[LedgerRow]:
    """The dumps that answer a signal; of components without any, those by /debug/pprof."""
    signalled = {entry.component for entry in rows if entry.capture == STACK}
    return [
        entry
        for entry in rows
        if entry.capture == STACK or (entry.capture == STACK_PPROF and entry.component not in signalled)
    ]


def places(rows: Sequence[LedgerRow]) -> list[str]:
    """What is to be said of places rather than of instances."""
    return [
        printable(f"{entry.cluster}{'/' + entry.component if entry.component else ''}: {entry.message}")
        for entry in rows
        if not entry.instance
    ]


def finding(rows: Sequence[LedgerRow]) -> str:
    """In a few words what a person should know first about a component's captures."""
    restarted = sum(1 for entry in rows if entry.details.get("restarted"))
    if restarted:
        return f"{restarted} restarted after the signal!"
    troubled = Counter(entry.reason for entry in rows if entry.status != Status.COMPLETE.value)
    if troubled:
        return ", ".join(f"{count} {reason}" for reason, count in troubled.most_common(3))
    totals = [int(entry.details.get("total") or entry.details.get("goroutines", 0)) for entry in rows]
    if len(set(totals)) == 1:
        return f"{totals[0]} goroutines" + (" each" if len(totals) > 1 else "")
    return f"{min(totals)}-{max(totals)} goroutines each"


def issue(run: dict[str, Any], rows: Sequence[LedgerRow], load: Loader) -> str:
    """The report to paste into an issue, in Markdown. load(path) gives a parsed dump (or None) of the bundle."""
    captures = _dumps(rows)
    lines = ["# Goroutine dumps of Cloudpods services", ""]
    lines += [f"- {key}: {inline(str(value))}" for key, value in run.items() if value not in ("", [], None)]
    lines += ["", "```text", *table(rows), "```", ""]
    for component in sorted({entry.component for entry in captures}):
        own = [entry for entry in captures if entry.component == component]
        lines += _component_section(component, own, _versions(rows, component), load)
        timed = [entry for entry in rows if entry.capture == STACK_PPROF and entry.component == component]
        lines += _wait_section(timed, load)
    lines += _not_captured(rows)
    return "\n".join(lines).rstrip("\n") + "\n"


def _versions(rows: Sequence[LedgerRow], component: str) -> Counter[str]:
    """How many instances run each version."""
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
    groups = _largest_groups(read, load)
    if groups:
        lines += ["Largest groups of stacks, over all dumps of the component:", ""]
    for count, dumps, head, frames in groups:
        lines += [f"{_number(count, 'goroutine')} in {_number(dumps, 'dump')}{head}", "", "```text"]
        lines += [printable(frame).replace("```", "'''") for frame in frames[:FRAMES_SHOWN]]
        if len(frames) > FRAMES_SHOWN:
            lines.append(f"... {len(frames) - FRAMES_SHOWN} more frames")
        lines += ["```", ""]
    lines += ["Full files:", ""]
    lines += [
        f"- `{entry.path}` ({entry.status}, {entry.details.get('goroutines', 0)} goroutines)"
        for entry in rows
        if entry.path
    ] or ["- none"]
    return [*lines, ""]


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _largest_groups(rows: Iterable[LedgerRow], load: Loader) -> list[tuple[int, int, str, list[str]]]:
    """(goroutines, dumps they are in, " [state]" or "", frames as text) of the most frequent stacks."""
    counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
    dumps: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for entry in rows:
        seen = set()
        for group in _groups_of(load(entry.details["parsed"])):
            frames = tuple(f"{called}  {at}" for called, at in zip(group["functions"], group["locations"]))
            key = (f" [{group['state']}]" if group.get("state") else "", frames)
            counts[key] += group["count"]
            seen.add(key)
        dumps.update(seen)
    return [(count, dumps[key], printable(key[0]), list(key[1])) for key, count in counts.most_common(LARGEST_GROUPS)]


def _wait_section(rows: Sequence[LedgerRow], load: Loader) -> list[str]:
    """Who has waited for longest, as only /debug/pprof tells it."""
    found = []
    for entry in rows:
        for group in _groups_of(load(str(entry.details.get("parsed", "")))):
            minutes = group.get("wait_minutes_max")
            if isinstance(minutes, int) and minutes > 0 and group["functions"]:
                found.append((minutes, group["count"], str(group.get("state") or ""), group["functions"][0], entry))
    if not found:
        return []
    found.sort(key=lambda item: (-item[0], -item[1]))
    lines = ["Longest waits, by /debug/pprof:", ""]
    for minutes, count, state, function, entry in found[:LONGEST_WAITS]:
        words = f"{_number(count, 'goroutine')} in {function}: {state}, {_number(minutes, 'minute')}"
        lines.append(f"- {inline(words)} ({inline(entry.instance)})")
    return [*lines, ""]


def _groups_of(document: dict[str, Any] | None) -> Iterable[dict[str, Any]]:
    """The groups of a parsed dump that are what they should be: the file may come from anywhere."""
    groups = (document or {}).get("groups")
    for group in groups if isinstance(groups, list) else []:
        if (
            isinstance(group, dict)
            and isinstance(group.get("count"), int)
            and isinstance(group.get("state"), (str, type(None)))
        ):
            lists = group.get("functions"), group.get("locations")
            if all(isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in lists):
                yield group


def _not_captured(rows: Sequence[LedgerRow]) -> list[str]:
    concerned = [entry for entry in rows if entry.capture in (STACK, STACK_PPROF) or not entry.instance]
    missing = [entry for entry in concerned if entry.status != Status.COMPLETE.value]
    if not missing:
        return []
    lines = ["## Not or not wholly captured", "", "| where | status | reason | what happened, what to do |"]
    lines.append("|---|---|---|---|")
    for entry in missing:
        where = "/".join(part for part in (entry.cluster, entry.component, entry.instance) if part)
        cells = [where, entry.status, entry.reason, entry.message]
        lines.append(f"| {' | '.join(inline(cell) for cell in cells)} |")
    return [*lines, ""]
