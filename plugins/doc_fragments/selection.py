# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that modules share: which components are meant."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of the selection."""

    DOCUMENTATION = r"""
options:
  scenario:
    description:
      - What is wrong, in the words of a user; it stands for the components that are suspected then.
      - V(kvm_server) is region, host and host-deployer; V(kvm_image) is glance; V(vmware_server) is region,
        esxi-agent and host-deployer; V(other_server) is region; V(slow_system) is region and keystone;
        V(deadlock) is every component that dumps its goroutines.
      - The default is V(deadlock). M(cloudpods.diagnostics.status_info) takes every component that is known instead.
      - An unknown scenario is an error that lists the known ones.
    type: str
  components:
    description:
      - Exactly these components, by their component label, instead of a scenario's.
      - The names that Keystone's catalog and the alarms of Cloudpods use are understood, too, for example V(identity)
        for keystone, V(compute) for region and V(image) for glance. Results have the component's own name.
      - A component that is not known here may be named where there is one with that label. Otherwise such a name is an
        error that says which known names are like it.
    type: list
    elements: str
    default: []
"""
