# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of capture results."""

from __future__ import annotations

from ansible_collections.cloudpods.diagnostics.plugins.module_utils.bundle.tables import place_lines
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.model import Instance, place_row, row
from ansible_collections.cloudpods.diagnostics.plugins.module_utils.reasons import Reason, verdict


def test_component_on_another_machine_is_not_missing():
    has = row(Instance("c1", "keystone", "keystone-1"), "stack", verdict(Reason.PROVEN))
    lacks = place_row("c1", "", "keystone", "discovery", verdict(Reason.NOT_DEPLOYED, "keystone on node2"))
    elsewhere = place_row("c2", "", "keystone", "discovery", verdict(Reason.NOT_DEPLOYED, "keystone"))
    assert place_lines([has, lacks]) == []
    assert len(place_lines([has, lacks, elsewhere])) == 1
    assert len(place_lines([lacks])) == 1
