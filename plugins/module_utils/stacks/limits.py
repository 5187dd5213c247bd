# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of one parse, as a value that callers may replace."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ParseLimits:
    """Limits of parse().

    dumps, single_stacks: further ones are only counted. sources: writers that are told apart.
    strip_bytes: part of the text from which prefixes are removed at once, since a replacement takes memory per line.
    fast_path_bytes: the fast path starts with at least this many bytes left; below, the regular parser is as fast.
    region_bytes, chunk_bytes: text that the fast path accepts or rejects as a whole, and splits at once.
    """

    dumps: int = 10_000
    single_stacks: int = 1_000
    sources: int = 1_000
    strip_bytes: int = 1 << 20
    fast_path_bytes: int = 1 << 15
    region_bytes: int = 4 << 20
    chunk_bytes: int = 1 << 17


DEFAULT_LIMITS = ParseLimits()
