# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that the examples of rules cover each result that the rule can have."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.evaluate import UNKNOWN
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rule_examples import SILENT
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.rules import SEVERITIES, RuleSet


def missing_examples(rules: RuleSet) -> list[str]:
    """Return one line per case that a rule has no example of: firing, silent, and unknown if it needs data."""
    problems = []
    for rule in rules.rules:
        shown = {example.get("expect") for example in rule.examples if isinstance(example, dict)}
        if not shown & set(SEVERITIES):
            problems.append(f"{rule.file}: {rule.id}: no example in which it fires")
        if rule.levels is not None:
            levels = {"warning": rule.levels.warning, "critical": rule.levels.critical}
            problems += [
                f"{rule.file}: {rule.id}: no example in which it is {severity}"
                for severity in SEVERITIES
                if levels[severity] and severity not in shown
            ]
        if SILENT not in shown:
            problems.append(f"{rule.file}: {rule.id}: no example in which it is silent")
        if rule.needs and UNKNOWN not in shown:
            problems.append(f"{rule.file}: {rule.id}: no example without the data that it needs")
    return problems
