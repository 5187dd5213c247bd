# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared documentation of the options that select components."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the selection."""

    DOCUMENTATION = r"""
options:
  scenario:
    description:
      - What is wrong. It selects the suspected components.
      - V(kvm_server) selects region, host and host-deployer. V(kvm_image) selects glance. V(vmware_server) selects
        region, esxi-agent and host-deployer. V(other_server) selects region. V(slow_system) selects region and
        keystone. V(deadlock) selects every component that dumps its goroutines.
      - The default is V(deadlock). For M(cloudpods.diagnostics.status_info) it is every known component.
      - An unknown scenario is an error that lists the known ones.
    type: str
  components:
    description:
      - The components to select by their component label, instead of O(scenario).
      - The names in Keystone's catalog and in the alarms of Cloudpods are accepted as well, for example V(identity)
        for keystone, V(compute) for region and V(image) for glance. Results have the component's own name.
      - An unknown name is accepted if an instance has that label. Otherwise it is an error that names similar known
        components.
    type: list
    elements: str
    default: []
"""
