# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Common interface of decompressors: each reads one member, like those of bz2 and lzma."""

from __future__ import annotations

from typing import Any

# Memory limit of decoders whose dictionary size the input sets; xz -9 takes 65 MiB.
MAX_MEMORY = 256 << 20
# Has eof, needs_input, unused_data, and decompress(data, max_length).
Decoder = Any


class MissingCodec(ValueError):
    """No module for this compression is installed; the message names it."""
