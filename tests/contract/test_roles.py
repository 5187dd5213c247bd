# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The defaults in argument_specs match the roles' defaults if no cloudpods_* variable is set."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

ROLES = Path(__file__).resolve().parents[2] / "roles"


def differences(defaults: dict, options: dict) -> list[str]:
    """Return the names and values that differ."""
    found = [f"only in one of them: {name}" for name in sorted(set(defaults) ^ set(options))]
    for name in sorted(set(defaults) & set(options)):
        value, stated = defaults[name], options[name].get("default")
        if isinstance(value, str):
            environment = NativeEnvironment()
            environment.filters["bool"] = bool  # Ansible's filter, for values of defaults
            value = environment.from_string(value).render()
        if options[name]["type"] == "list" and not isinstance(value, list):
            value = [value]
        if str(value or "") != str(stated or ""):
            found.append(f"{name}: {value!r} is stated as {stated!r}")
    return found


@pytest.mark.parametrize("role", sorted(path.parent.name for path in ROLES.glob("*/defaults")))
def test_defaults_and_argument_specs_agree(role):
    defaults = yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text())
    specs = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())
    assert differences(defaults, specs["argument_specs"]["main"]["options"]) == []


@pytest.mark.parametrize(
    ("defaults", "options", "count"),
    [
        ({"a": 1}, {}, 1),
        ({}, {"a": {"type": "int", "default": 1}}, 1),
        ({"a": "{{ x | default(2) }}"}, {"a": {"type": "int", "default": 1}}, 1),
        ({"a": "{{ x | default(2) }}"}, {"a": {"type": "int", "default": 2}}, 0),
        ({"a": "{{ x | default('n') }}"}, {"a": {"type": "list", "default": ["n"]}}, 0),
    ],
)
def test_comparison_finds_differences(defaults, options, count):
    assert len(differences(defaults, options)) == count
