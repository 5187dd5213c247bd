# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluation of one rule on one document."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.evaluate import MAX_ITEMS, worst
from audit_documents import (
    cluster,
    findings_of,
    health_of,
    instance,
    rule,
    rules_of,
    status,
)


def test_at_most_fires_at_or_below_the_threshold():
    levels = {"compare": "at_most", "warning": "few"}
    loaded = rules_of(rule(severity=None, levels=levels), thresholds={"few": {"default": 2, "unit": "u", "what": "w"}})
    assert findings_of(health_of(loaded, cluster(), status(instance(restarts=2)))) == [("warning", "some_rule")]
    assert findings_of(health_of(loaded, cluster(), status(instance(restarts=3)))) == []


def test_missing_value_is_unknown():
    loaded = rules_of(
        rule(
            severity=None,
            levels={"compare": "at_least", "warning": "few"},
            expression="instance.{value: last_ended_seconds}",
        ),
        thresholds={"few": {"default": 2, "unit": "u", "what": "w"}},
    )
    document = health_of(loaded, cluster(), status())
    assert document["verdict"] == "unknown"
    assert document["unknown"][0]["reason"] == "a value that the rule compares is missing"


def test_evaluation_error_is_unknown_with_its_reason():
    loaded = rules_of(rule(expression="[@][?sum(instance.name) > `0`].{value: cluster}"))
    document = health_of(loaded, cluster(), status())
    assert document["verdict"] == "unknown"
    assert "cannot be evaluated on this data: JMESPathTypeError" in document["unknown"][0]["reason"]


@pytest.mark.parametrize("word", ["nan", "inf", "-inf"])
def test_nan_and_infinity_are_unknown_and_not_written(word):
    levels = {"compare": "at_least", "warning": "few"}
    loaded = rules_of(
        rule(id="compares", severity=None, levels=levels, expression="instance.{value: to_number(node)}"),
        rule(id="tells", expression="instance.{value: to_number(node), more: to_number(node)}", message="{more}"),
        thresholds={"few": {"default": 2, "unit": "u", "what": "w"}},
    )
    document = health_of(loaded, cluster(), status(instance(node=word)))
    (finding,) = document["findings"]
    assert (finding["value"], finding["fields"], finding["message"]) == (None, {"more": None}, "unknown")
    assert document["unknown"][0]["rule"] == "compares"


def test_items_may_lack_fields_of_the_message():
    kinds = rule(expression="[instance.{a: restarts}, instance.{b: node}]", message="{a} {b}")
    document = health_of(rules_of(kinds), cluster(), status(instance(restarts=2)))
    assert [one["message"] for one in document["findings"]] == ["2 unknown", "unknown n1"]


def test_bounds_findings_of_one_rule_and_counts_the_rest():
    many = rule(needs=["worker_stats"], expression="latest.worker_stats.workers[].{subject: name, value: queue}")
    workers = [
        {"name": f"P{n}", "active": 1, "max": 1, "detached": 0, "queue": n, "queue_capacity": 9} for n in range(500)
    ]
    base = status(expected=["worker_stats"], samples=[{"worker_stats": {"workers": workers}}])
    document = health_of(rules_of(many), cluster(), base)
    assert len(document["findings"]) == MAX_ITEMS
    assert max(one["value"] for one in document["findings"]) == 499
    assert document["problems"][0]["message"] == f"some_rule: {500 - MAX_ITEMS} more findings are not listed"


def test_worst_of_verdicts():
    assert worst(["ok", "critical", "unknown"]) == "critical"
    assert worst([]) == "ok"


def test_ended_problem_is_a_warning_at_most_and_comes_last():
    over = rule(id="old", severity="critical", expression="instance.{value: restarts, over_seconds: `300`}")
    late = rule(id="late", holds_up="nothing")
    now = rule(id="now", holds_up="everything")
    document = health_of(rules_of(over, late, now), cluster(), status(instance(restarts=1)))
    assert [(one["rule"], one["severity"], one["holds_up"]) for one in document["findings"]] == [
        ("now", "warning", "everything"),
        ("late", "warning", "nothing"),
        ("old", "warning", "over"),
    ]
