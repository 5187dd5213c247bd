# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of variables agrees with the roles, their documentation, its page and the modules."""

from __future__ import annotations

import importlib
import re

import pytest
import yaml
from ansible_collections.cloudpods.diagnostics.plugins.module_utils import bounds
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.arguments import STATUS_TRANSPORT, TRANSPORT
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.catalog import SCENARIOS
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.libraries import LIBRARIES
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight import variables
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.variables import (
    CAPTURING,
    EVERYWHERE,
    STATISTICS,
    VARIABLES,
    options_of,
)
from ansible_collections.cloudpods.diagnostics.plugins.modules import (
    bundle_seal,
    health_check,
    log_watch,
    profile_dump,
    stack_dump,
    status_info,
)

from workspace import ROOT

TYPES = {
    variables.BOOL: {("bool", None)},
    variables.TEXT: {("str", None), ("path", None)},
    variables.CHOICE: {("str", None)},
    variables.CHOICES: {("list", "str")},
    variables.NAMES: {("list", "str")},
    variables.COMPONENTS: {("list", "str")},
    variables.FILE: {("path", None)},
    variables.FILES: {("list", "path")},
    variables.NEW_FILE: {("path", None)},
    variables.DICT: {("dict", None)},
    variables.DICTS: {("list", "dict")},
}


def read(role, path):
    return yaml.safe_load((ROOT / "roles" / role / path).read_text())


def specs(role):
    """Return every entry of a role's argument specs, each with its options."""
    return read(role, "meta/argument_specs.yml")["argument_specs"]


@pytest.mark.parametrize("role", EVERYWHERE)
def test_role_defaults_match_the_table(role):
    of_variables = {name: text for name, text in read(role, "defaults/main.yml").items() if "cloudpods_" in str(text)}
    assert of_variables == {name: variable.expression(role) for name, variable in options_of(role).items()}


@pytest.mark.parametrize("role", EVERYWHERE)
def test_role_documentation_names_the_variable_of_each_option(role):
    known = options_of(role)
    for entry in specs(role).values():
        for name, option in entry["options"].items():
            texts = option["description"]
            named = re.findall(
                r"Set by the variable C\((\w+)\)\.", " ".join([texts] if isinstance(texts, str) else texts)
            )
            assert named == ([known[name].full_name] if name in known else []), name


@pytest.mark.parametrize("role", CAPTURING)
def test_role_documentation_names_variables_without_an_option(role):
    text = " ".join(specs(role)["main"]["description"])
    own = {name for name, variable in VARIABLES.items() if not variable.option}
    assert set(re.findall(r"C\((cloudpods_\w+)\)", text)) == own - {"cloudpods_progress_seconds"}


@pytest.mark.parametrize("role", EVERYWHERE)
def test_role_types_and_choices_match_the_table(role):
    options = specs(role)["main"]["options"]
    for name, variable in options_of(role).items():
        option = options[name]
        type_of = (option["type"], option.get("elements"))
        if variable.kind == variables.NUMBER:
            assert type_of == ("int" if variable.bounds.whole else "float", None), name
        else:
            assert type_of in TYPES[variable.kind], name
        if "choices" in option:
            assert tuple(option["choices"]) == variable.choices_for(role), name


@pytest.mark.parametrize("variable", VARIABLES.values(), ids=VARIABLES)
def test_variables_have_the_fields_of_their_kind(variable):
    assert (variable.bounds is not None) == (variable.kind == variables.NUMBER)
    assert bool(variable.choices) == (variable.kind in (variables.CHOICE, variables.CHOICES))
    assert (variable.pattern is not None) == (variable.kind in (variables.NAMES, variables.COMPONENTS))
    assert variable.bounds is None or variable.bounds in bounds.BOUNDS.values()
    if variable.option:
        assert any(variable.option_of(role) for role in EVERYWHERE)


def test_page_has_a_row_for_every_variable():
    page = (ROOT / "docs" / "variables.md").read_text()
    assert sorted(re.findall(r"^\| `(cloudpods_\w+)` \|", page, re.MULTILINE)) == sorted(VARIABLES)


def test_pages_name_only_known_variables():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("playbooks/*.yml")]
    pages += ROOT.glob("extensions/**/*.yml")
    assert pages
    named = {word for page in pages for word in re.findall(r"\bcloudpods_[a-z_]+\b", page.read_text())}
    assert {name for name in named if not name.startswith(("cloudpods_health_", "cloudpods_diagnostics"))} <= {
        *VARIABLES,
        *STATISTICS,
    }


@pytest.mark.parametrize(
    ("name", "role", "choices"),
    [
        ("scenario", "capture_stacks", sorted(SCENARIOS)),
        ("transport", "capture_stacks", TRANSPORT["transport"]["choices"]),
        ("transport", "audit_health", STATUS_TRANSPORT["transport"]["choices"]),
        ("dump_method", "capture_stacks", stack_dump.DUMP["method"]["choices"]),
        ("watch_until", "watch_logs", log_watch.WATCH["until"]["choices"]),
        ("on_hit", "watch_logs", log_watch.WATCH["on_hit"]["choices"]),
        ("bodies", "audit_health", status_info.STATUS["bodies"]["choices"]),
        ("fail_on_severity", "audit_health", health_check.ARGUMENTS["fail_on"]["choices"]),
        ("profile_set", "capture_profiles", profile_dump.PROFILES["profile_set"]["choices"]),
        ("profile_kinds", "capture_profiles", profile_dump.PROFILES["kinds"]["choices"]),
        ("fail_on", "bundle", bundle_seal.ARGUMENTS["fail_on"]["choices"]),
        ("redact", "bundle", bundle_seal.ARGUMENTS["redact"]["choices"]),
    ],
)
def test_choices_match_the_modules(name, role, choices):
    assert sorted(VARIABLES[f"cloudpods_{name}"].choices_for(role)) == sorted(choices)


def test_requirements_match_the_libraries():
    listed = re.findall(r"^(?:# )?([\w-]+>=[\d.]+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(one.requirement for one in LIBRARIES.values() if one.requirement != "PyYAML")


def test_preflight_module_accepts_roles_and_libraries_of_the_tables():
    module = importlib.import_module("ansible_collections.cloudpods.diagnostics.plugins.modules.preflight")
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert options["role"]["choices"] == module.ARGUMENTS["role"]["choices"] == list(CAPTURING)
    assert options["libraries"]["choices"] == module.ARGUMENTS["libraries"]["choices"] == list(LIBRARIES)


@pytest.mark.parametrize("role", CAPTURING)
def test_capturing_roles_depend_on_preflight(role):
    wanted = {"role": "cloudpods.diagnostics.preflight", "vars": {"preflight_for": role}}
    assert read(role, "meta/main.yml")["dependencies"] == [wanted]
