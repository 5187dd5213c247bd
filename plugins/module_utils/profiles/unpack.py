# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpack the content of a profile within limits: a few kilobytes may unpack to gigabytes."""

from __future__ import annotations

import io
from typing import NamedTuple

from ..inputs.compressed import Decompressed
from ..inputs.containers import GZIP
from ..inputs.inputs import Content
from ..inputs.streams import Budget, Cut, FileStream, InputLimits, TooMuch


class Unpacked(NamedTuple):
    """Content that was read.

    is_cut: the end is missing. problem: a description of the damage, or "".
    is_too_large: the content exceeds the limit; then there is none.
    is_packed: it was compressed, so that without a problem its end, length and checksum are proven.
    """

    content: bytes
    is_cut: bool = False
    problem: str = ""
    is_too_large: bool = False
    is_packed: bool = True


def unpack(data: bytes, most: int) -> Unpacked:
    """Unpack a gzip stream with all its members, up to `most` bytes.

    Other data is its own content.
    """
    if not data.startswith(GZIP.magic[: len(data)]):
        return read_content(Content(FileStream(io.BytesIO(data))), most, is_packed=False)
    budget = Budget(InputLimits(free=2 * most), len(data))
    return read_content(Content(Decompressed(FileStream(io.BytesIO(data)), GZIP, budget)), most, is_packed=True)


def read_content(content: Content, most: int, is_packed: bool) -> Unpacked:
    """Read content to its end, up to `most` bytes.

    is_packed: it was compressed.
    """
    data = content.read(most + 1)
    if len(data) > most:
        problem = f"it has more than {most} bytes, and no more was read"
        return Unpacked(b"", problem=problem, is_too_large=True, is_packed=is_packed)
    if isinstance(content.damage, TooMuch):
        return Unpacked(b"", problem=content.problem, is_too_large=True, is_packed=is_packed)
    return Unpacked(data, isinstance(content.damage, Cut), content.problem, is_packed=is_packed)
