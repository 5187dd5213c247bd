# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that identify identities, and words of every cloud."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.identity_words import (
    KINDS,
    is_common_word,
    is_component,
    kind_of_field,
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("host", "host"),
        ("nodeName", "host"),
        ("pod_names", "pod"),
        ("tenant", "project"),
        ("user-name", "user"),
        ("vms", "vm"),
        ("uuid", "id"),
        ("color", ""),
        ("", ""),
    ],
)
def test_tells_the_kind_of_a_field(name, kind):
    assert kind_of_field(name) == kind


@pytest.mark.parametrize(
    "word",
    ["region", "default-region", "region-slave", "kube-system", "10.5", "v1.2.3", "2026-01-02t03:04:05", "100ms",
     "api.github.com", "admin", *KINDS, "x" * 254],
)  # fmt: skip
def test_words_of_every_cloud_are_no_identities(word):
    assert is_common_word(word) is (len(word) <= 253)


@pytest.mark.parametrize("word", ["kvm-777", "acme", "mygithub.com.acme.example"])
def test_other_words_may_be_identities(word):
    assert not is_common_word(word)


def test_knows_the_components():
    assert is_component("region")
    assert not is_component("kvm-777")
