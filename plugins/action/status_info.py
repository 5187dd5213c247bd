# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action status_info: run the module of this name, and show its progress on the terminal."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.progress import ProgressAction


class ActionModule(ProgressAction):
    """See plugin_utils/progress.py."""
