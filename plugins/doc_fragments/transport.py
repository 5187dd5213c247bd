# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared documentation of the transports kubernetes and host."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the transports."""

    DOCUMENTATION = r"""
options:
  transport:
    description:
      - How instances are reached.
      - V(kubernetes) uses the API server. It needs the Python library C(kubernetes) where the module runs, and the
        collection kubernetes.core on the controller.
      - V(host) uses the processes and log files of the machine where the module runs. It needs root there, or the user
        that the services run as. It needs no library and no API server.
    type: str
    choices: [kubernetes, host]
    default: kubernetes
  cluster:
    description:
      - The name of the cluster in results and folders.
      - The default is the cluster's name in the kubeconfig, and V(hosts) with O(transport=host).
    type: str
    default: ''
  namespaces:
    description:
      - The namespaces of the services, with O(transport=kubernetes).
    type: list
    elements: str
    default: [onecloud]
  binary_dirs:
    description:
      - The directories of the services' executables, as the services see them.
      - A process is only ever signalled if its executable is one of these directories joined with the component's name.
    type: list
    elements: str
    default: [/opt/yunion/bin]
"""
