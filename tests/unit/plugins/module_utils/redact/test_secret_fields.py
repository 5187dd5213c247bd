# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that are recognized by the name before them."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.secret_fields import (
    find_named_secrets,
    is_secret_name,
)


def found(text: str, is_json: bool = False, is_binary: bool = False) -> list[str]:
    data = text.encode()
    words = b"\n".join(data.lower().split())
    return [
        data[start:end].decode() for start, end, _rule, _around in find_named_secrets(data, words, is_json, is_binary)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2",
        '{"password": "hunter2"}',
        "--password hunter2",
        "db_password: hunter2",
        "export MYSQL_PASSWORD='hunter2'",
        '{"name": "PASSWORD", "value": "hunter2"}',
        "<password>hunter2</password>",
        "password is hunter2",
        "password%3Dhunter2&x=1",
    ],
)
def test_finds_the_value_in_each_notation(text):
    assert found(text) == ["hunter2"]


@pytest.mark.parametrize(
    "text", ["password=", "password: null", "password: ${X}", "token: expired", "passwords are bad"]
)
def test_leaves_harmless_values(text):
    assert found(text) == []


def test_a_weak_name_needs_a_value_that_looks_like_a_secret():
    assert found("token=0a1b2c3d4e") == ["0a1b2c3d4e"]
    assert found("token=soon") == []


def test_a_header_is_secret_up_to_the_end_of_its_line():
    assert found("Cookie: a=1; b=2\nHost: x") == ["a=1; b=2"]


def test_a_short_value_after_a_short_name_is_chance_in_binary_data():
    assert found("pw=abc1", is_binary=True) == []
    assert found("pw=abc1") == ["abc1"]


@pytest.mark.parametrize(
    ("name", "secret"), [("db_password", True), ("apiKey", True), ("token", False), ("path", False)]
)
def test_only_strong_names_make_any_value_a_secret(name, secret):
    assert is_secret_name(name) is secret
