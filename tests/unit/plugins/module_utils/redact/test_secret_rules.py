# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules themselves, as data."""

from __future__ import annotations

import re

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.redactor import DIVIDERS, Redactor
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.secret_rules import (
    OWN_RULES,
    RULES,
    TOKEN_LENGTH,
    TOKEN_RULES,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.words[0]}")
def test_each_rule_is_well_formed(rule):
    assert re.compile(rule.expression.encode()).groups >= rule.group
    assert rule.words
    assert all(word == word.lower() and word for word in (*rule.words, *filter(None, [rule.also])))
    assert re.fullmatch(r"[a-z0-9-]{1,48}", rule.name)


def test_rules_of_gitleaks_search_words():
    assert all(rule.one_word for rule in TOKEN_RULES)
    assert TOKEN_LENGTH <= 20
    assert set(RULES) == {*OWN_RULES, *TOKEN_RULES}


def test_a_rule_replaces_only_its_group():
    made = Redactor().text("mysql://root:hunter2hunter2@db.example/x")
    assert made == "mysql://root:[redacted:url-password]@db.example/x"


def test_dividers_are_blanks_for_words():
    assert b"\"'`\0".translate(DIVIDERS) == b"    "
