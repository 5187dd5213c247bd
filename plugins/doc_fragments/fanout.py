# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that modules share: how much at a time, and for how long."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of the fan-out."""

    DOCUMENTATION = r"""
options:
  concurrency:
    description:
      - How many instances are worked on at the same time, from 1 to 1000.
    type: int
    default: 40
  node_concurrency:
    description:
      - On how many instances of one node a command is started at the same time, from 1 to 1000.
    type: int
    default: 20
  timeout:
    description:
      - The deadline of one instance, in seconds, from 0.1 to 86400. A target that hangs costs this and no more.
    type: float
    default: 30.0
  deadline:
    description:
      - The deadline of the whole module call, in seconds, from 0.1 to 604800.
      - What has not begun by then is recorded as skipped; what has not ended is ended.
    type: float
    default: 300.0
"""
