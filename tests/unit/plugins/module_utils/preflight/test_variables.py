# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables for users, as data."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.variables import (
    AUDIT,
    BUNDLE,
    CAPTURING,
    PREFIX,
    STACKS,
    VARIABLES,
    options_of,
    similar_variables,
    used_by,
)


@pytest.mark.parametrize("variable", VARIABLES.values(), ids=lambda variable: variable.name)
def test_each_variable_is_consistent(variable):
    assert variable.full_name == PREFIX + variable.name
    assert set(variable.by_role) | set(variable.choices_of) <= set(variable.roles)
    assert (variable.bounds is not None) == (variable.kind == "number")
    assert bool(variable.choices) == (variable.kind in ("choice", "choices"))


@pytest.mark.parametrize("role", [*CAPTURING, BUNDLE])
def test_options_begin_with_the_role(role):
    assert options_of(role)
    assert all(name.startswith(f"{role}_") for name in options_of(role))


@pytest.mark.parametrize("role", CAPTURING)
def test_a_run_uses_the_variables_of_its_role_and_of_its_bundle(role):
    names = {variable.name for variable in used_by(role)}
    assert {"scenario", "output"} <= names
    assert ("samples" in names) == (role == AUDIT)


def test_the_default_of_an_option_is_its_variable():
    of = {name: variable.expression(STACKS) for name, variable in options_of(STACKS).items()}
    assert of["capture_stacks_scenario"] == "{{ cloudpods_scenario | default('deadlock', true) }}"
    # 0 is a value of its own.
    expression = VARIABLES["cloudpods_dump_interval"].expression(STACKS)
    assert (
        expression == "{{ cloudpods_dump_interval | default(10, cloudpods_dump_interval | default('') in ['', none]) }}"
    )
    assert VARIABLES["cloudpods_certificates"].expression(AUDIT).endswith(" | bool }}")


def test_finds_similar_names():
    assert similar_variables("cloudpods_timout") == ["cloudpods_timeout"]
    assert similar_variables("cloudpods_count") == ["cloudpods_dump_count"]
    assert similar_variables("cloudpods_zzzz") == []
