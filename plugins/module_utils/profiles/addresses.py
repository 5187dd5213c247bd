# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse addresses of functions that a user wants to have named. Pure."""

from __future__ import annotations

import re
from typing import Iterable

from .model import ProfileLimits
from .symbols import addresses_of_dump, addresses_of_profile
from .validation import validate_profile

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{1,16}\Z")
_GZIP = b"\x1f\x8b"


def addresses_from(texts: Iterable[str]) -> list[int]:
    """Parse addresses such as 0x4a1b2c. ValueError."""
    found = []
    for text in texts:
        if not _ADDRESS.match(text):
            raise ValueError(f"an address is written as 0x4a1b2c, not as '{text}'")
        found.append(int(text, 16))
    return found


def addresses_in(data: bytes) -> list[int]:
    """Return the addresses without names in a goroutine dump (debug=1) or a profile.

    ValueError if the data is neither, or cannot be read here.
    """
    if not data.startswith(_GZIP):
        return addresses_of_dump(data)
    proof, profile = validate_profile("", data, ProfileLimits())
    if profile is None:
        raise ValueError(f"the profile cannot be read: {proof.message}")
    return addresses_of_profile(profile)
