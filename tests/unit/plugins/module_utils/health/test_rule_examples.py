# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner of examples, also with examples that must fail."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rule_examples import (
    failed_examples,
)
from audit_documents import rule, rules_of
from example_coverage import missing_examples

FIRES = {"expect": "warning", "status": {"instance": {"restarts": 3}}}
SILENT = {"expect": "silent", "status": {}}


def test_accepts_examples_with_the_expected_result():
    assert failed_examples(rules_of(rule(examples=[dict(FIRES, message="3 restarts"), SILENT]))) == []


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (dict(FIRES, expect="silent"), "expected silent, got warning (3 restarts)"),
        (dict(FIRES, expect="critical"), "expected critical, got warning"),
        (dict(FIRES, expect="unknown"), "expected unknown, got warning"),
        (dict(SILENT, expect="warning"), "expected warning, got silent"),
        (dict(SILENT, expect="unknown"), "expected unknown, got silent"),
        (dict(SILENT, expect="not_applicable"), "expected not_applicable, got silent"),
        (dict(FIRES, message="4 restarts"), "the message is '3 restarts'"),
        (dict(SILENT, message="4 restarts"), "the message is None"),
        ({"expect": "silent"}, "expected silent, got not_applicable"),
        ({"expect": "fires", "status": {}}, "'expect' has to be one of"),
        ({"status": {}}, "'expect' has to be one of"),
        ({"expect": "silent", "state": {}}, "it has to be a mapping with keys of"),
        ("silent", "it has to be a mapping with keys of"),
        ({"expect": "silent", "status": {"instance": {"state": "asleep"}}}, "it cannot be made into documents"),
        ({"expect": "silent", "status": {"samples": "many"}}, "it cannot be made into documents"),
        ({"expect": "silent", "status": 3}, "it cannot be made into documents"),
        ({"expect": "silent", "status": {"log": {"seconds": "x"}}}, "it makes no documents"),
    ],
)
def test_names_examples_that_fail(example, message):
    failed = failed_examples(rules_of(rule(examples=[SILENT, example])))
    assert len(failed) == 1
    assert failed[0].startswith("own.yml: some_rule: example 2: ")
    assert message in failed[0]


def test_names_rules_that_lack_examples():
    assert missing_examples(rules_of(rule())) == [
        "own.yml: some_rule: no example in which it fires",
        "own.yml: some_rule: no example in which it is silent",
    ]
    needy = rule(needs=["ping"], examples=[FIRES, SILENT])
    assert missing_examples(rules_of(needy)) == ["own.yml: some_rule: no example without the data that it needs"]
    levels = {"compare": "at_least", "warning": "few", "critical": "many"}
    thresholds = {name: {"default": 3, "unit": "u", "what": "w"} for name in ("few", "many")}
    both = rule(severity=None, levels=levels, examples=[FIRES, SILENT])
    assert missing_examples(rules_of(both, thresholds=thresholds)) == [
        "own.yml: some_rule: no example in which it is critical"
    ]
    assert missing_examples(rules_of(rule(examples=[FIRES, SILENT]))) == []
