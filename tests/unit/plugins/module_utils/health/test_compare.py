# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparison of an audit with an earlier one."""

from __future__ import annotations

import json

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.compare import compare, read_baseline
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.schema_checks import SchemaError
from audit_documents import cluster, health_of, instance, rule, rules_of, status

LEVELS = {"compare": "at_least", "warning": "few", "critical": "many"}
THRESHOLDS = {name: {"default": at, "unit": "u", "what": "w"} for name, at in (("few", 1), ("many", 5))}
RULES = rules_of(rule(severity=None, levels=LEVELS), thresholds=THRESHOLDS)


def at(restarts, name="region-1"):
    return status(instance(name=name, restarts=restarts))


def compared(before, now, rules=RULES):
    document = health_of(rules, *now)
    compare(document, read_baseline(json.loads(json.dumps(health_of(RULES, *before)))))
    return document


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (at(0), at(1), "new"),
        (at(1), at(2), "same"),
        (at(1), at(7), "worse"),
        (at(7), at(1), "better"),
        # The pod was replaced: its name is another one, the trouble is not.
        (at(1), at(7, "region-2"), "worse"),
    ],
)
def test_classifies_the_change_of_a_finding(before, now, change):
    document = compared([cluster(), before], [cluster(), now])
    assert [one["change"] for one in document["findings"]] == [change]
    assert {word: count for word, count in document["baseline"]["counts"].items() if count} == {change: 1}


@pytest.mark.parametrize(
    ("now", "change"),
    [
        ([cluster(), at(0)], "gone"),
        # It brought nothing this time, or not what the rule needs.
        ([], "not_seen"),
        ([cluster("d"), status(instance(cluster="d"))], "not_seen"),
    ],
)
def test_lost_finding_is_gone_only_if_its_rule_was_evaluated(now, change):
    document = compared([cluster(), at(1)], now)
    (lost,) = document["baseline"]["lost"]
    assert (lost["change"], lost["key"]) == (change, "some_rule|c|region|region-1|")
    assert document["baseline"]["counts"][change] == 1


def test_finding_of_a_removed_rule_is_not_seen():
    document = compared([cluster(), at(1)], [cluster(), at(0)], rules_of(rule(id="other")))
    assert [one["change"] for one in document["baseline"]["lost"]] == ["not_seen"]


def test_finding_of_an_unevaluated_rule_is_not_seen():
    unclear = rules_of(rule(needs=["ping"], expression="[latest.ping][?!answered].{value: answered}"))
    silent = status(expected=["ping"], missing=[{"endpoint": "ping", "reason": "no_answer"}])
    document = compared([cluster(), at(1)], [cluster(), silent], unclear)
    assert [one["change"] for one in document["baseline"]["lost"]] == ["not_seen"]


def test_pairs_each_earlier_finding_once():
    before = [cluster(), at(1, "a"), at(1, "b")]
    document = compared(before, [cluster(), at(1, "b"), at(1, "c"), at(1, "d")])
    assert {one["instance"]: one["change"] for one in document["findings"]} == {"b": "same", "c": "same", "d": "new"}
    assert document["baseline"]["lost"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"version": 2},
        {"verdict": "fine"},
        {"findings": {}},
        {"findings": [{"rule": "r"}]},
        {"findings": [{"key": "k", "rule": "r", "severity": "ok", "message": ""}]},
    ],
)
def test_refuses_malformed_baselines(change):
    document = health_of(RULES, cluster(), at(1))
    read_baseline(document)
    with pytest.raises(SchemaError):
        read_baseline({**document, **change})
    with pytest.raises(SchemaError):
        read_baseline([document])
