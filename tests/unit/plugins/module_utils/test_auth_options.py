# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Authentication options equal those of kubernetes.core, and all are documented."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.cloudpods.diagnostics.plugins.doc_fragments.kubernetes import ModuleDocFragment
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.auth_options import AUTH_ARG_SPEC

CORE = "ansible_collections.kubernetes.core.plugins."


def core(module: str) -> Any:
    """Return a module of kubernetes.core. Skip the test where that collection is not installed."""
    return pytest.importorskip(CORE + module, reason="kubernetes.core is not installed")


def explicit(spec: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return an argument spec in which every option has its type."""
    found = {name: {"type": "str", **option} for name, option in spec.items()}
    for option in found.values():
        if "options" in option:
            option["options"] = explicit(option["options"])
    return found


def from_documentation(options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return documented types, aliases and elements in the form of an argument spec."""
    found = {}
    for name, option in options.items():
        found[name] = {key: option[key] for key in ("type", "aliases", "elements") if key in option}
        if "suboptions" in option:
            found[name]["options"] = from_documentation(option["suboptions"])
    return found


def without_no_log(spec: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {name: {key: value for key, value in option.items() if key != "no_log"} for name, option in spec.items()}
    for option in found.values():
        if "options" in option:
            option["options"] = without_no_log(option["options"])
    return found


def test_has_the_options_of_kubernetes_core():
    assert explicit(core("module_utils.args_common").AUTH_ARG_SPEC) == AUTH_ARG_SPEC


def test_documents_every_option():
    options = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert from_documentation(options) == without_no_log(AUTH_ARG_SPEC)


def variables(name: str, option: dict[str, Any]) -> set[str]:
    """Return the environment variables that kubernetes.core reads for an option, the preferred one first."""
    if "options" in option:
        return {f"K8S_AUTH_{name}_{part}".upper() for part in option["options"]}
    return {f"K8S_AUTH_{each}".upper() for each in [name, *option.get("aliases", [])]}


@pytest.mark.parametrize("name", sorted(AUTH_ARG_SPEC))
def test_names_an_environment_variable_that_is_read(name, monkeypatch):
    client = core("module_utils.k8s.client")
    documented = str(yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"][name])
    named = [variable for variable in sorted(variables(name, AUTH_ARG_SPEC[name])) if f"E({variable})" in documented]
    assert named
    for variable in named:
        for other in named:
            monkeypatch.delenv(other, raising=False)
        before = (client._create_auth_spec(None), client._create_headers(None))
        monkeypatch.setenv(variable, "value")
        assert (client._create_auth_spec(None), client._create_headers(None)) != before
