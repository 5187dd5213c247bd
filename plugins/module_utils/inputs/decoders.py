# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decompressors have in common: each reads one member, and is called as those of bz2 and lzma are."""

from __future__ import annotations

from typing import Any

# Of decoders whose dictionary the input asks for: that of xz -9 takes 65 MiB.
MAX_MEMORY = 256 << 20
# Has eof, needs_input, unused_data, and decompress(data, max_length).
Decoder = Any


class MissingCodec(ValueError):
    """There is no module for this form of compression; the message names it."""
