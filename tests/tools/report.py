# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closing report of a check: seconds by stage, the slowest tests, what failed, and the counts."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SLOWEST = 25  # tests that the report lists
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Case:
    """One test of a JUnit report. seconds: of setup, call and teardown together."""

    name: str
    seconds: float
    outcome: str


@dataclass(frozen=True)
class Stage:
    """One part of a check. seconds: on the clock. beside: it ran while another stage did."""

    name: str
    seconds: float
    beside: bool = False


def read(path: Path) -> list[Case]:
    """Return the tests of a JUnit XML file that pytest wrote. OSError or ParseError when there is no whole file.

    pytest writes two elements for a test that fails and whose teardown fails, too: they are one failed test.
    """
    cases: dict[str, Case] = {}
    for element in ET.parse(path).getroot().iter("testcase"):  # noqa: S314 - written by our own pytest
        name = f"{element.get('classname', '')}::{element.get('name', '')}"
        before = cases.get(name, Case(name, 0.0, PASSED))
        outcome = before.outcome if before.outcome == FAILED else _outcome(element)
        cases[name] = Case(name, before.seconds + float(element.get("time", "0")), outcome)
    return list(cases.values())


def _outcome(element: ET.Element) -> str:
    if element.find("failure") is not None or element.find("error") is not None:
        return FAILED
    return SKIPPED if element.find("skipped") is not None else PASSED


def counts(cases: Iterable[Case]) -> str:
    """Return the closing line: `N passed, N failed`, and the skipped ones where there are any."""
    found = Counter(case.outcome for case in cases)
    skipped = f", {found[SKIPPED]} skipped" if found[SKIPPED] else ""
    return f"{found[PASSED]} passed, {found[FAILED]} failed{skipped}"


def lines(stages: Sequence[Stage], cases: Sequence[Case], failed: Sequence[str]) -> Iterator[str]:
    """Yield the report line by line; the counts come last. failed: the names of the checks that failed."""
    yield "Seconds by stage"
    for stage in stages:
        yield f"{stage.seconds:9.1f}  {stage.name}{' (beside others)' if stage.beside else ''}"
    if cases:
        yield f"Slowest {min(SLOWEST, len(cases))} tests, seconds"
        for case in sorted(cases, key=lambda each: -each.seconds)[:SLOWEST]:
            yield f"{case.seconds:9.1f}  {case.name}"
    for name in [*failed, *(case.name for case in cases if case.outcome == FAILED)]:
        yield f"FAILED     {name}"
    if cases:
        yield counts(cases)
