# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands to paste into a shell, in which names never become code."""

from __future__ import annotations

import itertools
import json
import shlex

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.capture_commands import (
    CommandRun,
    add_commands,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.health.report import markdown, table
from audit_documents import cluster, health_of, instance, rule, rules_of, status
from hypothesis import given
from hypothesis import strategies as st

FIRES = rules_of(rule(severity="critical", scenario="deadlock", expression="instance.{value: restarts}"))
PLAIN = "ansible-playbook cloudpods.diagnostics.capture_stacks"


def commands_of(run, *components, name="c"):
    statuses = [status(instance(component, f"{component}-1", name)) for component in components]
    document = health_of(FIRES, cluster(name), *statuses)
    add_commands(document, run)
    return document


@pytest.mark.parametrize(
    ("run", "more"),
    [
        (CommandRun(), ""),
        (CommandRun(inventories=["/a/fleet.yml", "b,"]), " -i /a/fleet.yml -i b,"),
        (CommandRun(inventories=["/a b/$(x)"]), " -i '/a b/$(x)'"),
        (CommandRun(limit="x:&y"), " --limit 'x:&y'"),
        # The access point of that name is the one that is meant.
        (CommandRun(limit="all", hosts=["c", "d"]), " --limit c"),
        (CommandRun(limit="e", hosts=["d"]), " --limit e"),
    ],
)
def test_repeats_inventories_and_limit(run, more):
    document = commands_of(run, "region")
    assert document["findings"][0]["capture_next"] == f"{PLAIN}{more} -e cloudpods_components=region"
    assert document["capture_next"] == document["findings"][0]["capture_next"]
    assert f"      {document['capture_next']}\n" in markdown(document)
    assert f"capture next: {document['capture_next']}" in table(document)


@pytest.mark.parametrize(
    ("variables", "more"),
    [
        ({"cloudpods_transport": ["host"]}, " -e cloudpods_transport=host"),
        ({"cloudpods_transport": [""]}, ""),
        # Stacks cannot be taken in these ways.
        ({"cloudpods_transport": ["keystone"]}, ""),
        ({"cloudpods_transport": ["url"]}, ""),
        # It comes from the inventory.
        ({"cloudpods_context": ["a", "b"]}, ""),
        ({"cloudpods_namespace": [["x", "y"]]}, """ -e '{"cloudpods_namespace": ["x", "y"]}'"""),
        ({"cloudpods_kubeconfig": ["/a b/c"]}, """ -e '{"cloudpods_kubeconfig": "/a b/c"}'"""),
        ({"cloudpods_kubeconfig": ["/a/{{ b }}"]}, ""),
    ],
)
def test_repeats_variables_of_the_run(variables, more):
    document = commands_of(CommandRun(variables=variables), "region")
    assert document["capture_next"] == f"{PLAIN} -e cloudpods_components=region{more}"


@pytest.mark.parametrize("name", ["{{ 1 }}", "a b", "a;b", "-x", "$(id)", "x" * 64, "region\n"])
def test_unusual_names_get_no_command(name):
    document = commands_of(CommandRun(), name)
    assert [document["findings"][0]["capture_next"], document["capture_next"]] == ["", ""]


def test_components_without_stacks_get_no_command():
    document = commands_of(CommandRun(), "scheduler", "etcd", "region", "keystone")
    by_name = {entry["component"]: entry["capture_next"] for entry in document["findings"]}
    assert (by_name["scheduler"], by_name["etcd"]) == ("", "")
    assert document["capture_next"] == f"{PLAIN} -e cloudpods_components=keystone,region"


def test_finding_without_a_component_is_captured_by_its_scenario():
    loaded = rules_of(rule(scope="cluster", scenario="slow_system", expression="{value: `1`}"))
    document = health_of(loaded, cluster(), status())
    add_commands(document, CommandRun())
    assert document["findings"][0]["capture_next"] == f"{PLAIN} -e cloudpods_scenario=slow_system"


@given(
    component=st.text(max_size=20),
    name=st.text(min_size=1, max_size=20),
    inventories=st.lists(st.text(max_size=20), max_size=2),
    limit=st.text(max_size=20),
    value=st.text(max_size=20),
)
def test_shell_and_ansible_see_untrusted_text_as_values(component, name, inventories, limit, value):
    """A shell splits the command into the intended words, and no name of a component is a template."""
    document = {
        "findings": [{"scenario": "deadlock", "severity": "critical", "cluster": name, "component": component}],
        "covered": [],
    }
    run = CommandRun(inventories, limit, [name, "other"], {"cloudpods_kubeconfig": [value]})
    add_commands(document, run)
    words = shlex.split(document["findings"][0]["capture_next"])
    if not words:
        return
    assert words[:2] == PLAIN.split()
    assert [word for before, word in itertools.pairwise(words) if before == "-i"][: len(inventories)] == list(
        inventories
    )
    for before, word in itertools.pairwise(words):
        if before == "-e" and word.startswith("{"):
            assert json.loads(word) == {"cloudpods_kubeconfig": value}
            assert "{{" not in value
