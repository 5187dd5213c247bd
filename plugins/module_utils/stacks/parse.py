# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every goroutine dump in some bytes, whatever they are."""

from __future__ import annotations

from .grouping import dump_of

__all__ = ["dump_of"]
