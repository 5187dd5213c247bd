# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The strict loader of rules."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rules import RuleError, load_rules
from audit_documents import file_of, rule, rules_of

THRESHOLD = {"default": 3, "unit": "restarts", "what": "W"}
LEVELS = {"compare": "at_least", "warning": "many"}


def with_threshold(**more):
    return {"thresholds": {"many": THRESHOLD}, **more}


def test_loads_a_minimal_rule():
    loaded = rules_of(rule(id="plain"), rule(severity=None, levels=LEVELS), **with_threshold())
    assert [one.id for one in loaded.rules] == ["plain", "some_rule"]
    assert loaded.values({}) == {"many": 3}


# What is wrong -> (rule, further keys of the file, what the message says).
BAD_RULES = [
    ({"colour": "red"}, {}, "some_rule: unknown key 'colour'"),
    ({"message": None}, {}, "some_rule: lacks 'message'"),
    ({"advice": ""}, {}, "some_rule: 'advice' has to be a text, and not empty"),
    ({"title": 3}, {}, "some_rule: 'title' has to be a text"),
    ({"id": "Some Rule"}, {}, "Some Rule: 'id' has to consist of lower-case letters"),
    ({"scope": "world"}, {}, "some_rule: 'scope' is 'world'"),
    ({"scenario": "flood"}, {}, "some_rule: 'scenario' is 'flood'"),
    ({"severity": "fatal"}, {}, "some_rule: 'severity' is 'fatal'"),
    ({"severity": None}, {}, "some_rule: it has to have either 'severity' or 'levels'"),
    ({"levels": LEVELS}, with_threshold(), "some_rule: it has to have either 'severity' or 'levels'"),
    ({"severity": None, "levels": {"compare": "at_least"}}, {}, "some_rule: 'levels' needs a threshold"),
    ({"severity": None, "levels": {"compare": "equals", "warning": "many"}}, with_threshold(), "'compare' is 'equals'"),
    ({"severity": None, "levels": {**LEVELS, "info": "many"}}, with_threshold(), "levels: unknown key 'info'"),
    ({"severity": None, "levels": LEVELS}, {}, "some_rule: there is no threshold 'many'"),
    (
        {"severity": None, "levels": LEVELS, "expression": "instance.{n: restarts}", "message": "{n}"},
        with_threshold(),
        "some_rule: 'levels' compare the items' field 'value'",
    ),
    ({"expression": "[instance][?restarts > `0`"}, {}, "some_rule: 'expression': not a JMESPath expression"),
    ({"expression": "(" * 5000}, {}, "some_rule: 'expression': not a JMESPath expression: it is nested too deeply"),
    ({"expression": "instance.{value: sqrt(restarts)}"}, {}, "some_rule: 'expression': there is no function sqrt()"),
    ({"expression": "instance.{value: length()}"}, {}, "'expression': length() is called with 0 arguments"),
    ({"expression": "instance.{value: ratio(restarts)}"}, {}, "'expression': ratio() is called with 1 arguments"),
    ({"expression": "instance.restarts"}, {}, "'expression': it has to end in named fields"),
    ({"expression": "instance.{value: threshold(name)}"}, {}, "threshold() takes the name of a threshold"),
    ({"expression": "instance.{value: threshold('lots')}"}, {}, "some_rule: there is no threshold 'lots'"),
    ({"message": "{restarts}"}, {}, "some_rule: 'message' has {restarts}"),
    ({"message": "{value.real}"}, {}, "some_rule: 'message' has {value.real}"),
    ({"message": "{value!r}"}, {}, "some_rule: 'message' has {value}"),
    ({"message": "{value:>99}"}, {}, "some_rule: 'message' has {value}"),
    ({"message": "{0}"}, {}, "some_rule: 'message' has {0}"),
    ({"message": "{value"}, {}, "some_rule: 'message'"),
    ({"needs": ["weather"]}, {}, "some_rule: 'needs' is 'weather'"),
    ({"needs": ["workloads"]}, {}, "some_rule: 'needs' is 'workloads'"),
    ({"needs": ["ping", "ping"]}, {}, "some_rule: 'needs' names something twice"),
    ({"expression": "log.{value: seconds}"}, {}, "'expression' reads log, which 'needs' does not name"),
    (
        {"scope": "component", "expression": "{value: length(versions)}"},
        {},
        "some_rule: 'expression' reads version, which 'needs' does not name",
    ),
    ({"applies_to": {"components": ["regoin"]}}, {}, "some_rule: 'components' is 'regoin'"),
    ({"applies_to": {"except": ["regoin"]}}, {}, "some_rule: 'except' is 'regoin'"),
    ({"applies_to": {"transports": ["pigeon"]}}, {}, "some_rule: 'transports' is 'pigeon'"),
    ({"applies_to": {"clusters": ["c"]}}, {}, "some_rule: applies_to: unknown key 'clusters'"),
    (
        {"applies_to": {"components": ["region"]}, "scope": "cluster", "expression": "{value: cluster}"},
        {},
        "some_rule: a rule of this scope looks at all components",
    ),
    (
        {"applies_to": {"transports": ["host"]}, "scope": "fleet", "expression": "{value: clusters}"},
        {},
        "some_rule: a rule of this scope looks at all clusters",
    ),
    ({"covers": ["other"]}, {}, "some_rule: 'covers' names 'other'"),
    ({"covers": ["some_rule"]}, {}, "some_rule: 'covers' names 'some_rule'"),
    ({"covers": [["a"]]}, {}, "some_rule: 'covers' has to be a list of names"),
    ({}, with_threshold(), "threshold many: no rule uses it"),
    ({}, {"thresholds": {"many": {**THRESHOLD, "default": "3"}}}, "threshold many: 'default' has to be a number"),
    ({}, {"thresholds": {"many": {**THRESHOLD, "default": True}}}, "threshold many: 'default' has to be a number"),
    ({}, {"thresholds": {"many": {"default": 3}}}, "threshold many: lacks 'unit'"),
    ({}, {"thresholds": {"Many": THRESHOLD}}, "threshold Many: its name"),
    ({}, {"colour": "red"}, "unknown key 'colour'"),
    ({}, {"version": 2}, "format and version have to be"),
    ({}, {"rules": []}, "'rules' has to be a list, and not empty"),
]


