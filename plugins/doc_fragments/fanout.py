# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared documentation of the limits of concurrency and time."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the limits."""

    DOCUMENTATION = r"""
options:
  concurrency:
    description:
      - Number of instances handled at the same time, from 1 to 1000.
    type: int
    default: 40
  node_concurrency:
    description:
      - Number of commands started at the same time on one node, from 1 to 1000.
    type: int
    default: 20
  timeout:
    description:
      - The deadline of one instance, in seconds, from 0.1 to 86400. A target that hangs takes no longer than this.
    type: float
    default: 30.0
  deadline:
    description:
      - The deadline of the whole module call, in seconds, from 0.1 to 604800.
      - Captures that have not started by then are recorded as skipped. Captures that are still running are ended.
    type: float
    default: 300.0
"""
