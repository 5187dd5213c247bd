# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that modules share: how instances are reached."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of the transports."""

    DOCUMENTATION = r"""
options:
  transport:
    description:
      - How instances are reached.
      - V(kubernetes) goes through the API server. It needs the Python library C(kubernetes) where the module runs, and
        the collection kubernetes.core on the controller.
      - V(host) looks at the processes and log files of the machine that the module runs on. It needs root there (or
        the user that the services run as), no library, and no API server.
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
      - The namespaces to look into, with O(transport=kubernetes).
    type: list
    elements: str
    default: [onecloud]
  binary_dirs:
    description:
      - The directories that hold the services' executables, as the services see them.
      - Only a process whose executable is exactly one of these directories joined with the component's name is ever
        signalled.
    type: list
    elements: str
    default: [/opt/yunion/bin]
"""
