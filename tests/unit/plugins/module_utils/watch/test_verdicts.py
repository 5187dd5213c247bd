# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on instances and components, and the order of their evidence."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch import pool_rules
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.instance_rules import INSTANCE_RULES
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.report import verdict_table
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.watch.verdicts import (
    ORDER,
    VERDICTS,
    LogVerdict,
    component_verdict,
)
from service_lines import busy_for, dropped, line, waiting
from watch_helpers import ANSWERS, START, evidence, watch


def test_order_lists_every_rule_once():
    assert {rule.id for rule in pool_rules.RULES} | set(INSTANCE_RULES) | {"warning"} == set(ORDER)
    assert len(set(ORDER)) == len(ORDER)


def test_present_trouble_precedes_ended_trouble_of_pools():
    parts = (*(busy_for(30 * number, number) for number in range(2, 12)), line(590, " etcd keepalive failed"))
    found = watch(*parts).verdict(START + 600, "region-1", ANSWERS)
    assert (found.verdict, found.rule, found.over) == ("busy", "trouble", False)
    table = verdict_table([component_verdict([found], "region")])
    assert "etcd_lease: etcd keepalive failed" in table[-1]
    assert "busy (over)" not in table[-1]


def test_present_warning_precedes_ended_trouble():
    texts = evidence(waiting(1, 30), line(590, "etcd: GetServiceURL fail x, retry after 3 seconds"), at=600)
    assert texts[0].startswith("etcd_watch: ")
    assert "over since" in texts[1]


def test_ended_task_loss_keeps_the_verdict_but_not_the_first_evidence():
    found = watch(dropped(1), line(590, " etcd keepalive failed")).verdict(START + 600, "r", ANSWERS)
    assert (found.verdict, found.over) == ("dropping", False)
    assert found.evidence[0].startswith("etcd_lease: ")
    assert "; besides: " in verdict_table([component_verdict([found], "region")])[-1]


def test_orders_evidence_by_weight():
    grows = [busy_for(30 * number, number, "A") for number in range(30)]
    queue = [waiting(800 + number, 900 + number, "Z") for number in range(20)]
    found = watch(*grows, *queue).verdict(START + 875, liveness=ANSWERS)
    assert [text.partition(":")[0] for text in found.evidence[:2]] == ["Z", "A"]
    components = [component_verdict([watch(*parts).verdict(START + 875, name, ANSWERS)], name)
                  for name, parts in (("glance", grows), ("region", queue))]  # fmt: skip
    assert [each.weight for each in components] == [1, 919]


def instance(name: str, verdict: str, *evidence: str, over: bool = False) -> LogVerdict:
    return LogVerdict(verdict, "rule", evidence or (f"why {name}",), over, name)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_component_has_the_verdict_of_its_worst_instance(verdict):
    worse = VERDICTS[: VERDICTS.index(verdict) + 1]
    found = component_verdict([instance(f"i{number}", each) for number, each in enumerate(worse)], "region")
    assert found.verdict == verdict
    assert found.evidence[0].endswith(f"of {len(worse)} instance{'s' * (len(worse) > 1)}")
    assert found.evidence[1] == f"i{len(worse) - 1}: why i{len(worse) - 1}"


def test_present_trouble_decides_between_equal_verdicts():
    parts = [instance("a", "stuck", over=True), instance("b", "stuck"), instance("c", "stuck", over=True)]
    assert not component_verdict(parts).over
    assert component_verdict([parts[0], parts[2]]).over


def test_component_without_instances_is_unknown():
    assert component_verdict([], "region").verdict == "unknown"