@pytest.mark.parametrize(("change", "more", "message"), BAD_RULES, ids=[case[2][:50] for case in BAD_RULES])
def test_errors_name_rule_and_key(change, more, message):
    with pytest.raises(RuleError) as caught:
        rules_of(rule(**change), **more)
    assert message in str(caught.value)
    assert str(caught.value).startswith(("own.yml: ", "rules: threshold many"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [", "not YAML"),
        ("- a", "has to be a mapping"),
        ("format: x\nformat: y\n", "the key 'format' is there twice"),
        ("{[a]: b}", "not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_refuses_malformed_files(text, message):
    with pytest.raises(RuleError, match=r"own\.yml: ") as caught:
        load_rules([("own.yml", text)])
    assert message in str(caught.value)


def test_refuses_duplicate_ids_and_thresholds():
    with pytest.raises(RuleError, match=r"own.yml: some_rule: there is a rule of that id already, in own.yml"):
        rules_of(rule(), rule())
    used = rule(severity=None, levels=LEVELS)
    with pytest.raises(RuleError, match="threshold many: there is one of that name already"):
        load_rules([file_of(used, **with_threshold()), file_of(rule(id="other"), **with_threshold())])


def test_refuses_files_without_rules():
    with pytest.raises(RuleError, match="there are no rules"):
        load_rules([])


def test_refuses_circular_covers():
    with pytest.raises(RuleError, match="'covers' leads back to the rule itself"):
        rules_of(rule(id="one", covers=["two"]), rule(id="two", covers=["three"]), rule(id="three", covers=["one"]))


def test_accepts_components_that_the_file_declares():
    own = rule(applies_to={"components": ["my-service"]})
    with pytest.raises(RuleError):
        rules_of(own)
    assert rules_of(own, components=["my-service"]).rules[0].applies_to("my-service", "kubernetes")


def test_rules_can_use_thresholds_of_other_files():
    files = [
        file_of(rule(id="first", severity=None, levels=LEVELS), **with_threshold()),
        file_of(rule(id="second", severity=None, levels=LEVELS)),
    ]
    assert len(load_rules(files).rules) == 2


@pytest.mark.parametrize(
    ("given", "value"), [(5, 5), (0.5, 0.5), ("7", 7.0), ("x", None), (True, None), ([], None), ("nan", None)]
)
def test_thresholds_accept_numbers_only(given, value):
    loaded = rules_of(rule(severity=None, levels=LEVELS), **with_threshold())
    if value is None:
        with pytest.raises(ValueError, match="the threshold 'many' has to be a number"):
            loaded.values({"many": given})
    else:
        assert loaded.values({"many": given}) == {"many": value}


def test_unknown_threshold_is_an_error_that_lists_the_known_ones():
    loaded = rules_of(rule(severity=None, levels=LEVELS), **with_threshold())
    with pytest.raises(ValueError, match="there is no threshold 'lots'; there are: many"):
        loaded.values({"lots": 1})
