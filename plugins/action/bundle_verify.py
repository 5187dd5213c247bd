# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action bundle_verify: run the module of this name, and reduce its result to documented keys."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.plugin_utils.module_action import ModuleAction


class ActionModule(ModuleAction):
    """See plugin_utils/module_action.py."""
