# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of single variables."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.value_checks import (
    as_dict,
    as_list,
    is_set,
    is_true,
    join_names,
    wrong_value,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.preflight.variables import (
    PROFILES,
    STACKS,
    VARIABLES,
)


def checked(name: str, value: object, role: str = STACKS) -> str | None:
    return wrong_value(name, value, VARIABLES[name], role)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cloudpods_timeout", "0.5"),
        ("cloudpods_certificates", "yes"),
        ("cloudpods_transport", "host"),
        ("cloudpods_namespace", "onecloud, kube-system"),
        ("cloudpods_components", ["region"]),
        ("cloudpods_cluster", 7),
        ("cloudpods_keystone", '{"username": "x"}'),
        ("cloudpods_kubeconfig", "/root/.kube/config"),
        ("cloudpods_kubeconfig", {"clusters": []}),
        ("cloudpods_api_key", "x"),
        ("cloudpods_rules", "/dev/null"),
    ],
)
def test_accepts_every_form_that_ansible_converts(name, value):
    assert checked(name, value) is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cloudpods_timeout", "soon", "is 'soon'. It has to be a number of seconds from 0.1 to 86400."),
        ("cloudpods_certificates", "maybe", "is 'maybe'. It has to be true or false."),
        ("cloudpods_transport", "hosts", "is 'hosts'; did you mean host? It has to be kubernetes or host."),
        ("cloudpods_transport", "url", "is 'url'. capture_stacks takes kubernetes or host."),
        ("cloudpods_profile_kinds", "cpu,heaps", "has 'heaps'; did you mean heap?"),
        ("cloudpods_namespace", "A_B", "has 'A_B'. It takes names of namespaces, with commas between them."),
        ("cloudpods_cluster", ["a"], "is a list. It has to be text."),
        ("cloudpods_keystone", "x", "is a text. It has to be a dictionary."),
        ("cloudpods_log_patterns", {"a": 1}, "is a dictionary. It has to be a list of dictionaries."),
        ("cloudpods_api_key", {"a": 1}, "is a dictionary. It has to be text."),
        ("cloudpods_rules", "/no/such/file", "is '/no/such/file'. There is no /no/such/file on the controller."),
    ],
)
def test_says_what_is_wrong_and_what_would_be_right(name, value, said):
    text = checked(name, value)
    assert text is not None
    assert said in text
    assert text.startswith(name)


@pytest.mark.parametrize("name", ["cloudpods_kubeconfig", "cloudpods_keystone", "cloudpods_api_key"])
def test_never_shows_a_value_with_credentials(name):
    text = checked(name, ["hunter2"]) or ""
    assert "hunter2" not in text
    assert text


def test_other_roles_have_other_choices():
    assert checked("cloudpods_transport", "url", PROFILES) is None


def test_converts_as_ansible_does():
    assert [is_set(value) for value in (None, "", 0, False, [])] == [False, False, True, True, True]
    assert [is_true(value) for value in (True, "yes", 1, "no", 0, None)] == [True, True, True, False, False, False]
    assert as_list("a, b,,c") == ["a", "b", "c"]
    assert as_list(5) == [5]
    assert as_dict("a=1, b=2") == {"a": "1", "b": "2"}
    assert as_dict("{") is None
    assert as_dict(["a"]) is None


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a or b"), (list("abc"), "a, b or c")]
)
def test_joins_names(names, text):
    assert join_names(names) == text
