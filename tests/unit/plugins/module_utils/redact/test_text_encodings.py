# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text in other encodings than UTF-8."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.redact.text_encodings import (
    is_other_encoding,
    iter_utf8,
    transform_text,
)

TEXT = "password=hunter2 caf\u00e9\n" * 5


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_changes_text_in_its_own_encoding(encoding):
    data = TEXT.encode(encoding)
    made = transform_text(data, lambda text: text.replace(b"hunter2", b"x"))
    assert made is not None
    assert made.decode(encoding) == data.decode(encoding).replace("hunter2", "x")
    assert is_other_encoding(data)


def test_unchanged_text_is_the_same_object():
    data = TEXT.encode("utf-16")
    assert transform_text(data, lambda text: text) is data


def test_keeps_the_truncated_last_character():
    data = TEXT.encode("utf-16") + b"\x41"
    made = transform_text(data, lambda text: text.replace(b"hunter2", b"x"))
    assert made is not None
    assert made.endswith(b"\x41")


@pytest.mark.parametrize("data", [TEXT.encode(), b"", b"\x1f\x8b\x08"])
def test_utf8_and_binary_data_are_left_alone(data):
    assert transform_text(data, lambda _text: b"never") is None
    assert not is_other_encoding(data)


def test_yields_utf8_beside_the_pieces():
    data = TEXT.encode("utf-16")
    assert list(iter_utf8([data])) == [("\ufeff" + TEXT).encode(), data]
    assert list(iter_utf8([TEXT.encode()])) == [TEXT.encode()]
