# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of a host that describe its connection, and facts that end a run."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.variables import (
    CONNECTION_OPTIONS,
    ConnectionVariables,
    connection_variables,
    facts_refusal,
    own_facts,
)

OURS = ["cloudpods"]


@pytest.mark.parametrize(
    ("names", "facts", "common", "groups", "found"),
    [
        ({"cloudpods_kubeconfig"}, {}, {}, [], ConnectionVariables({"kubeconfig": "cloudpods_kubeconfig"})),
        ({"proxy", "host"}, {}, {}, OURS, ConnectionVariables({})),
        ({"context"}, {}, {}, OURS, ConnectionVariables({"context": "context"}, deprecated=("context",))),
        ({"context"}, {"context"}, {}, OURS, ConnectionVariables({}, ignored=("context",))),
        ({"context"}, {}, {"context"}, OURS, ConnectionVariables({}, ignored=("context",))),
        ({"context"}, {}, {}, [*OURS, "site"], ConnectionVariables({}, ignored=("context",))),
        (
            {"context", "cloudpods_context"},
            {},
            {},
            OURS,
            ConnectionVariables({"context": "cloudpods_context"}),
        ),
    ],
)
def test_uses_only_variables_meant_for_the_collection(names, facts, common, groups, found):
    assert connection_variables(names, facts, common, groups) == found


@pytest.mark.parametrize("option", CONNECTION_OPTIONS)
def test_uses_each_option(option):
    assert connection_variables({f"cloudpods_{option}"}, (), (), ()).taken == {option: f"cloudpods_{option}"}


@pytest.mark.parametrize(
    "name",
    ["cloudpods_output", "bundle_run", "audit_health_read", "capture_stacks_result", "capture_profiles_x",
     "watch_logs_result", "preflight_for"],
)  # fmt: skip
def test_refuses_facts_with_names_of_the_collection(name):
    assert own_facts({name: 1, "distribution": 2, f"my_{name}": 3}) == [name]
    said = facts_refusal({"node-1": [name], "node-2": ["distribution"]})
    assert f"node-1 set {name}." in said
    assert "node-2" not in said


def test_accepts_other_facts():
    assert facts_refusal({"node-1": ["distribution"], "node-2": []}) == ""
