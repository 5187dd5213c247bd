# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The closing table and health.md, also with hostile names."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.junit_prometheus import prometheus
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.report import TABLE_LINES, markdown, table
from audit_documents import cluster, health_of, instance, status
from report_documents import RULES, documents, hostile, unreachable, with_baseline


def test_table_lists_components_that_are_not_ok_worst_first():
    lines = table(health_of(RULES, *documents()))
    assert lines[0].split() == [
        "verdict",
        "cluster",
        "component",
        "instances",
        "critical",
        "warning",
        "unknown",
        "finding",
    ]
    assert lines[1].split() == ["critical", "c", "region", "2", "1", "1", "-", "3", "restarts", "of", "n1"]
    assert lines[2].split()[:7] == ["unknown", "c", "host", "1", "-", "-", "1"]
    assert "ping was not read (no_answer)" in lines[2]
    assert lines[3:] == [
        "1 component ok",
        "",
        "capture next: ansible-playbook cloudpods.diagnostics.capture_stacks -e cloudpods_components=region",
        "",
        "verdict: critical (1 critical, 1 warning, 1 unknown) on 1 cluster, 3 components, 4 instances",
    ]


def test_table_is_bounded_and_lists_unreachable_clusters():
    many = [status(instance(f"s{n}", f"s{n}-1", restarts=1)) for n in range(TABLE_LINES + 7)]
    lines = table(health_of(RULES, cluster(), *many))
    assert f"… {7} more lines are in health.md" in lines
    assert any(line.startswith("unknown   d") and "no route" in line for line in table(unreachable()))


def test_table_compares_with_the_baseline():
    assert table(with_baseline())[-1] == (
        "since 2026-01-02T04:00:00.000Z (verdict then: critical): 1 new, 0 worse, 1 same, 0 better, 1 gone, 0 not seen"
    )


def test_markdown_has_findings_evidence_advice_and_gaps():
    text = markdown(with_baseline())
    for part in (
        "### critical: c/region/region-1: T",
        "3 restarts of n1",
        "- evidence: c/region/region-1/status.json",
        "- advice: A",
        "- capture next:\n\n      ansible-playbook cloudpods.diagnostics.capture_stacks -e cloudpods_components=",
        "### warning (new): c/region/region-2: T",
        "| c/region/region-2 | warning | 0 restarts | mild |",
        "| c/host | ping was not read (no\\_answer) | 1 | asks |",
        "| c/notify/n | critical | 1 restarts of n1 | gone |",
    ):
        assert part in text, part


@pytest.mark.parametrize("write", [lambda d: "\n".join(table(d)), markdown, prometheus])
def test_reports_contain_no_escape_sequences_or_extra_lines(write):
    text = write(health_of(RULES, *hostile()))
    assert "\x1b" not in text
    assert "\n# evil" not in text


def test_markdown_escapes_untrusted_text():
    text = markdown(health_of(RULES, *hostile()))
    assert "<script>" not in text.replace("\\<script\\>", "")
    for line in text.splitlines():
        if line.startswith("| a"):
            assert line.replace("\\|", "").count("|") in (8, 5), line
