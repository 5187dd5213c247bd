# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names in text of any notation."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.identity_finder import (
    IdentityFinder,
    is_distinct,
    split_windows,
)
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.identity_words import HOST
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.limits import RedactionLimits
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.pseudonym_table import PseudonymTable


def names_in(text: str, **limits: int) -> dict[str, str]:
    finder = IdentityFinder(PseudonymTable(), RedactionLimits(**limits))
    finder.add_text(text.encode())
    return {name.decode(): kind for name, (kind, _prefix) in finder.names.items()}


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ('{"host": "kvm-777"}', "kvm-777", "host"),
        ('{\\"host\\": \\"kvm-777\\"}', "kvm-777", "host"),
        ("host: kvm-777\n", "kvm-777", "host"),
        ("host = kvm-777", "kvm-777", "host"),
        ("--host kvm-777", "kvm-777", "host"),
        ('"user": {"id": "1", "name": "Alice Doe"}', "alice doe", "user"),
        ('"projects": ["acme-1", "acme-2"]', "acme-2", "project"),
        ("x%20host%3Dkvm-777", "kvm-777", "host"),
        ("dial kvm-777.acme.example:5000 failed: host kvm-777.acme.example", "acme.example", "dns"),
    ],
)
def test_finds_a_name_in_each_notation(text, name, kind):
    assert names_in(text).get(name) == kind


@pytest.mark.parametrize("text", ["host is not found", "user: admin", 'host: "10.0.0.1"', "node failed", "host: 17"])
def test_takes_no_other_words_for_names(text):
    assert names_in(text) == {}


def test_a_name_from_a_field_of_its_own_may_be_short():
    finder = IdentityFinder(PseudonymTable())
    finder.add_name("n1", HOST)
    finder.add_name("42", HOST)
    finder.add_name("10.0.0.1", HOST)
    assert set(finder.names) | set(finder.short) == {b"n1", b"42"}
    assert not is_distinct(b"42")


def test_an_excluded_word_is_no_name():
    finder = IdentityFinder(PseudonymTable())
    finder.exclude("region-4711")
    finder.add_text(b"host: region-4711\n")
    assert finder.names == {}


@pytest.mark.parametrize("size", [1, 7, 64])
def test_windows_are_the_whole_text(size):
    text = b"one two,three\n" * 20
    assert b"".join(split_windows(text, size)) == text


def test_windows_end_with_a_line():
    assert list(split_windows(b"one\ntwo\nthree\n", 9)) == [b"one\ntwo\n", b"three\n"]
