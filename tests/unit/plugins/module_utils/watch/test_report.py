# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Table of verdicts and text of the kept lines."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.patterns import load_patterns
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.report import verdict_table, windows_text
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.verdicts import LogVerdict, component_verdict
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.watcher import LogWatcher
from service_lines import access, line
from watch_helpers import ANSWERS, START, watch

STATEMENT = "INSERT " + ", ".join(f"`t{number}`.`id`" for number in range(200))


def test_table_shows_the_end_of_a_long_error():
    found = watch(line(590, f" exec sql {STATEMENT}: Error 1040: Too many connections", "error"))
    table = verdict_table([component_verdict([found.verdict(START + 600, "r", ANSWERS)], "region")])
    assert "Error 1040: Too many connections" in table[-1]


def instance(name: str, verdict: str, *evidence: str, over: bool = False) -> LogVerdict:
    return LogVerdict(verdict, "rule", evidence or (f"why {name}",), over, name)


def test_table_lists_instances_that_are_not_healthy():
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


def test_table_limits_the_instances_of_a_component():
    found = component_verdict([instance(f"i{number}", "stuck") for number in range(500)], "host")
    lines = verdict_table([found])
    assert len(lines) == 13
    assert lines[-1].strip() == "and 490 more"


def test_windows_text_has_redacted_contexts():
    watcher = LogWatcher(load_patterns())
    watcher.feed(access(1) + line(2, " etcd keepalive failed") + line(3, " token=hunter2"))
    text = windows_text(watcher.document())
    assert text.startswith("## etcd_lease (critical), 1 times, from 2026-11-23T00:00:02Z to 2026-11-23T00:00:02Z\n")
    assert [each[:2] for each in text.splitlines()[3:]] == ["  ", "> ", "  "]
    assert "hunter2" not in text
