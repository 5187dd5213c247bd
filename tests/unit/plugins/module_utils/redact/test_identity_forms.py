# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identities that have a form of their own."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.identity_forms import (
    DIVIDER,
    escape_url,
    find_named,
    has_url_escapes,
    is_code,
    is_form,
    long_forms,
    short_forms,
    split_words,
    unescape_url,
)

UUID = b"6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@pytest.mark.parametrize(
    ("word", "found"),
    [
        (b"id=" + UUID, [(UUID, "id")]),
        (UUID.replace(b"-", b"_").upper(), [(UUID, "id")]),
        (b"52:54:00:AB:cd:01", [(b"52:54:00:ab:cd:01", "mac")]),
        (b"2001:db8::1", [(b"2001:db8::1", "ip")]),
        (b"::1", []),
        (b"00000000-0000-0000-0000-000000000000", []),
        (b"ff:ff:ff:ff:ff:ff", []),
    ],
)
def test_finds_long_forms(word, found):
    assert [(identity, kind) for _start, _end, identity, kind in long_forms(word)] == found


@pytest.mark.parametrize(
    ("word", "found"),
    [
        (b"10.168.222.17:3306", [(b"10.168.222.17", "ip")]),
        (b"10.168.222.17.5", []),
        (b"127.0.0.1", []),
        (b"255.255.255.0", []),
        (b"Chrome/10.20.30.40", []),
        (b"/home/alice/x", [(b"alice", "user")]),
    ],
)
def test_finds_short_forms(word, found):
    assert [(identity, kind) for _start, _end, identity, kind in short_forms(word)] == found


def test_tells_whether_an_identity_has_a_form():
    assert is_form(UUID)
    assert not is_form(b"kvm-777")


@pytest.mark.parametrize(
    ("word", "name", "kind"),
    [
        (b"https://kvm-777.example:5000/v3", b"kvm-777.example", "host"),
        (b"alice@example.com", b"alice", "user"),
        (b"/servers/web7", b"web7", "vm"),
        (b"/pods/region-1", b"region-1", "pod"),
    ],
)
def test_finds_names_by_the_text_around_them(word, name, kind):
    assert (name, kind) in list(find_named(word))


@pytest.mark.parametrize("word", [b"main.main()", b"/usr/local/go/src/net/http/server.go:300", b"runtime.gopark"])
def test_recognizes_names_of_go_code(word):
    assert is_code(word)
    assert not is_code(b"kvm-777")


def test_url_escapes_are_reversible():
    assert unescape_url(escape_url(b"a b\xff%")) == b"a b\xff%"
    assert has_url_escapes(escape_url(b"a b"))
    assert not has_url_escapes(b"a%b")


def test_splits_text_into_words():
    text = b'{"a": [1,2]}\tb\x7f'
    assert split_words(text) == [word for word in DIVIDER.split(text)[::2] if word]
    assert b"".join(DIVIDER.split(text)) == text
