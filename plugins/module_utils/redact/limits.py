# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of redaction and pseudonymization. Data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RedactionLimits:
    """Sizes in bytes.

    window: data that is searched at a time. overlap: data before a window that is searched again; no secret is longer.
    whole: decompressed data that is held as a whole. unpacked: decompressed data that is searched at all. remembered:
    memory of words that the pseudonymizer has examined.
    """

    window: int = 4 << 20
    overlap: int = 64 << 10
    whole: int = 64 << 20
    unpacked: int = 1 << 30
    remembered: int = 256 << 20


LIMITS = RedactionLimits()
