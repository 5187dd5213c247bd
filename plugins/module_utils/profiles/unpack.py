# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a profile, unpacked within bounds: a few kilobytes may stand for gigabytes."""

from __future__ import annotations

import io
from typing import NamedTuple

from ..inputs.compressed import Decompressed
from ..inputs.containers import GZIP
from ..inputs.inputs import Content
from ..inputs.streams import Budget, Cut, FileStream, InputLimits, TooMuch


class Unpacked(NamedTuple):
    """What was read. is_cut: the end is missing. problem: what is wrong with it, or "".

    is_too_large: there is more of it than was to be read; then there is no content.
    is_packed: it was compressed, so that its end, its length and its checksum are proved where there is no problem.
    """

    content: bytes
    is_cut: bool = False
    problem: str = ""
    is_too_large: bool = False
    is_packed: bool = True


def unpack(data: bytes, most: int) -> Unpacked:
    """The content of a gzip stream with all its members, of which no more than `most` bytes are read.

    What does not begin as one is its own content.
    """
    if not data.startswith(GZIP.magic[: len(data)]):
        return read_content(Content(FileStream(io.BytesIO(data))), most, is_packed=False)
    budget = Budget(InputLimits(free=2 * most), len(data))
    return read_content(Content(Decompressed(FileStream(io.BytesIO(data)), GZIP, budget)), most, is_packed=True)


def read_content(content: Content, most: int, is_packed: bool) -> Unpacked:
    """Read a content to its end, and no more than `most` bytes of it. is_packed: it is compressed itself."""
    data = content.read(most + 1)
    if len(data) > most:
        problem = f"it has more than {most} bytes, and no more was read"
        return Unpacked(b"", problem=problem, is_too_large=True, is_packed=is_packed)
    if isinstance(content.damage, TooMuch):
        return Unpacked(b"", problem=content.problem, is_too_large=True, is_packed=is_packed)
    return Unpacked(data, isinstance(content.damage, Cut), content.problem, is_packed=is_packed)
