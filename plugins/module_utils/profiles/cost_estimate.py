# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimate how long a run of profiles takes and what it costs the services. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Iterable, Mapping, Sequence

from ..model import Instance
from ..pprof import Kind
from ..text import duration


@dataclass(frozen=True)
class CostEstimate:
    """Duration of a run in seconds, roughly, and lines for people."""

    seconds: float
    lines: list[str]


def estimate(
    asked: Sequence[tuple[Instance, Sequence[Kind]]],
    seconds: Mapping[str, int],
    at_once: int,
    gc: bool,
    deadline: float,
) -> CostEstimate:
    """Estimate the cost of requesting these kinds from these instances. seconds: of the kinds that run for a time.

    at_once: replicas of a component that run those at a time. deadline: of the run, in seconds.
    """
    replicas: Counter[tuple[str, str, str]] = Counter()
    kinds_of: dict[tuple[str, str, str], dict[str, Kind]] = {}
    for instance, kinds in asked:
        key = (instance.cluster, instance.namespace, instance.component)
        replicas[key] += bool(kinds)
        kinds_of.setdefault(key, {}).update((kind.name, kind) for kind in kinds)
    longest, lines = 0.0, []
    for key in sorted(replicas):
        if not replicas[key]:
            continue
        took = _seconds(kinds_of[key].values(), replicas[key], seconds, at_once)
        longest = max(longest, took)
        lines.append(_line(key[2], replicas[key], kinds_of[key].values(), seconds, at_once, took))
    if not lines:
        return CostEstimate(0.0, ["Nothing is asked of any instance."])
    costs = ["A snapshot (goroutine, heap, …) stops a service for a moment"]
    named = {kind.name for kinds in kinds_of.values() for kind in kinds.values()}
    if "cpu" in named:
        costs.append("a CPU profile interrupts it a hundred times a second while it runs")
    if "trace" in named:
        costs.append("a trace slows it while it runs, and grows by megabytes a second where it is busy")
    if gc:
        costs.append("gc=1 makes it collect its garbage first")
    lines.append("; ".join(costs) + ". Each takes one of its workers for GET requests meanwhile.")
    if longest > deadline:
        lines.append(
            f"That takes about {duration(longest)}, and the deadline is {duration(deadline)}: what cannot end before "
            "it is not begun. Raise cloudpods_deadline or cloudpods_profile_replicas."
        )
    return CostEstimate(longest, lines)


def _seconds(kinds: Iterable[Kind], replicas: int, seconds: Mapping[str, int], at_once: int) -> float:
    """Return the seconds: timed kinds in batches of replicas, the others of all replicas at a time."""
    timed = sum(seconds.get(kind.name, 0) for kind in kinds if kind.timed)
    others = sum(seconds.get(kind.name, 0) for kind in kinds if not kind.timed)
    return float(others + timed * -(-replicas // at_once))


def _line(
    component: str, replicas: int, kinds: Iterable[Kind], seconds: Mapping[str, int], at_once: int, took: float
) -> str:
    words = [kind.name + (f" {seconds[kind.name]} s" if seconds.get(kind.name) else "") for kind in kinds]
    many = f"{replicas} instance{'' if replicas == 1 else 's'}"
    turns = f", cpu and trace {at_once} at a time" if replicas > at_once and any(kind.timed for kind in kinds) else ""
    return f"{component}: {many}: {', '.join(words)}{turns}; about {duration(took)}"
