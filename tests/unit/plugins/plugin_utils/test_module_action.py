# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reduction of module results to documented keys, for every module."""

from __future__ import annotations

import importlib

import pytest
import yaml
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import (
    ModuleAction,
    as_result,
    documented_keys,
    reduced,
)

from workspace import ROOT

PACKAGE = "ansible_collections.cloudpods.diagnostics.plugins"
# Actions that have no module. Tested in tests/contract/test_hostile_node.py, test_playbooks.py and test_flow.py.
ACTIONS = ("bundle_capture", "bundle_fetch", "show_result")
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))


def test_keeps_documented_keys_and_those_of_ansible():
    result = {"changed": True, "failed": False, "msg": "m", "_ansible_parsed": True, "table": []}
    assert reduced(result, frozenset(["table", "folder"])) == result


@pytest.mark.parametrize("key", ["ansible_facts", "add_host", "add_group", "ansible_stats", "include", "bundle_run"])
def test_drops_keys_that_control_ansible(key):
    assert reduced({"changed": True, key: {"a": 1}}, frozenset(["table"])) == {"changed": True}


@pytest.mark.parametrize(("error", "key"), [(AnsibleConnectionFailure, "unreachable"), (AnsibleActionFail, "failed")])
def test_returns_result_where_ansible_trusts_exceptions(error, key):
    """ansible-core 2.17 and 2.18 execute templates in them."""

    def ends():
        raise error("{{ text }}")

    with pytest.raises(error):
        as_result(ends, trusts_exceptions=False)
    assert as_result(ends, trusts_exceptions=True) == {key: True, "changed": False, "msg": "{{ text }}"}
    assert as_result(lambda: {"changed": True}) == {"changed": True}


@pytest.mark.parametrize("name", MODULES)
def test_reads_the_documented_keys(name):
    documented = yaml.safe_load(importlib.import_module(f"{PACKAGE}.modules.{name}").RETURN)
    assert documented_keys(name) == frozenset(documented)
    assert documented


@pytest.mark.parametrize("name", [name for name in MODULES if name not in ACTIONS])
def test_every_module_has_an_action_that_reduces_its_result(name):
    assert issubclass(importlib.import_module(f"{PACKAGE}.action.{name}").ActionModule, ModuleAction)
