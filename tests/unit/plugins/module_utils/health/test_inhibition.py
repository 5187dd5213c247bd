# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inhibition of findings by others about the same problem."""

from __future__ import annotations

import pytest
from audit_documents import cluster, health_of, instance, rule, rules_of, status

GENERAL = rule(id="general", expression="instance.{value: restarts}")


@pytest.mark.parametrize(
    ("rules", "expected", "covered"),
    [
        ([rule(covers=["general"]), GENERAL], ["some_rule"], [("general", "some_rule")]),
        ([rule(), GENERAL], ["some_rule", "general"], []),
        # A less severe finding does not cover a more severe one.
        ([rule(covers=["general"]), {**GENERAL, "severity": "critical"}], ["general", "some_rule"], []),
        # Another pool is another problem. A finding without a pool is about all pools.
        (
            [
                rule(covers=["general"], expression="instance.{subject: 'P'}", message="m"),
                {**GENERAL, "expression": "instance.{subject: 'Q'}", "message": "m"},
            ],
            ["some_rule", "general"],
            [],
        ),
        (
            [rule(covers=["general"], expression="instance.{subject: 'P'}", message="m"), GENERAL],
            ["some_rule"],
            [("general", "some_rule")],
        ),
        # A finding of a component is about all its instances.
        (
            [rule(scope="component", covers=["general"], expression="{value: `1`}"), GENERAL],
            ["some_rule"],
            [("general", "some_rule")],
        ),
        # Names a reported finding, not one that is covered itself.
        (
            [
                rule(id="top", covers=["middle"]),
                {**GENERAL, "id": "middle", "covers": ["general"]},
                GENERAL,
                rule(id="other", covers=["general"]),
            ],
            ["top", "other"],
            [("middle", "top"), ("general", "other")],
        ),
    ],
)
def test_covering_rule_inhibits_findings_at_the_same_place_and_subject(rules, expected, covered):
    document = health_of(rules_of(*rules), cluster(), status(instance(restarts=1)))
    assert [one["rule"] for one in document["findings"]] == expected
    assert [(one["rule"], one["covered_by"]) for one in document["covered"]] == covered


def test_does_not_inhibit_findings_of_other_instances():
    fires = rule(covers=["general"], expression="[instance][?name == 'region-1'].{value: restarts}")
    document = health_of(rules_of(fires, GENERAL), cluster(), status(), status(instance(name="region-2")))
    assert [(one["rule"], one["instance"]) for one in document["findings"]] == [
        ("some_rule", "region-1"),
        ("general", "region-2"),
    ]


def test_ended_problem_does_not_inhibit_a_current_one():
    over = rule(id="old", covers=["general"], expression="instance.{value: restarts, over_seconds: `300`}")
    document = health_of(rules_of(over, GENERAL), cluster(), status(instance(restarts=1)))
    assert [one["rule"] for one in document["findings"]] == ["general", "old"]
