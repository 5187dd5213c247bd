# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered pseudonyms of identities."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.identity_words import HOST, KINDS, POD
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.pseudonym_table import (
    PseudonymTable,
    kind_of_token,
    parse_table,
)


def test_numbers_each_kind_from_one():
    table = PseudonymTable()
    assert [table.of(name, HOST) for name in (b"a", b"b", b"a")] == ["host-0001", "host-0002", "host-0001"]
    assert table.of(b"c", POD, "region") == "region-pod-0001"
    assert table.is_token("host-0002")
    assert not table.is_token("host-0003")


def test_skips_tokens_that_are_real_names():
    table = PseudonymTable()
    table.avoid = {b"host-0001"}
    assert table.of(b"a", HOST) == "host-0002"


def test_continues_after_the_tokens_of_a_file():
    table = PseudonymTable()
    table.of(b"\xff", HOST)
    loaded = parse_table(table.document())
    assert dict(loaded.known()) == {b"\xff": "host-0001"}
    assert loaded.of(b"b", HOST) == "host-0002"


@pytest.mark.parametrize("kind", KINDS)
def test_tells_the_kind_of_a_token(kind):
    assert kind_of_token(f"{kind}-0001") == kind
    assert kind_of_token(f"region-{kind}-12345") == kind
    assert kind_of_token(f"{kind}-1") == ""


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"version": 2},
        {"tokens": []},
        {"tokens": {"a": 1}},
        {"tokens": {"a": "no token"}},
        {"tokens": {"a": "host-0001", "b": "host-0001"}},
    ],
    ids=["format", "version", "list", "number", "no token", "twice"],
)
def test_refuses_other_documents(change):
    with pytest.raises(ValueError, match=r"format|tokens?"):
        parse_table({**PseudonymTable().document(), **change})
