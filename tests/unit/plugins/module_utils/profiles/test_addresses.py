# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses are parsed as users write them, and found in dumps."""

from __future__ import annotations

import pytest
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.profiles.addresses import (
    addresses_from,
    addresses_in,
)


def test_parses_hexadecimal_addresses():
    assert addresses_from(["0x4a1b2c", "0xFF"]) == [0x4A1B2C, 255]


@pytest.mark.parametrize("text", ["", "4a1b2c", "0x", "0x4a1b2c\n", "0x12345678901234567"])
def test_rejects_other_texts(text):
    with pytest.raises(ValueError, match="an address is written as"):
        addresses_from([text])


def test_finds_addresses_without_a_name_in_a_dump():
    assert addresses_in(b"1 @ 0x11 0x21\n#\t0x10\tmain.f+0x1\t/x.go:1\n") == [0x20]


def test_rejects_a_broken_profile():
    with pytest.raises(ValueError, match="the profile cannot be read"):
        addresses_in(b"\x1f\x8b no profile")
