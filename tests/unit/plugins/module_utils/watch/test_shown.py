# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.report import verdict_table, windows_text
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.verdicts import (
    VERDICTS,
    LogVerdict,
    component_verdict,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from said import access, line


def instance(name: str, verdict: str, *evidence: str, over: bool = False) -> LogVerdict:
    return LogVerdict(verdict, "rule", evidence or (f"why {name}",), over, name)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_component_is_as_bad_as_its_worst_instance(verdict):
    worse = VERDICTS[: VERDICTS.index(verdict) + 1]
    found = component_verdict([instance(f"i{number}", each) for number, each in enumerate(worse)], "region")
    assert found.verdict == verdict
    assert found.evidence[0].endswith(f"of {len(worse)} instance{'s' * (len(worse) > 1)}")
    assert found.evidence[1] == f"i{len(worse) - 1}: why i{len(worse) - 1}"


def test_of_equally_bad_instances_one_that_goes_on_decides():
    parts = [instance("a", "stuck", over=True), instance("b", "stuck"), instance("c", "stuck", over=True)]
    assert not component_verdict(parts).over
    assert component_verdict([parts[0], parts[2]]).over


def test_a_component_without_instances_is_unknown():
    assert component_verdict([], "region").verdict == "unknown"


def test_the_table_names_what_is_not_healthy():
    region = component_verdict(
        [instance("r1", "healthy"), instance("r2", "stuck", "x" * 300), instance("r3", "busy", "y\x1b[2J", over=True)],
        "region",
    )
    glance = component_verdict([instance("g1", "healthy")], "glance")
    assert verdict_table([region, glance], {"r2": "▁█"}) == [
        "component  instances  verdict      trouble by minute  evidence",
        "region     3          stuck",
        f"  r2                  stuck        ▁█                 {'x' * 199}…",
        "  r3                  busy (over)                     y?[2J",
        "glance     1          healthy                         1 healthy of 1 instance",
    ]
    assert verdict_table([]) == []


def test_the_table_stays_short_for_a_fleet():
    found = component_verdict([instance(f"i{number}", "stuck") for number in range(500)], "host")
    lines = verdict_table([found])
    assert len(lines) == 13
    assert lines[-1].strip() == "and 490 more"


def test_the_kept_lines_make_a_text():
    watcher = LogWatcher(load_patterns())
    watcher.feed(access(1) + line(2, " etcd keepalive failed") + line(3, " token=hunter2"))
    text = windows_text(watcher.document())
    assert text.startswith("## etcd_lease (critical), 1 times, from 2026-11-23T00:00:02Z to 2026-11-23T00:00:02Z\n")
    assert [each[:2] for each in text.splitlines()[3:]] == ["  ", "> ", "  "]
    assert "hunter2" not in text
