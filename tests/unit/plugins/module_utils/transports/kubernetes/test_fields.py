# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checked access to documents of an API server."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.json_values import BadValue
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import CaptureError, Reason
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.transports.kubernetes.fields import (
    LABEL,
    MAX_TOKEN,
    KubernetesFields,
    document_of,
    is_name,
    page_of,
    pod_path,
)


@pytest.mark.parametrize(
    ("text", "subdomain", "label"),
    [
        ("region-a", True, True),
        ("10.0.0.1", True, False),
        ("x" * 63, True, True),
        ("x" * 64, True, False),
        ("x" * 254, False, False),
        ("", False, False),
        ("A", False, False),
        ("-a", False, False),
        ("a/b", False, False),
        ("a..b", False, False),
        ("a\n", False, False),
    ],
)
def test_allows_names_by_rules_of_kubernetes(text, subdomain, label):
    assert (is_name(text), is_name(text, LABEL)) == (subdomain, label)


def test_path_of_pod_and_of_its_port():
    instance = Instance("c1", "region", "region-a", "cloud")
    assert pod_path(instance) == "/api/v1/namespaces/cloud/pods/region-a"
    assert pod_path(instance, "https:region-a:30888") == "/api/v1/namespaces/cloud/pods/https:region-a:30888"


def test_refuses_path_of_impossible_name():
    with pytest.raises(CaptureError) as refused:
        pod_path(Instance("c1", "region", "../secrets", "cloud"))
    assert refused.value.verdict.reason is Reason.GONE


def test_page_without_continue_is_the_last():
    assert page_of({"items": [1, 2]}) == ([1, 2], "")
    assert page_of({"items": None, "metadata": {"continue": "t"}}) == ([], "t")


@pytest.mark.parametrize("token", ["x" * (MAX_TOKEN + 1), "a\nb", 5])
def test_refuses_token_that_does_not_fit_into_url(token):
    with pytest.raises(BadValue):
        page_of({"items": [], "metadata": {"continue": token}})


def test_refuses_document_of_too_many_values():
    with pytest.raises(BadValue, match="more than 2000000 values"):
        document_of(b"[" + b"1," * 2_000_001 + b"1]")


def test_null_and_missing_fields_are_empty():
    fields = KubernetesFields({"a": None}, "a pod")
    for name in ("a", "b"):
        assert name not in fields
        assert (fields.text(name), fields.items(name), fields.count(name), fields.flag(name)) == ("", [], 0, False)
        assert fields.integer(name) is None
        assert not fields.inner(name)


def test_error_names_object_and_field():
    fields = KubernetesFields({"status": {"phase": 5}}, "a pod").called("pod region-a")
    with pytest.raises(BadValue, match=r"pod region-a\.status.*phase"):
        fields.inner("status").text("phase")


@pytest.mark.parametrize("value", [True, 1.5, "1", 1 << 70])
def test_refuses_numbers_that_are_no_64_bit_integer(value):
    with pytest.raises(BadValue):
        KubernetesFields({"n": value}, "a pod").integer("n")
