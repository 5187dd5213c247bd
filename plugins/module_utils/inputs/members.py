# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of archives, as the archive readers return them."""

from __future__ import annotations

from typing import NamedTuple

from .streams import Readable


class Member(NamedTuple):
    """A regular file in an archive.

    name: as in the archive, never used as a path on this machine. stream: valid until the next member is requested.
    problem: the reason why its content cannot be read, or "".
    """

    name: str
    stream: Readable
    problem: str = ""
