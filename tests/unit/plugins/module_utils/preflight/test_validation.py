# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in the variables of all hosts."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.validation import (
    MOST_SENTENCES,
    EffectiveOptions,
    UnreadableValue,
    find_mistakes,
    roles_of,
    template_error,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.variables import (
    AUDIT,
    LOGS,
    PROFILES,
    STACKS,
)


def test_valid_variables_have_no_mistakes():
    assert find_mistakes({"a": {"cloudpods_timeout": "5", "cloudpods_components": "region,glance"}}, STACKS) == []


def test_a_mistake_of_all_hosts_is_reported_once():
    wrong = {"cloudpods_timeout": "soon"}
    (text,) = find_mistakes({"a": wrong, "b": wrong}, STACKS)
    assert text.startswith("cloudpods_timeout is 'soon'. It has to be ")


def test_a_mistake_of_some_hosts_names_them():
    wrong = {"cloudpods_timeout": "soon"}
    (text,) = find_mistakes({"a": wrong, "b": {}}, STACKS)
    assert text.startswith("cloudpods_timeout of a is 'soon'.")
    (text,) = find_mistakes({**dict.fromkeys("abcde", wrong), "f": {}}, STACKS)
    assert text.startswith("cloudpods_timeout of a, b, c and 2 more is 'soon'.")


def test_unknown_variables_get_suggestions():
    (text,) = find_mistakes({"a": {"cloudpods_timout": 5}}, STACKS)
    assert text == "There is no variable cloudpods_timout; did you mean cloudpods_timeout?"


def test_variables_of_other_roles_are_not_checked():
    assert find_mistakes({"a": {"cloudpods_samples": "none"}}, STACKS) == []
    assert len(find_mistakes({"a": {"cloudpods_samples": "none"}}, AUDIT)) == 1


def test_the_option_of_a_role_overrides_the_variable():
    values = {"cloudpods_timeout": "soon", "capture_stacks_timeout": 5}
    assert find_mistakes({"a": values}, STACKS) == []


def test_many_mistakes_are_counted():
    values = {f"cloudpods_zzzz{number}": 1 for number in range(MOST_SENTENCES + 3)}
    sentences = find_mistakes({"a": values}, STACKS)
    assert len(sentences) == MOST_SENTENCES + 1
    assert sentences[-1] == "There are 3 more mistakes."


def test_a_template_that_fails_is_named():
    (text,) = find_mistakes({"a": {"cloudpods_timeout": UnreadableValue("'x' is undefined")}}, STACKS)
    assert text == "cloudpods_timeout cannot be evaluated: 'x' is undefined."
    assert template_error("The task failed: 'site' is undefined. 'site' is undefined") == "'site' is undefined"


def test_the_transport_url_needs_urls():
    (text,) = find_mistakes({"a": {"cloudpods_transport": "url"}}, AUDIT)
    assert "cloudpods_urls" in text


def test_long_profiles_have_to_be_forced():
    long = {"cloudpods_cpu_seconds": 300}
    (text,) = find_mistakes({"a": long}, PROFILES)
    assert text.startswith("cloudpods_cpu_seconds is 300. More than ")
    assert find_mistakes({"a": {**long, "cloudpods_profile_force": True}}, PROFILES) == []


def test_log_patterns_are_checked():
    (text,) = find_mistakes({"a": {"cloudpods_log_patterns": [{"id": "x"}]}}, LOGS)
    assert text.startswith("cloudpods_log_patterns: ")


def test_an_audit_may_call_the_capture_of_stacks():
    assert roles_of({"cloudpods_on_critical": STACKS}, AUDIT) == [AUDIT, STACKS]
    assert roles_of({}, AUDIT) == [AUDIT]


def test_effective_options_have_the_defaults_of_the_role():
    assert EffectiveOptions({}, PROFILES).value("scenario") == "slow_system"
    assert EffectiveOptions({"cloudpods_scenario": ""}, STACKS).value("scenario") == "deadlock"
    assert EffectiveOptions({"capture_stacks_scenario": "x"}, STACKS).name("scenario") == "capture_stacks_scenario"
