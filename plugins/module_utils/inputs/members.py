# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What archives hold, as their readers give it."""

from __future__ import annotations

from typing import NamedTuple

from .streams import Readable


class Member(NamedTuple):
    """A regular file in an archive. problem: why its content cannot be read, or "".

    name: as the archive has it, never used as a path of this machine. The stream is valid until the next is asked for.
    """

    name: str
    stream: Readable
    problem: str = ""
